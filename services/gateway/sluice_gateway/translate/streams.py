"""What all translators of a provider's stream share: the counts, the end, and what breaks one."""

from abc import ABC, abstractmethod

import orjson

from sluice_gateway import nesting
from sluice_gateway.translate import hub
from sluice_gateway.translate.events import EventReader, EventTooLong
from sluice_gateway.translate.shapes import Asked, FinishReason, Json, Refusal, Usage

# a stream that ended before its end, or that could not be understood
BROKEN = Refusal("failure")


class TranslatedStream(ABC):
    """The state of one stream; subclasses cut it into events and turn each into chunks."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None
        self.failure: Refusal | None = None
        self.done = False

    @abstractmethod
    def feed(self, data: bytes) -> list[Json]:
        """Take one read of the provider's body and return the chunks that are complete now."""

    @abstractmethod
    def finish(self) -> list[Json]:
        """Take the end of the body and return the last chunks."""

    @abstractmethod
    def _event(self, found: Json) -> list[Json]:
        """Return the chunks for one event."""

    def _chunk(self, delta: Json, finish: FinishReason | None = None, index: int = 0) -> Json:
        return hub.chunk(self.asked, delta, finish, index)

    def _must_be_done(self) -> None:
        if not self.done and self.failure is None:
            self.failure = BROKEN


class SseStream(TranslatedStream):
    """A stream of server-sent events with JSON data."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._reader = EventReader()

    def feed(self, data: bytes) -> list[Json]:
        """Take one read of the provider's body and return the chunks that are complete now."""
        chunks: list[Json] = []
        try:
            for event in self._reader.feed(data):
                self._take(event.data, chunks)
        except EventTooLong:
            self.failure = BROKEN
        return chunks

    def finish(self) -> list[Json]:
        """Take the end of the body and return the last chunks."""
        chunks: list[Json] = []
        for event in self._reader.finish():
            self._take(event.data, chunks)
        chunks += self._end()
        self._must_be_done()
        return chunks

    def _end(self) -> list[Json]:
        """Return the chunks that the end of the body itself brings."""
        return []

    def _take(self, data: bytes, chunks: list[Json]) -> None:
        if self.failure is not None or self.done:
            return
        try:
            found = nesting.loads(data)
        except orjson.JSONDecodeError:
            found = None
        if type(found) is dict:
            chunks += self._event(found)
        elif not self._marks_end(data):
            self.failure = BROKEN

    def _marks_end(self, data: bytes) -> bool:
        """Tell whether data that is no object is the provider's own mark of the end."""
        return False
