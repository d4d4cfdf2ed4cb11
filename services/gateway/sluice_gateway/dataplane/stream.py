"""The body of an event stream, between the connection that feeds it and whoever takes it: a reader or a sink."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from sluice_gateway.dataplane.upstream import Reason, StreamSink, UpstreamError

_HIGH_WATER = 256 * 1024


def nothing() -> None:
    """The time limit of a stream that nobody watches."""


class Carrier(Protocol):
    """What a stream needs of the connection that carries it."""

    def pause(self) -> None:
        """Stop reading from the upstream."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def drop_stream(self, stream: "PlainStream") -> None:
        """Close the connection if it still carries this stream."""
        ...

    def unwatch(self, stream: "PlainStream") -> None:
        """Look no more whether this stream goes on."""
        ...

    def limit(self, stream: "PlainStream", seconds: float) -> None:
        """Drop the stream if it has not ended after so many seconds."""
        ...


class PlainStream:
    """One stream. Its reader pauses the upstream by being behind, its `sink` by `pause`."""

    __slots__ = ("_carrier", "_ended", "_error", "_loop", "_parts", "_size", "_waiter", "active", "look", "paused", "sink")  # fmt: skip

    def __init__(self, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self._carrier: Carrier | None = carrier
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self.sink: StreamSink | None = None
        self._ended = False
        self._error: Reason | None = None
        self.active = True
        self.paused = False
        self.look: Callable[[], None] = nothing

    async def read(self) -> bytes:
        """Return all that has come since the last read; b"" at the end."""
        while not self._parts:
            if self._error is not None:
                raise UpstreamError(self._error)
            if self._ended:
                return b""
            self._waiter = self._loop.create_future()
            await self._waiter
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = []
        self._size = 0
        if self.paused:
            self.resume()
        return data

    def attach(self, sink: StreamSink) -> None:
        """Hand on all that comes from now on."""
        self.sink = sink

    def pause(self) -> None:
        """Stop reading from the upstream until `resume`."""
        if not self.paused and self._carrier is not None:
            self.paused = True
            self._carrier.pause()

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        if self._carrier is not None:
            self._carrier.resume()

    def drain(self, seconds: float) -> None:
        """Throw away what still comes, for so long."""
        self.sink = _Nowhere()
        if self.paused:
            self.resume()
        if self._carrier is not None:
            self._carrier.limit(self, seconds)

    def close(self) -> None:
        """Stop reading; a stream that is not at its end takes its connection with it."""
        self._parts = []
        self.sink = None
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.unwatch(self)
        if carrier is not None and not self._ended and self._error is None:
            self._error = "cancelled"
            carrier.drop_stream(self)

    def feed(self, data: bytes) -> None:
        """Take what came from the upstream."""
        self.active = True
        if self.sink is not None:
            self.sink.data(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER:
            self.pause()
        self._wake()

    def end(self) -> None:
        """Note the regular end; the connection belongs to the pool again."""
        self._ended = True
        self._leave()
        if self.sink is not None:
            self.sink.end()

    def fail(self, reason: Reason) -> None:
        """Note that nothing more will come, and why."""
        self._error = reason
        self._leave()
        if self.sink is not None:
            self.sink.broken(reason)

    def _leave(self) -> None:
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.unwatch(self)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class _Nowhere:
    """Takes what nobody wants."""

    def data(self, data: bytes) -> None:
        """Throw it away."""

    def chunks(self, data: bytes) -> bool:
        """Throw it away."""
        return True

    def end(self) -> None:
        """Do nothing."""

    def broken(self, reason: Reason) -> None:
        """Do nothing."""
