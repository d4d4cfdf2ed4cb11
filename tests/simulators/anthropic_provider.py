"""A provider that speaks Anthropic's Messages API over a real socket, with the checks and the faults of the real one.

Errors and events as documented at https://platform.claude.com/docs/en/api/errors and .../build-with-claude/streaming.
"""

import json
from collections.abc import Iterator
from typing import Any

from anthropic.types import MessageCountTokensParams, MessageCreateParams
from foreign_provider import Behaviour, ForeignProvider, Json, Refused
from openai_provider import Seen, words
from pydantic import TypeAdapter, ValidationError

KEY = "sk-ant-simulated"
_SAMPLING = {"temperature", "top_p", "top_k"}
_VERSIONS = {"2023-06-01", "2026-10-21"}
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}  # fmt: skip
_CREATE: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
_COUNT: TypeAdapter[Any] = TypeAdapter(MessageCountTokensParams)


class AnthropicProvider(ForeignProvider):
    """`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

    def is_streamed(self, seen: Seen) -> bool:
        """Tell whether a request wants a stream."""
        return seen.json.get("stream") is True

    def check(self, seen: Seen) -> None:
        """Refuse a missing key or version, fields that do not exist, and tool results that do not follow their calls."""
        if seen.headers.get("x-api-key") != KEY and seen.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "authentication_error", "invalid x-api-key")
        version = seen.headers.get("anthropic-version")
        if version not in _VERSIONS:
            raise Refused(400, "invalid_request_error", "anthropic-version: header is required")
        fields = seen.json
        given = _SAMPLING & set(fields)
        if version != "2023-06-01" and given:
            raise Refused(400, "invalid_request_error", f"{sorted(given)[0]}: Extra inputs are not permitted")
        known = {name: value for name, value in fields.items() if name not in _SAMPLING}
        try:
            (_COUNT if seen.path.endswith("/count_tokens") else _CREATE).validate_python(known, extra="forbid")
        except ValidationError as exc:
            where = exc.errors(include_url=False)[0]
            place = ".".join(str(part) for part in where["loc"])
            raise Refused(400, "invalid_request_error", f"{place}: {where['msg']}") from exc
        _check_results(fields["messages"])

    def whole(self, seen: Seen, behaviour: Behaviour) -> Json:
        """Return a message, or a count."""
        if seen.path.endswith("/count_tokens"):
            return {"input_tokens": _input(seen)}
        return {**_shell(seen), "content": _blocks(behaviour), **_stop(behaviour), "usage": _usage(seen, behaviour)}

    def events(self, seen: Seen, behaviour: Behaviour) -> Iterator[bytes]:
        """Return the events of a message."""
        start = {**_shell(seen), "usage": {**_usage(seen, behaviour), "output_tokens": 1}}
        yield _event("message_start", message=start)
        yield _event("ping")
        sent = 0
        for index, block in enumerate(_blocks(behaviour)):
            shown, deltas = _deltas(block)
            yield _event("content_block_start", index=index, content_block=shown)
            for delta in deltas:
                if sent == behaviour.stream_error_after:
                    yield _event("error", error={"type": "overloaded_error", "message": "secret-host is overloaded"})
                    return
                sent += 1
                yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        output = {"output_tokens": _usage(seen, behaviour)["output_tokens"]}
        yield _event("message_delta", delta=_stop(behaviour), usage=output)
        if behaviour.done:
            yield _event("message_stop")

    def error(self, status: int, kind: str | None, message: str) -> tuple[Json, dict[str, str]]:
        """Return an error in Anthropic's shape."""
        body = {
            "type": "error",
            "error": {"type": kind or _TYPES.get(status, "api_error"), "message": message},
            "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
        }
        return body, {"request-id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def _check_results(messages: list[Json]) -> None:
    waiting: list[str] = []
    for index, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(results) != sorted(waiting):
            raise Refused(
                400,
                "invalid_request_error",
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {waiting}",
            )
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]


def _input(seen: Seen) -> int:
    return len(json.dumps([seen.json.get("system"), seen.json["messages"]]).split())


def _shell(seen: Seen) -> Json:
    return {
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "model": seen.json["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(behaviour: Behaviour) -> list[Json]:
    blocks: list[Json] = []
    if behaviour.thinking is not None:
        blocks.append({"type": "thinking", "thinking": behaviour.thinking, "signature": "c2lnbmVk"})
    if behaviour.text:
        blocks.append({"type": "text", "text": behaviour.text * behaviour.repeat})
    for number, (name, arguments) in enumerate(behaviour.calls):
        blocks.append({"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments})
    return blocks


def _deltas(block: Json) -> tuple[Json, list[Json]]:
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": word} for word in words(block["text"])]
    if block["type"] == "thinking":
        seen: list[Json] = [{"type": "thinking_delta", "thinking": word} for word in words(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*seen, signed]
    raw = json.dumps(block["input"])
    pieces = ["", *(raw[i : i + 5] for i in range(0, len(raw), 5))]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _stop(behaviour: Behaviour) -> Json:
    return {"stop_reason": "tool_use" if behaviour.calls else "end_turn", "stop_sequence": None}


def _usage(seen: Seen, behaviour: Behaviour) -> Json:
    return {
        "input_tokens": _input(seen),
        "output_tokens": len(words(behaviour.text)) * behaviour.repeat,
        "cache_read_input_tokens": behaviour.cached,
        "cache_creation_input_tokens": 0,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
