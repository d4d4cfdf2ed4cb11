"""The hub's answers as Anthropic's messages."""

import orjson

from sluice_gateway import nesting
from sluice_gateway.translate import hub
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.hub import details
from sluice_gateway.translate.messages import signatures
from sluice_gateway.translate.messages.request import NO_THREADS
from sluice_gateway.translate.said import Reader
from sluice_gateway.translate.shapes import Asked, Failure, Json, Usage

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal",
          "function_call": "tool_use"}  # fmt: skip
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
          404: "not_found_error", 409: "conflict_error", 413: "request_too_large", 422: "invalid_request_error",
          429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error"}  # fmt: skip


def usage_json(usage: Usage) -> Json:
    """Return token counts in Anthropic's shape, where the input holds nothing that a cache was involved in."""
    hour, written = usage.cache_write_1h_tokens, usage.cache_write_tokens
    kept = {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour}
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens),
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": written,
        **({"cache_creation": kept} if hour else {}),
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def stop_of(choice: Json, *, called: bool) -> Json:
    """Return the stop reason of a choice, and the text that ended it where the provider tells."""
    reason = choice.get("finish_reason")
    found = _STOPS.get(reason, "end_turn") if isinstance(reason, str) else "end_turn"
    if called and found == "end_turn":
        found = "tool_use"  # some engines finish a tool call with "stop"
    sequence = choice.get("stop_reason")
    if found == "end_turn" and isinstance(sequence, str) and sequence:
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": found, "stop_sequence": None}


def shell(asked: Asked) -> Json:
    """Return a message with nothing in it."""
    return {
        "id": asked.id,
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_json(Usage()),
    }


def to_message(found: Json, asked: Asked) -> Json:
    """Return the message for a hub answer.

    Raises:
        BadAnswer: the answer has no choice, or a tool call whose arguments are no JSON object.
    """
    choices = found.get("choices")
    if type(choices) is not list or not choices or type(choices[0]) is not dict:
        raise BadAnswer("no choice")
    message = Reader().whole(details(choices[0], "message"))
    blocks = _thinking(message)
    words = message.get("content") or message.get("refusal")
    if words:
        blocks.append({"type": "text", "text": str(words)})
    calls = message["tool_calls"]
    blocks += [_tool_use(call, f"{asked.id}_{place}") for place, call in enumerate(calls)]
    usage = hub.read_usage(found) or Usage()
    return {
        **shell(asked),
        "content": blocks,
        **stop_of(choices[0], called=bool(calls)),
        "usage": usage_json(usage),
    }


def _thinking(message: Json) -> list[Json]:
    seen = message.get("reasoning_content") or message.get("reasoning")
    blocks = [
        block for detail in message.get("reasoning_details") or [] if (block := signatures.to_block(detail)) is not None
    ]
    if isinstance(seen, str) and seen and not any(block["type"] == "thinking" for block in blocks):
        blocks.insert(0, {"type": "thinking", "thinking": seen, "signature": ""})
    return blocks


def _tool_use(call: Json, unnamed: str) -> Json:
    function = details(call, "function")
    return {
        "type": "tool_use",
        "id": hub.safe_id(str(call.get("id") or unnamed)),
        "name": str(function.get("name")),
        "input": read_arguments(function.get("arguments")),
    }


def read_arguments(value: object) -> Json:
    """Return the object that a call's arguments are.

    Raises:
        BadAnswer: the model wrote no JSON object.
    """
    if isinstance(value, dict):
        return value
    raw = value.strip() if isinstance(value, str) else ""
    if not raw:
        return {}
    try:
        found = nesting.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise BadAnswer("arguments are no JSON") from exc
    if type(found) is not dict:
        raise BadAnswer("arguments are no object")
    return found


def to_error(error: Failure) -> Json:
    """Return an error in Anthropic's shape."""
    said: Json = {"type": _TYPES.get(error.status, "api_error"), "message": error.message}
    if error.code == NO_THREADS:
        said["details"] = {"error_code": NO_THREADS, "unsupported": [error.param]}
    return {"type": "error", "error": said}
