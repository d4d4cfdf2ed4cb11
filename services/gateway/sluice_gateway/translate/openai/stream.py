"""Streams of chat completions, read as chunks."""

from sluice_gateway.translate import hub
from sluice_gateway.translate.openai.errors import refused
from sluice_gateway.translate.shapes import FinishReason, Json
from sluice_gateway.translate.streams import BROKEN, SseStream

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ChunkStream(SseStream):
    """A stream that is in the hub's shape already."""

    def _event(self, found: Json) -> list[Json]:
        if "error" in found and not found.get("choices"):
            self.failure = refused(None, found)
            return []
        if not hub.is_chunk(found):
            self.failure = BROKEN
            return []
        self.usage = hub.read_usage(found) or self.usage
        for choice in found.get("choices") or ():
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                self.finish_reason = _FINISH.get(reason, "stop")
        return [found]

    def _marks_end(self, data: bytes) -> bool:
        if data.strip() != b"[DONE]":
            return False
        self.done = True
        return True

    def _end(self) -> list[Json]:
        # some engines close without [DONE]
        self.done = self.done or (self.finish_reason is not None and self.failure is None)
        return []
