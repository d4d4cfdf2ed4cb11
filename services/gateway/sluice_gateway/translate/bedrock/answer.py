"""Converse's answers and streams as the hub's."""

from collections.abc import Callable

import orjson

from sluice_gateway.tokens import are_counted
from sluice_gateway.translate import hub
from sluice_gateway.translate.bedrock.content import FORMAT
from sluice_gateway.translate.bedrock.errors import broken_off
from sluice_gateway.translate.bedrock.framing import BrokenFrame, Frame, FrameReader
from sluice_gateway.translate.bedrock.request import JSON_TOOL
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.hub import count, details, objects, word
from sluice_gateway.translate.shapes import Asked, FinishReason, Json, Usage
from sluice_gateway.translate.streams import BROKEN, TranslatedStream

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})


def usage_of(found: Json) -> Usage | None:
    """Return the counts of a `usage` object; its `inputTokens` are those that no cache was involved in."""
    usage = found.get("usage")
    if type(usage) is not dict or not are_counted(usage, "inputTokens", "outputTokens"):
        return None
    cached, written = count(usage, "cacheReadInputTokens"), count(usage, "cacheWriteInputTokens")
    hour = sum(count(kept, "inputTokens") for kept in objects(usage, "cacheDetails") if kept.get("ttl") == "1h")
    prompt = count(usage, "inputTokens") + cached + written
    return Usage(prompt, count(usage, "outputTokens"), cached, written, 0, min(written, hour))


def finish_of(reason: object) -> FinishReason:
    """Return the hub's finish reason; what is not known yet counts as a stop."""
    return _FINISH.get(reason, "stop") if isinstance(reason, str) else "stop"


def detail(reasoning: Json) -> Json | None:
    """Return the hub's reasoning detail for a block, None for one that is not signed."""
    if isinstance(reasoning.get("redactedContent"), str):
        return {"type": "reasoning.encrypted", "data": reasoning["redactedContent"], "format": FORMAT}
    words = details(reasoning, "reasoningText")
    if not isinstance(words.get("signature"), str):
        return None
    return {"type": "reasoning.text", "text": words.get("text", ""), "signature": words["signature"], "format": FORMAT}


def answer(found: Json, asked: Asked) -> Json:
    """Return the hub's answer for a Converse answer."""
    message = details(details(found, "output"), "message")
    if type(message.get("content")) is not list or word(found, "stopReason") in _MALFORMED:
        raise BadAnswer("no message")
    texts: list[str] = []
    thoughts: list[str] = []
    signed: list[Json] = []
    calls: list[Json] = []
    finish = finish_of(found.get("stopReason"))
    for block in objects(message, "content"):
        use, reasoning = details(block, "toolUse"), details(block, "reasoningContent")
        if use.get("name") == JSON_TOOL:
            texts.append(_arguments(use))
            finish = "stop"
        elif use:
            calls.append(hub.tool_call(str(use.get("toolUseId")), str(use.get("name")), _arguments(use)))
        elif reasoning:
            thoughts.append(str(details(reasoning, "reasoningText").get("text") or ""))
            signed += [item for item in (detail(reasoning),) if item is not None]
        else:
            texts.append(_words(block))
    said = hub.assistant([text for text in texts if text], calls, [thought for thought in thoughts if thought], signed)
    return hub.answer(asked, [hub.choice(said, finish)], usage_of(found))


def _words(block: Json) -> str:
    if isinstance(block.get("text"), str):
        return str(block["text"])
    return "".join(word(part, "text") for part in objects(details(block, "citationsContent"), "content"))


def _arguments(use: Json) -> str:
    return orjson.dumps(use.get("input") or {}).decode()


