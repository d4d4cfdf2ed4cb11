"""Clients of the Responses API on servers that have it: what came passes on, and only what has to be billed is looked at.

Events and fields: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Callable

import orjson

from sluice_gateway import nesting
from sluice_gateway.tokens import are_counted
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.events import EventReader, EventTooLong
from sluice_gateway.translate.hub import count, details
from sluice_gateway.translate.pairing import StreamPiece
from sluice_gateway.translate.shapes import FinishReason, Json, Refusal, UpstreamRequest, Usage
from sluice_gateway.translate.streams import BROKEN

_STATE = ("previous_response_id", "conversation", "background")
_LAST = (b"response.completed", b"response.incomplete")
_FAILED = (b"response.failed", b"error")


def request(raw: bytes, fields: Json, upstream_model: str) -> UpstreamRequest:
    """Return the request for one that came in the same style: the bytes that came, unless the model has another name there.

    The server is told to keep nothing: what is kept, the gateway keeps, apart by tenant.

    Raises:
        Untranslatable: it refers to what the server keeps for all callers of its key, or goes on when nobody counts any more.
    """
    state = next((name for name in _STATE if fields.get(name)), None)
    items = fields.get("input")
    parts = items if type(items) is list else ()
    if any(type(part) is dict and part.get("type") == "item_reference" for part in parts):
        state = "input"
    if state is not None:
        raise Untranslatable(
            state, "is not passed on: what a provider keeps is not kept apart by tenant. Send the whole conversation."
        )
    body = raw
    if fields.get("model") != upstream_model or "sluice" in fields or fields.get("store") is not False:
        kept = {name: value for name, value in fields.items() if name != "sluice"}
        body = orjson.dumps(kept | {"model": upstream_model, "store": False})
    return UpstreamRequest("/responses", (), body)


def usage_of(found: Json) -> Usage | None:
    """Return the token counts of a response, None if it has none that make sense."""
    usage = found.get("usage")
    if type(usage) is not dict or not are_counted(usage, "input_tokens", "output_tokens"):
        return None
    read, written = details(usage, "input_tokens_details"), details(usage, "output_tokens_details")
    return Usage(
        count(usage, "input_tokens"),
        count(usage, "output_tokens"),
        count(read, "cached_tokens"),
        count(read, "cache_write_tokens"),
        count(written, "reasoning_tokens"),
    )


class Relay:
    """One stream, event by event as it came; the counts of its last event get what they come to beside them.

    `cost` tells that in dollars, None when it is not wanted or not known. A failure that the server tells of is not passed
    on: its words are the server's.
    """

    def __init__(self, cost: Callable[[], float | None] = lambda: None) -> None:
        self._cost = cost
        self._reader = EventReader()
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None
        self.failure: Refusal | None = None
        self.chunks = 0

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the server's body and return what goes to the client now."""
        out: list[bytes] = []
        try:
            for event in self._reader.feed(data):
                self._take(event.name, event.data, out)
        except EventTooLong:
            self.failure = BROKEN
        return StreamPiece(b"".join(out), self.finish_reason is not None)

    def finish(self) -> StreamPiece:
        """Take the end of the server's body."""
        if self.finish_reason is None and self.failure is None:
            self.failure = BROKEN
        return StreamPiece(b"", done=True)

    def _take(self, name: bytes, data: bytes, out: list[bytes]) -> None:
        if self.failure is not None or self.finish_reason is not None or not data:
            return
        if name in _FAILED:
            self.failure = BROKEN
            return
        if name in _LAST:
            data = self._counted(name, data)
        else:
            self.chunks += name.endswith(b".delta")
        if self.failure is None:
            out.append(b"event: " + name + b"\ndata: " + data.replace(b"\n", b"\ndata: ") + b"\n\n")

    def _counted(self, name: bytes, data: bytes) -> bytes:
        try:
            found = nesting.loads(data)
        except orjson.JSONDecodeError:
            found = None
        response = found.get("response") if type(found) is dict else None
        if type(response) is not dict:
            self.failure = BROKEN
            return data
        self.usage = usage_of(response)
        self.finish_reason = "stop" if name == _LAST[0] else "length"
        cost = self._cost()
        if cost is None or self.usage is None:
            return data
        response["usage"]["sluice"] = {"cost_usd": cost}
        return orjson.dumps(found)
