"""Hub requests as requests of the Converse API."""

from urllib.parse import quote

import orjson

from sluice_gateway.translate import conversation, options
from sluice_gateway.translate.bedrock import content
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.options import Choice, Effort, Form, Thinking, Tool
from sluice_gateway.translate.reading import mapping, number, only, whole
from sluice_gateway.translate.schemas import closed
from sluice_gateway.translate.shapes import Json, UpstreamRequest

NAME = "Bedrock models"
JSON_TOOL = "json_object_answer"
_HANDLED = options.EVERY_PROVIDER | {"top_k", "guardrail_config", "additional_model_request_fields"}
_EFFORTS: dict[Effort, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}  # fmt: skip


def build(fields: Json, upstream_model: str) -> UpstreamRequest:
    """Return the request for one answer, streamed or whole."""
    only(fields, _HANDLED, options.NEUTRAL, NAME)
    body = prompt(fields)
    config = _inference(fields)
    if config:
        body["inferenceConfig"] = config
    form = options.form(fields)
    if form.kind == "schema":
        body["outputConfig"] = {"textFormat": _text_format(form)}
    elif form.kind == "json":
        _json_by_tool(body)
    more = _more(fields)
    _think(body, more, options.thinking(fields), upstream_model)
    if more:
        body["additionalModelRequestFields"] = more
    if fields.get("guardrail_config") is not None:
        body["guardrailConfig"] = mapping(fields["guardrail_config"], "guardrail_config")
    method = "converse-stream" if fields.get("stream") is True else "converse"
    return UpstreamRequest(path(upstream_model, method), (), orjson.dumps(body))


def path(upstream_model: str, method: str) -> str:
    """Return the path of a method; a model may be an id, an inference profile or an ARN."""
    return f"/model/{quote(upstream_model, safe='')}/{method}"


def prompt(fields: Json) -> Json:
    """Return the part of the body that is read by the model."""
    talk = conversation.read(fields)
    body: Json = {"messages": content.messages(talk)}
    if talk.system:
        body["system"] = content.system(talk)
    known = options.tools(fields)
    choice = options.choice(fields, known)
    known = options.allowed(known, choice)
    if choice.mode == "none":
        if talk.called:
            raise Untranslatable("tool_choice", f'"none" has no counterpart on {NAME} after tools were called.')
        known = []
    elif not known and talk.called:
        # calls of earlier turns need their tools to be declared
        known = [Tool(name, None, None, None) for name in dict.fromkeys(talk.called.values())]
    if known:
        if options.parallel(fields) is False:
            raise Untranslatable("parallel_tool_calls", f"cannot be switched off on {NAME}.")
        body["toolConfig"] = {"tools": [item for tool in known for item in _tool(tool)]}
        chosen = _choice(choice)
        if chosen is not None:
            body["toolConfig"]["toolChoice"] = chosen
    return body


def _tool(tool: Tool) -> list[Json]:
    schema = tool.schema or {"type": "object", "properties": {}}
    if "type" not in schema:
        schema = {"type": "object", **schema}
    spec: Json = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
        spec["inputSchema"] = {"json": closed(schema, f"tools.{tool.name}.parameters")}
    return [{"toolSpec": spec}] if tool.cache is None else [{"toolSpec": spec}, content.cache_point(tool.cache)]


def _choice(choice: Choice) -> Json | None:
    if choice.mode == "tool":
        return {"tool": {"name": choice.names[0]}}
    return {"any": {}} if choice.mode == "required" else None


def _inference(fields: Json) -> Json:
    found: Json = {}
    limit = options.limit(fields)
    if limit is not None:
        found["maxTokens"] = limit
    if fields.get("temperature") is not None:
        found["temperature"] = number(fields["temperature"], "temperature", 0, 1)
    if fields.get("top_p") is not None:
        found["topP"] = number(fields["top_p"], "top_p", 0, 1)
    stops = options.stops(fields)
    if stops:
        found["stopSequences"] = stops
    return found


def _text_format(form: Form) -> Json:
    schema = closed(form.schema or {}, "response_format.json_schema.schema")
    inner = {"schema": orjson.dumps(schema).decode(), "name": form.name}
    if form.description:
        inner["description"] = form.description
    return {"type": "json_schema", "structure": {"jsonSchema": inner}}


def _json_by_tool(body: Json) -> None:
    if "toolConfig" in body:
        raise Untranslatable(
            "response_format", f"of type json_object cannot be joined with `tools` on {NAME}. Use type json_schema."
        )
    schema = {"type": "object", "additionalProperties": True}
    spec = {"name": JSON_TOOL, "description": "Gives the answer as a JSON object.", "inputSchema": {"json": schema}}
    body["toolConfig"] = {"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": JSON_TOOL}}}


def _more(fields: Json) -> Json:
    found = dict(mapping(fields.get("additional_model_request_fields") or {}, "additional_model_request_fields"))
    if fields.get("top_k") is not None:
        found["top_k"] = whole(fields["top_k"], "top_k")
    return found


def _think(body: Json, more: Json, wanted: Thinking, upstream_model: str) -> None:
    if not wanted.asked:
        return
    if "anthropic." in upstream_model:
        if wanted.effort == "none":
            more["thinking"] = {"type": "disabled"}
        elif wanted.budget is not None:
            more["thinking"] = {"type": "enabled", "budget_tokens": wanted.budget}
        else:
            more["thinking"] = {"type": "adaptive"}
    elif wanted.effort == "none" or wanted.effort is None:
        return  # other models think or not by themselves
    if wanted.effort is not None and wanted.effort != "none":
        body["outputConfig"] = {**body.get("outputConfig", {}), "effort": _EFFORTS[wanted.effort]}
