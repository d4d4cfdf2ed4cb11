"""Anthropic's clients on Anthropic's models: what came passes on, and only what has to be billed is looked at."""

from collections.abc import Callable

import orjson

from sluice_gateway.translate.anthropic.answer import MessageStream, finish_of, usage_of
from sluice_gateway.translate.anthropic.request import VERSION, VERSION_WITH_SAMPLING
from sluice_gateway.translate.events import EventReader, EventTooLong
from sluice_gateway.translate.messages.stream import EventsOut
from sluice_gateway.translate.pairing import Answered, StreamPiece
from sluice_gateway.translate.shapes import Asked, Failure, FinishReason, Json, Refusal, UpstreamRequest, Usage
from sluice_gateway.translate.streams import BROKEN

_LAST = b"message_delta"
_SAMPLING = ("temperature", "top_p", "top_k")


def request(
    raw: bytes, fields: Json, upstream_model: str, *, version: str | None, beta: str | None, path: str = "/messages"
) -> UpstreamRequest:
    """Return the request for one that came in the same style: the bytes that came, unless the model has another name there.

    `version` and `beta` are the client's headers `anthropic-version` and `anthropic-beta`; `path` may be that of
    `count_tokens`.
    """
    body = raw
    if fields.get("model") != upstream_model or "sluice" in fields:
        body = orjson.dumps(
            {name: value for name, value in fields.items() if name != "sluice"} | {"model": upstream_model}
        )
    wanted = version or (VERSION_WITH_SAMPLING if any(name in fields for name in _SAMPLING) else VERSION)
    headers = (("anthropic-version", wanted),)
    return UpstreamRequest(path, (*headers, ("anthropic-beta", beta)) if beta else headers, body)


def answer(body: bytes, found: Json) -> Answered:
    """Return a whole answer as it came, with its counts."""
    return Answered(body, usage_of(found), finish_of(found.get("stop_reason")))


def _written(name: bytes, data: bytes) -> bytes:
    named = b"event: " + name + b"\n" if name else b""
    return named + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


class Relay:
    """One stream, event by event as it came, but for an error, whose words are the provider's, and the last counts.

    `cost` tells what the counts so far come to, in dollars; it is put beside those with which the answer ends.
    """

    def __init__(self, asked: Asked, cost: Callable[[], float | None] = lambda: None) -> None:
        self._cost = cost
        self._reader = EventReader()
        self._follower = MessageStream(asked)
        self._client = EventsOut(asked)
        self.chunks = 0

    @property
    def usage(self) -> Usage | None:
        """The best count known so far, also when the stream is dropped in the middle."""
        return self._follower.usage

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the answer ended, None while it has not."""
        return self._follower.finish_reason

    @property
    def failure(self) -> Refusal | None:
        """What broke the stream, None while nothing did."""
        return self._follower.failure

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the provider's body and return what goes to the client now."""
        out: list[bytes] = []
        try:
            for event in self._reader.feed(data):
                whole = _written(event.name, event.data)
                self._follower.feed(whole)
                if self._follower.failure is None:
                    out.append(self._with_cost(event.data) if event.name == _LAST else whole)
                    self.chunks += event.name == b"content_block_delta"
        except EventTooLong:
            self._follower.failure = BROKEN
        return StreamPiece(b"".join(out), self._follower.done)

    def _with_cost(self, data: bytes) -> bytes:
        cost = self._cost()
        found = None if cost is None else orjson.loads(data)
        if found is None or not isinstance(found.get("usage"), dict):
            return _written(_LAST, data)
        found["usage"]["sluice"] = {"cost_usd": cost}
        return _written(_LAST, orjson.dumps(found))

    def finish(self) -> StreamPiece:
        """Take the end of the provider's body."""
        self._follower.finish()
        return StreamPiece(b"", self._follower.done)

    def close(self) -> bytes:
        """Return what ends a complete stream: nothing, it has ended itself."""
        return b""

    def fail(self, error: Failure) -> bytes:
        """Return what ends a stream that broke."""
        return self._client.fail(error)
