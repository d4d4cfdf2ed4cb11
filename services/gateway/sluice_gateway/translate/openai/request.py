"""Hub requests without what only the hub knows, for providers of chat completions."""

import re

import orjson

from sluice_gateway.translate import options
from sluice_gateway.translate.options import Thinking
from sluice_gateway.translate.reading import items, mapping, text
from sluice_gateway.translate.shapes import Json

# models of OpenAI that think: they refuse `max_tokens` and take `reasoning_effort`
_THINKS = re.compile(r"(?:^|/)(?:o[1-9]|gpt-(?:[5-9]|\d\d))")
_OWN = ("reasoning_content", "reasoning_details", "is_error", "cache_control")
_LOW, _MEDIUM = 4096, 16384


def plain(fields: Json, upstream_model: str) -> bytes:
    """Return the body for a hub request of a client of another style."""
    out: Json = {**fields, "model": upstream_model, "messages": _messages(fields)}
    out.pop("sluice", None)
    if fields.get("tools"):
        tools = [mapping(tool, f"tools[{index}]") for index, tool in enumerate(items(fields["tools"], "tools"))]
        out["tools"] = [_plain(tool) for tool in tools]
    thinking = options.thinking(fields)
    out.pop("thinking", None)
    out.pop("reasoning_effort", None)
    if _THINKS.search(upstream_model):
        if "max_tokens" in out:
            out["max_completion_tokens"] = out.pop("max_tokens")
        effort = effort_of(thinking)
        if effort is not None:
            out["reasoning_effort"] = effort
    if fields.get("stream") is True:
        out["stream_options"] = {**mapping(fields.get("stream_options") or {}, "stream_options"), "include_usage": True}
    return orjson.dumps(out)


def effort_of(thinking: Thinking) -> str | None:
    """Return the effort that a wish to think comes to, None when there is none."""
    if thinking.effort is not None:
        return "xhigh" if thinking.effort == "max" else thinking.effort
    if thinking.budget is None:
        return None
    return "low" if thinking.budget < _LOW else "medium" if thinking.budget < _MEDIUM else "high"


def _messages(fields: Json) -> list[Json]:
    out: list[Json] = []
    shown: list[Json] = []
    for index, message in enumerate(items(fields.get("messages"), "messages")):
        given = mapping(message, f"messages[{index}]")
        if given.get("role") != "tool" and shown:
            out.append({"role": "user", "content": shown})
            shown = []
        if given.get("role") == "tool":
            out.append(_tool(given, shown))
        else:
            out.append(_message(given))
    if shown:
        out.append({"role": "user", "content": shown})
    return out


def _message(given: Json) -> Json:
    found = _plain(given)
    if type(found.get("content")) is list:
        found["content"] = [_part(part) for part in found["content"]]
    return found


def _part(part: object) -> object:
    return _plain(part) if isinstance(part, dict) else part


def _plain(given: Json) -> Json:
    return {name: value for name, value in given.items() if name not in _OWN}


def _tool(given: Json, shown: list[Json]) -> Json:
    """Return a tool's result as text; what else it holds goes into `shown`, for the user's message that follows."""
    found = _message(given)
    content = found.get("content")
    if type(content) is list:
        parts = [mapping(part, "a part of a tool's result") for part in content]
        words = [text(part.get("text"), "the text of a tool's result") for part in parts if part.get("type") == "text"]
        others = [part for part in parts if part.get("type") != "text"]
        if others:
            shown.append({"type": "text", "text": f"Shown by the tool call {given.get('tool_call_id')}:"})
            shown.extend(others)
            words = words or ["See the attachment that follows."]
        found["content"] = "\n".join(words)
    if given.get("is_error") is True and not str(found.get("content", "")).lower().startswith("error"):
        found["content"] = f"Error: {found.get('content', '')}"
    return found