class ConverseStream(TranslatedStream):
    """A stream of Converse events in AWS's binary frames."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._reader = FrameReader()
        self._calls: dict[int, int] = {}
        self._json: set[int] = set()
        self._unwritten: set[int] = set()
        self._thoughts: dict[int, Json] = {}
        self._handlers: dict[str, Callable[[Json], list[Json]]] = {
            "messageStart": self._message_start,
            "contentBlockStart": self._block_start,
            "contentBlockDelta": self._block_delta,
            "contentBlockStop": self._block_stop,
            "messageStop": self._message_stop,
            "metadata": self._metadata,
        }

    def feed(self, data: bytes) -> list[Json]:
        """Take one read of the provider's body and return the chunks that are complete now."""
        chunks: list[Json] = []
        if self.failure is not None or self.done:
            return chunks
        try:
            for frame in self._reader.feed(data):
                chunks += self._frame(frame)
        except BrokenFrame:
            self.failure = BROKEN
        return chunks

    def finish(self) -> list[Json]:
        """Take the end of the body."""
        self._must_be_done()
        return []

    def _frame(self, frame: Frame) -> list[Json]:
        if self.failure is not None:
            return []
        if frame.failed:
            self.failure = broken_off(frame.name, frame.payload)
            return []
        handle = self._handlers.get(frame.name)
        return [] if handle is None else handle(frame.payload)

    def _event(self, found: Json) -> list[Json]:
        raise AssertionError("frames have names")  # pragma: no cover

    def _message_start(self, _found: Json) -> list[Json]:
        return [self._chunk({"role": "assistant", "content": ""})]

    def _block_start(self, found: Json) -> list[Json]:
        place, use = count(found, "contentBlockIndex"), details(details(found, "start"), "toolUse")
        if use:
            self._unwritten.add(place)
        if use.get("name") == JSON_TOOL:
            self._json.add(place)
        elif use:
            number = self._calls[place] = len(self._calls)
            return [
                self._chunk(
                    {"tool_calls": [hub.tool_call(str(use.get("toolUseId")), str(use.get("name")), "", number)]}
                )
            ]
        return []

    def _block_delta(self, found: Json) -> list[Json]:
        place, delta = count(found, "contentBlockIndex"), details(found, "delta")
        if isinstance(delta.get("text"), str):
            return [self._chunk({"content": delta["text"]})] if delta["text"] else []
        if "toolUse" in delta:
            return self._arguments(place, str(details(delta, "toolUse").get("input") or ""))
        reasoning = details(delta, "reasoningContent")
        return self._reasoning(place, reasoning) if reasoning else []

    def _arguments(self, place: int, piece: str) -> list[Json]:
        if not piece:
            return []
        self._unwritten.discard(place)
        if place in self._json:
            return [self._chunk({"content": piece})]
        if place not in self._calls:
            return []
        return [self._chunk({"tool_calls": [{"index": self._calls[place], "function": {"arguments": piece}}]})]

    def _reasoning(self, place: int, reasoning: Json) -> list[Json]:
        kept = self._thoughts.setdefault(place, {"reasoningText": {"text": ""}})
        if isinstance(reasoning.get("redactedContent"), str):
            kept["redactedContent"] = reasoning["redactedContent"]
        if isinstance(reasoning.get("signature"), str):
            kept["reasoningText"]["signature"] = reasoning["signature"]
        words = reasoning.get("text")
        if not isinstance(words, str) or not words:
            return []
        kept["reasoningText"]["text"] += words
        return [self._chunk({"reasoning_content": words})]

    def _block_stop(self, found: Json) -> list[Json]:
        place = count(found, "contentBlockIndex")
        if place in self._unwritten:  # a call without arguments comes without a piece of them
            return self._arguments(place, "{}")
        kept = self._thoughts.pop(place, None)
        signed = None if kept is None else detail(kept)
        return [] if signed is None else [self._chunk({"reasoning_details": [signed]})]

    def _message_stop(self, found: Json) -> list[Json]:
        reason = word(found, "stopReason")
        if reason in _MALFORMED:
            self.failure = BROKEN
            return []
        self.finish_reason = "stop" if self._json else finish_of(reason)
        return [self._chunk({}, self.finish_reason)]

    def _metadata(self, found: Json) -> list[Json]:
        self.usage = usage_of(found) or self.usage
        self.done = self.finish_reason is not None
        return [] if self.usage is None else [hub.usage_chunk(self.asked, self.usage)]
