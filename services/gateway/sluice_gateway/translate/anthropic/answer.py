"""Anthropic's answers and streams as the hub's."""

from collections.abc import Callable

from sluice_gateway.tokens import are_counted
from sluice_gateway.translate import hub
from sluice_gateway.translate.anthropic import content
from sluice_gateway.translate.anthropic.errors import refused
from sluice_gateway.translate.anthropic.request import JSON_TOOL
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.hub import count, details, objects, word
from sluice_gateway.translate.shapes import Asked, FinishReason, Json, Usage
from sluice_gateway.translate.streams import SseStream

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


def usage_of(found: Json) -> Usage | None:
    """Return the counts of a `usage` object; its `input_tokens` are those that no cache was involved in."""
    usage = found.get("usage")
    if type(usage) is not dict or not are_counted(usage, "input_tokens", "output_tokens"):
        return None
    cached, written = count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens")
    return Usage(
        count(usage, "input_tokens") + cached + written,
        count(usage, "output_tokens"),
        cached,
        written,
        count(details(usage, "output_tokens_details"), "thinking_tokens"),
        min(written, count(details(usage, "cache_creation"), "ephemeral_1h_input_tokens")),
    )


def finish_of(reason: object) -> FinishReason:
    """Return the hub's finish reason; what is not known yet counts as a stop."""
    return _FINISH.get(reason, "stop") if isinstance(reason, str) else "stop"


def answer(found: Json, asked: Asked) -> Json:
    """Return the hub's answer for a message."""
    if found.get("type") != "message" or type(found.get("content")) is not list:
        raise BadAnswer("no message")
    texts: list[str] = []
    thoughts: list[str] = []
    signed: list[Json] = []
    calls: list[Json] = []
    finish = finish_of(found.get("stop_reason"))
    for block in objects(found, "content"):
        kind = block.get("type")
        if kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind == "tool_use" and block.get("name") == JSON_TOOL:
            texts.append(content.arguments(block))
            finish = "stop"
        elif kind == "tool_use":
            calls.append(hub.tool_call(str(block.get("id")), str(block.get("name")), content.arguments(block)))
        elif kind in ("thinking", "redacted_thinking"):
            thoughts.append(str(block.get("thinking", "")))
            signed.append(_detail(block))
    message = hub.assistant(texts, calls, [thought for thought in thoughts if thought], signed)
    return hub.answer(asked, [{**hub.choice(message, finish), **_stopped_by(found)}], usage_of(found))


def _stopped_by(found: Json) -> Json:
    # vLLM's name for the text that ended the answer
    return {"stop_reason": found["stop_sequence"]} if type(found.get("stop_sequence")) is str else {}


def _detail(block: Json) -> Json:
    if block["type"] == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": block.get("data"), "format": content.FORMAT}
    return {
        "type": "reasoning.text",
        "text": block.get("thinking", ""),
        "signature": block.get("signature"),
        "format": content.FORMAT,
    }


class MessageStream(SseStream):
    """A stream of a message's events."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._counts: Json = {}
        self._calls: dict[int, int] = {}
        self._json: set[int] = set()
        self._unwritten: dict[int, str] = {}
        self._thoughts: dict[int, Json] = {}
        self._handlers: dict[str, Callable[[Json], list[Json]]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "error": self._error,
        }

    def _event(self, found: Json) -> list[Json]:
        handle = self._handlers.get(str(found.get("type")))
        return [] if handle is None else handle(found)

    def _message_start(self, found: Json) -> list[Json]:
        self._count(details(found, "message"))
        return [self._chunk({"role": "assistant", "content": ""})]

    def _block_start(self, found: Json) -> list[Json]:
        block, place = details(found, "content_block"), count(found, "index")
        kind = block.get("type")
        if kind == "tool_use":
            self._unwritten[place] = content.arguments(block)
        if kind == "tool_use" and block.get("name") == JSON_TOOL:
            self._json.add(place)
        elif kind == "tool_use":
            number = self._calls[place] = len(self._calls)
            call = hub.tool_call(str(block.get("id")), str(block.get("name")), "", number)
            return [self._chunk({"tool_calls": [call]})]
        elif kind in ("thinking", "redacted_thinking"):
            self._thoughts[place] = dict(block)
        elif kind == "text" and block.get("text"):
            return [self._chunk({"content": block["text"]})]
        return []

    def _block_delta(self, found: Json) -> list[Json]:
        delta, place = details(found, "delta"), count(found, "index")
        kind = delta.get("type")
        if kind == "text_delta":
            return [self._chunk({"content": str(delta.get("text", ""))})]
        if kind == "input_json_delta":
            return self._arguments(place, str(delta.get("partial_json", "")))
        if kind == "thinking_delta" and place in self._thoughts:
            seen = str(delta.get("thinking", ""))
            self._thoughts[place]["thinking"] = word(self._thoughts[place], "thinking") + seen
            return [self._chunk({"reasoning_content": seen})]
        if kind == "signature_delta" and place in self._thoughts:
            self._thoughts[place]["signature"] = delta.get("signature")
        return []

    def _arguments(self, place: int, piece: str) -> list[Json]:
        if not piece:
            return []
        self._unwritten.pop(place, None)
        if place in self._json:
            return [self._chunk({"content": piece})]
        if place not in self._calls:
            return []
        return [self._chunk({"tool_calls": [{"index": self._calls[place], "function": {"arguments": piece}}]})]

    def _block_stop(self, found: Json) -> list[Json]:
        place = count(found, "index")
        if place in self._unwritten:  # a call without arguments comes without a piece of them
            return self._arguments(place, self._unwritten[place])
        block = self._thoughts.pop(place, None)
        return [] if block is None else [self._chunk({"reasoning_details": [_detail(block)]})]

    def _message_delta(self, found: Json) -> list[Json]:
        self._count(found)
        delta = details(found, "delta")
        if delta.get("stop_reason") is None:
            return []
        self.finish_reason = "stop" if self._json else finish_of(delta["stop_reason"])
        last = self._chunk({}, self.finish_reason)
        last["choices"][0] |= _stopped_by(delta)
        return [last]

    def _message_stop(self, _found: Json) -> list[Json]:
        self.done = True
        return [] if self.usage is None else [hub.usage_chunk(self.asked, self.usage)]

    def _error(self, found: Json) -> list[Json]:
        self.failure = refused(None, found)
        return []

    def _count(self, found: Json) -> None:
        # each event has the counts so far of some of the fields
        self._counts |= {name: value for name, value in details(found, "usage").items() if value is not None}
        self.usage = usage_of({"usage": self._counts}) or self.usage
