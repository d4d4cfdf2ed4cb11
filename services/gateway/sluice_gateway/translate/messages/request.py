"""Requests of Anthropic's Messages API as hub requests."""

from typing import Any

import orjson

from sluice_gateway.translate import hub
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.messages import signatures
from sluice_gateway.translate.reading import items, mapping, named, one_of, only, strings, text
from sluice_gateway.translate.shapes import Json

NO_THREADS = "thread_unsupported_request"
_OTHER = "a model of another API style"
_COPIED = ("model", "max_tokens", "temperature", "top_p", "top_k", "stream", "thinking")
_HANDLED = frozenset(
    {*_COPIED, "system", "messages", "tools", "tool_choice", "stop_sequences", "metadata", "output_config"}
)
_NEUTRAL: dict[str, tuple[object, ...] | None] = {
    "cache_control": None,
    "diagnostics": None,
    "service_tier": ("auto", "standard_only"),
    "speed": ("standard",),
    "mcp_servers": ([],),
}
_CHOICES = ("auto", "any", "tool", "none")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def to_hub(fields: Json) -> Json:
    """Return the hub request for a Messages request.

    Raises:
        Untranslatable: a field, block or tool has no counterpart.
    """
    if fields.get("thread") is not None:
        # Anthropic's own clients read the code and go on with the whole conversation in each request.
        raise Untranslatable("thread", f"has no counterpart on {_OTHER}. Send all messages.", NO_THREADS)
    only(fields, _HANDLED, _NEUTRAL, _OTHER)
    found: Json = {name: fields[name] for name in _COPIED if fields.get(name) is not None}
    found["messages"] = _messages(fields)
    if fields.get("stream") is True:
        found["stream_options"] = {"include_usage": True}
    if fields.get("stop_sequences"):
        found["stop"] = strings(fields["stop_sequences"], "stop_sequences")
    user = mapping(fields.get("metadata") or {}, "metadata").get("user_id")
    if user is not None:
        found["user"] = text(user, "metadata.user_id")
    _tools(found, fields)
    _output(found, fields)
    return found


def _tools(found: Json, fields: Json) -> None:
    tools = [
        _tool(mapping(tool, f"tools[{place}]"), f"tools[{place}]")
        for place, tool in enumerate(items(fields.get("tools") or [], "tools"))
    ]
    if tools:
        found["tools"] = tools
    if fields.get("tool_choice") is None:
        return
    choice = mapping(fields["tool_choice"], "tool_choice")
    kind = one_of(choice.get("type"), "tool_choice.type", _CHOICES)
    if kind == "tool":
        found["tool_choice"] = {"type": "function", "function": {"name": named(choice, "name", "tool_choice")}}
    elif tools:
        found["tool_choice"] = "required" if kind == "any" else kind
    if choice.get("disable_parallel_tool_use") is True and tools:
        found["parallel_tool_calls"] = False


def _tool(tool: Json, where: str) -> Json:
    if tool.get("type") not in (None, "custom"):
        raise Untranslatable(f"{where}.type", f'"{tool["type"]}" runs at Anthropic and has no counterpart on {_OTHER}.')
    function: Json = {
        "name": named(tool, "name", where),
        "parameters": mapping(tool.get("input_schema"), f"{where}.input_schema"),
    }
    if tool.get("description"):
        function["description"] = text(tool["description"], f"{where}.description")
    if tool.get("strict") is True:
        function["strict"] = True
    return _marked({"type": "function", "function": function}, tool)


