"""The hub's chunks as the events of Anthropic's message stream."""

from collections.abc import Sequence

from sluice_gateway.translate import hub
from sluice_gateway.translate.calls import CallNumbers
from sluice_gateway.translate.events import write_named
from sluice_gateway.translate.hub import details
from sluice_gateway.translate.messages import signatures
from sluice_gateway.translate.messages.answer import shell, stop_of, to_error, usage_json
from sluice_gateway.translate.said import Reader
from sluice_gateway.translate.shapes import Asked, Failure, Json, Usage


class EventsOut:
    """Writes one stream. Blocks come one after the other: a new one closes the one before."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._started = False
        self._open: str | None = None
        self._index = -1
        self._calls: dict[int, int] = {}
        self._numbers = CallNumbers()
        self._reader = Reader()
        self._seen = False
        self._stop: Json = {"stop_reason": "end_turn", "stop_sequence": None}
        self._usage = Usage()
        self._cost: Json = {}

    def feed(self, chunks: Sequence[Json]) -> bytes:
        """Return the events for some chunks."""
        out: list[bytes] = []
        for chunk in chunks:
            self._start(out)
            self._usage = hub.read_usage(chunk) or self._usage
            self._cost = hub.read_cost(chunk) or self._cost
            choices = chunk.get("choices")
            if choices and not choices[0].get("index"):
                self._choice(choices[0], out)
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what ends a stream that is complete."""
        out: list[bytes] = []
        self._start(out)
        self._say(self._reader.rest(), out)
        self._close(out)
        delta = {"type": "message_delta", "delta": self._stop, "usage": usage_json(self._usage) | self._cost}
        out.append(write_named("message_delta", delta))
        out.append(write_named("message_stop", {"type": "message_stop"}))
        return b"".join(out)

    def fail(self, error: Failure) -> bytes:
        """Return the event that ends a broken stream."""
        return write_named("error", to_error(error))

    def _start(self, out: list[bytes]) -> None:
        if not self._started:
            self._started = True
            out.append(write_named("message_start", {"type": "message_start", "message": shell(self._asked)}))

    def _choice(self, choice: Json, out: list[bytes]) -> None:
        self._say(self._reader.read(details(choice, "delta")), out)
        if choice.get("finish_reason") is not None:
            self._say(self._reader.rest(), out)
            self._stop = stop_of(choice, called=bool(self._calls))

    def _say(self, delta: Json, out: list[bytes]) -> None:
        seen = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(seen, str) and seen:
            self._seen = True
            self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""}, out)
            self._delta({"type": "thinking_delta", "thinking": seen}, out)
        for detail in delta.get("reasoning_details") or ():
            self._signature(detail, out)
        words = delta.get("content") or delta.get("refusal")
        if isinstance(words, str) and words:
            self._begin("text", {"type": "text", "text": ""}, out)
            self._delta({"type": "text_delta", "text": words}, out)
        for call in delta.get("tool_calls") or ():
            self._call(call, out)

    def _signature(self, detail: Json, out: list[bytes]) -> None:
        block = signatures.to_block(detail)
        if block is None:
            return
        if block["type"] == "thinking" and self._open == "thinking":
            self._delta({"type": "signature_delta", "signature": block["signature"]}, out)
            self._close(out)
        elif block["type"] == "redacted_thinking" or not self._seen:
            self._close(out)
            self._begin(block["type"], block, out)
            self._close(out)

    def _call(self, call: Json, out: list[bytes]) -> None:
        call = self._numbers.numbered(call)
        place = call["index"]
        function = details(call, "function")
        if place not in self._calls:
            self._close(out)
            identity = hub.safe_id(str(call.get("id") or f"{self._asked.id}_{place}"))
            block = {"type": "tool_use", "id": identity, "name": str(function.get("name")), "input": {}}
            self._begin(f"tool {place}", block, out)
            self._calls[place] = self._index
        piece = function.get("arguments")
        if isinstance(piece, str) and piece:
            event = {
                "type": "content_block_delta",
                "index": self._calls[place],
                "delta": {"type": "input_json_delta", "partial_json": piece},
            }
            out.append(write_named("content_block_delta", event))

    def _begin(self, kind: str, block: Json, out: list[bytes]) -> None:
        if self._open == kind:
            return
        self._close(out)
        self._open = kind
        self._index += 1
        event = {"type": "content_block_start", "index": self._index, "content_block": block}
        out.append(write_named("content_block_start", event))

    def _delta(self, delta: Json, out: list[bytes]) -> None:
        event = {"type": "content_block_delta", "index": self._index, "delta": delta}
        out.append(write_named("content_block_delta", event))

    def _close(self, out: list[bytes]) -> None:
        if self._open is not None:
            self._open = None
            event = {"type": "content_block_stop", "index": self._index}
            out.append(write_named("content_block_stop", event))
