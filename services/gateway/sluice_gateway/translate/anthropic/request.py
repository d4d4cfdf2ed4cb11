"""Hub requests as requests of Anthropic's Messages API."""

import re

import orjson

from sluice_gateway.translate import conversation, options
from sluice_gateway.translate.anthropic import content
from sluice_gateway.translate.conversation import Conversation
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.options import Choice, Effort, Thinking, Tool
from sluice_gateway.translate.reading import number, only, text, whole
from sluice_gateway.translate.schemas import closed
from sluice_gateway.translate.shapes import Json, UpstreamRequest

NAME = "Anthropic models"
JSON_TOOL = "json_object_answer"
VERSION = "2026-10-21"
# the last version that has sampling parameters; models before generation 4.7 take them
VERSION_WITH_SAMPLING = "2023-06-01"
DEFAULT_MAX_TOKENS = 8192
_SAMPLING = ("temperature", "top_p", "top_k")
_HANDLED = options.EVERY_PROVIDER | {"top_k"}
_NEUTRAL = {name: values for name, values in options.NEUTRAL.items() if name not in ("user", "safety_identifier")}
_LEAST_BUDGET = 1024
# generations that know no adaptive thinking and no effort, only a budget
_BUDGET_ONLY = re.compile(r"claude-(?:3|(?:opus|sonnet|haiku)-4(?:-[015](?!\d)|-20|@|$))")
_BUDGETS: dict[Effort, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 31999,
}
_EFFORTS: dict[Effort, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}  # fmt: skip


def build(fields: Json, upstream_model: str, max_output_tokens: int | None) -> UpstreamRequest:
    """Return the request for one message."""
    only(fields, _HANDLED | {"user", "safety_identifier"}, _NEUTRAL, NAME)
    body = prompt(fields, upstream_model)
    body["max_tokens"] = options.limit(fields) or max_output_tokens or DEFAULT_MAX_TOKENS
    body |= _sampling(fields)
    stops = options.stops(fields)
    if stops:
        body["stop_sequences"] = stops
    if fields.get("stream") is True:
        body["stream"] = True
    user = fields.get("safety_identifier") or fields.get("user")
    if user is not None:
        body["metadata"] = {"user_id": text(user, "user")}
    _think(body, options.thinking(fields), upstream_model)
    version = VERSION_WITH_SAMPLING if any(name in body for name in _SAMPLING) else VERSION
    return UpstreamRequest("/messages", (("anthropic-version", version),), orjson.dumps(body))


def prompt(fields: Json, upstream_model: str) -> Json:
    """Return the part of the body that is read by the model, which is also what its tokens are counted of."""
    talk = conversation.read(fields)
    body: Json = {"model": upstream_model, "messages": content.messages(talk)}
    if talk.system:
        body["system"] = content.system(talk)
    _use_tools(body, fields, talk)
    _shape(body, fields)
    return body


def _use_tools(body: Json, fields: Json, talk: Conversation) -> None:
    known = options.tools(fields)
    choice = options.choice(fields, known)
    known = options.allowed(known, choice)
    if not known and talk.called:
        # calls of earlier turns need their tools to be declared
        known = [Tool(name, None, None, None) for name in dict.fromkeys(talk.called.values())]
        choice = Choice("none")
    if not known:
        return
    body["tools"] = [tool(item) for item in known]
    chosen = _choice(choice, one_at_a_time=options.parallel(fields) is False)
    if chosen is not None:
        body["tool_choice"] = chosen


def tool(item: Tool) -> Json:
    """Return a tool in Anthropic's shape."""
    found: Json = {"name": item.name, "input_schema": item.schema or {"type": "object", "properties": {}}}
    if "type" not in found["input_schema"]:
        found["input_schema"] = {"type": "object", **found["input_schema"]}
    if item.description:
        found["description"] = item.description
    if item.strict:
        found["strict"] = True
        found["input_schema"] = closed(found["input_schema"], f"tools.{item.name}.parameters")
    if item.cache:
        found["cache_control"] = item.cache
    return found


def _choice(choice: Choice, *, one_at_a_time: bool) -> Json | None:
    if choice.mode == "none":
        return {"type": "none"}
    single = {"disable_parallel_tool_use": True} if one_at_a_time else {}
    if choice.mode == "tool":
        return {"type": "tool", "name": choice.names[0], **single}
    if choice.mode == "required":
        return {"type": "any", **single}
    return {"type": "auto", **single} if single else None


def _shape(body: Json, fields: Json) -> None:
    form = options.form(fields)
    if form.kind == "schema" and form.schema is not None:
        schema = closed(form.schema, "response_format.json_schema.schema")
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif form.kind == "json":
        if "tools" in body:
            raise Untranslatable(
                "response_format", f"of type json_object cannot be joined with `tools` on {NAME}. Use type json_schema."
            )
        body["tools"] = [
            {
                "name": JSON_TOOL,
                "description": "Gives the answer as a JSON object.",
                "input_schema": {"type": "object", "additionalProperties": True},
            }
        ]
        body["tool_choice"] = {"type": "tool", "name": JSON_TOOL, "disable_parallel_tool_use": True}


def _sampling(fields: Json) -> Json:
    found: Json = {}
    if fields.get("temperature") is not None:
        found["temperature"] = number(fields["temperature"], "temperature", 0, 1)
    if fields.get("top_p") is not None:
        found["top_p"] = number(fields["top_p"], "top_p", 0, 1)
    if fields.get("top_k") is not None:
        found["top_k"] = whole(fields["top_k"], "top_k")
    return found


def _think(body: Json, wanted: Thinking, upstream_model: str) -> None:
    if not wanted.asked:
        return
    if wanted.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    if wanted.budget is None and not _BUDGET_ONLY.search(upstream_model):
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        if wanted.effort is not None:
            body["output_config"] = {**body.get("output_config", {}), "effort": _EFFORTS[wanted.effort]}
        return
    budget = wanted.budget or _BUDGETS[wanted.effort or "medium"]
    room = body["max_tokens"] - 1
    if room < _LEAST_BUDGET:
        raise Untranslatable("max_tokens", f"must be above {_LEAST_BUDGET} when the model shall think.")
    body["thinking"] = {"type": "enabled", "budget_tokens": min(budget, room)}