def _output(found: Json, fields: Json) -> None:
    output = mapping(fields.get("output_config") or {}, "output_config")
    only(output, ("effort", "format"), {}, _OTHER)
    if output.get("effort") is not None:
        found["reasoning_effort"] = one_of(output["effort"], "output_config.effort", _EFFORTS)
    if output.get("format") is not None:
        form = mapping(output["format"], "output_config.format")
        one_of(form.get("type"), "output_config.format.type", ("json_schema",))
        schema = mapping(form.get("schema"), "output_config.format.schema")
        found["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }


def _messages(fields: Json) -> list[Json]:
    out: list[Json] = []
    system = fields.get("system")
    if system:
        out.append({"role": "system", "content": _texts(system, "system")})
    for index, message in enumerate(items(fields.get("messages"), "messages")):
        where = f"messages[{index}]"
        given = mapping(message, where)
        role = one_of(given.get("role"), f"{where}.role", ("user", "assistant", "system"))
        content = given.get("content")
        if type(content) is str:
            out.append({"role": role, "content": content})
        elif role == "system":
            out.append({"role": role, "content": _texts(content, f"{where}.content")})
        elif role == "user":
            _user(items(content, f"{where}.content"), f"{where}.content", out)
        else:
            _assistant(items(content, f"{where}.content"), f"{where}.content", out)
    return out


def _texts(value: object, where: str) -> str | list[Json]:
    if type(value) is str:
        return value
    return [_content_part(block, f"{where}[{place}]", ("text",)) for place, block in enumerate(items(value, where))]


def _user(blocks: list[Any], where: str, out: list[Json]) -> None:
    parts: list[Json] = []
    for place, block in enumerate(blocks):
        at = f"{where}[{place}]"
        if mapping(block, at).get("type") == "tool_result":
            out.append(_tool_result(block, at))
        else:
            parts.append(_content_part(block, at, ("text", "image", "document")))
    if parts:
        out.append({"role": "user", "content": parts})


def _tool_result(block: Json, where: str) -> Json:
    found: Json = {"role": "tool", "tool_call_id": named(block, "tool_use_id", where)}
    content = block.get("content")
    if content is None or type(content) is str:
        found["content"] = content or ""
    else:
        found["content"] = [
            _content_part(part, f"{where}.content[{place}]", ("text", "image", "document"))
            for place, part in enumerate(items(content, f"{where}.content"))
        ]
    if block.get("is_error") is True:
        found["is_error"] = True
    return found


def _content_part(block: object, where: str, kinds: tuple[str, ...]) -> Json:
    given = mapping(block, where)
    kind = named(given, "type", where)
    if kind not in kinds:
        raise Untranslatable(f"{where}.type", f'"{kind}" has no counterpart on {_OTHER}.')
    if kind == "text":
        return _marked({"type": "text", "text": text(given.get("text"), f"{where}.text")}, given)
    source = mapping(given.get("source"), f"{where}.source")
    if kind == "image":
        return _marked({"type": "image_url", "image_url": {"url": _url(source, f"{where}.source")}}, given)
    return _document(given, source, where)


def _document(given: Json, source: Json, where: str) -> Json:
    if source.get("type") == "text":
        return _marked({"type": "text", "text": text(source.get("data"), f"{where}.source.data")}, given)
    name = given.get("title")
    file = {"filename": name if name else "document.pdf", "file_data": _url(source, f"{where}.source")}
    return _marked({"type": "file", "file": file}, given)


def _url(source: Json, where: str) -> str:
    kind = one_of(source.get("type"), f"{where}.type", ("base64", "url"))
    if kind == "url":
        return named(source, "url", where)
    return f"data:{named(source, 'media_type', where)};base64,{named(source, 'data', where)}"


def _marked(part: Json, given: Json) -> Json:
    if type(given.get("cache_control")) is dict:
        part["cache_control"] = given["cache_control"]
    return part


def _assistant(blocks: list[Any], where: str, out: list[Json]) -> None:
    message: Json = {"role": "assistant", "content": None}
    parts: list[Json] = []
    calls: list[Json] = []
    thoughts: list[Json] = []
    for place, block in enumerate(blocks):
        at = f"{where}[{place}]"
        given = mapping(block, at)
        kind = given.get("type")
        if kind == "tool_use":
            arguments = orjson.dumps(mapping(given.get("input", {}), f"{at}.input")).decode()
            calls.append(hub.tool_call(named(given, "id", at), named(given, "name", at), arguments))
        elif kind in ("thinking", "redacted_thinking"):
            thoughts.append(signatures.to_detail(given))
        else:
            parts.append(_content_part(given, at, ("text",)))
    if parts:
        message["content"] = parts
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning_details"] = thoughts
    out.append(message)
