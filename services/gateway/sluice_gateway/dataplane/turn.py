"""What one turn of the event loop reads and writes, step by step for all of it.

Writes go out together at the end: each write to a process that sleeps wakes it, and on a virtual machine that wakes another
processor, which costs more than the write. Several writes in a row find it awake after the first.

What was read is handled together, too, in four steps: the replies of engines are read, then answered with, requests are admitted, then
asked. A request takes some hundred KiB of code and objects through a processor's caches, the kernel's part not counted, and a turn holds
many requests: step by step each finds there what the one before it has brought. One after the other, from its first byte to its last, none does.
Where a turn holds few requests, there is little to be found, and the first would wait for the last: they go one after the other.
"""

import asyncio
from time import monotonic
from typing import Protocol

_PATIENCE_S = 0.0005  # how long a write waits for others where many coroutines write in a turn
_FEW = 4  # so few requests do not wait for each other


class Reader(Protocol):
    """A connection that hands on later what it has read."""

    def take(self, data: bytes) -> None:
        """Handle what was read."""
        ...

    def refuse(self) -> None:
        """Close the connection, since handling what it read has failed."""
        ...


class Request(Protocol):
    """A request that goes through its steps with others."""

    def go(self) -> None:
        """Ask the model, or whoever else has the answer: it was admitted."""
        ...

    def finish(self) -> None:
        """Give the answer: it was accepted."""
        ...

    def refuse(self) -> None:
        """Close its connection, since it cannot go on."""
        ...


class Turn:
    """Keeps the order of what is read from one connection, and of what is written through it; what is written past it may come first."""

    __slots__ = (
        "_accepted",
        "_admitted",
        "_handling",
        "_loop",
        "_planned",
        "_replies",
        "_requests",
        "_since",
        "_waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._since = 0.0
        self._planned = False  # whether the end of this turn is known to the loop
        self._handling = False
        self._replies: list[tuple[Reader, bytes]] = []
        self._requests: list[tuple[Reader, bytes]] = []
        self._accepted: list[Request] = []
        self._admitted: list[Request] = []
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def reply(self, connection: Reader, data: bytes) -> None:
        """Hand on soon what an engine has sent."""
        self._replies.append((connection, data))
        if not self._planned:
            self._plan()

    def request(self, connection: Reader, data: bytes) -> None:
        """Hand on soon what a client has sent."""
        self._requests.append((connection, data))
        if not self._planned:
            self._plan()

    def accepted(self, request: Request) -> None:
        """Let a request go on soon whose answer was accepted."""
        self._accepted.append(request)
        if not self._planned:
            self._plan()

    def admitted(self, request: Request) -> None:
        """Let a request go on soon that was admitted."""
        self._admitted.append(request)
        if not self._planned:
            self._plan()

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write soon: after this step, or at the end of this turn, or when the first one has waited for long."""
        waiting = self._waiting
        waiting.append((transport, data))
        if len(waiting) == 1:
            self._since = monotonic()
            if not self._planned:
                self._plan()
        elif not self._handling and monotonic() - self._since > _PATIENCE_S:
            self.flush()

    def end(self) -> None:
        """Handle now what was read, and write."""
        if not self._handling:
            self._handling = True
            try:
                self._handle()
            finally:
                self._handling = self._planned = False
        self.flush()
        if (self._replies or self._accepted or self._requests or self._admitted) and not self._planned:
            self._plan()  # what came of the last steps

    def flush_for(self, transport: asyncio.Transport) -> None:
        """Write now if anything waits for this connection: something is about to be written past it."""
        if self._waiting and any(one is transport for one, _ in self._waiting):
            self.flush()

    def flush(self) -> None:
        """Write now; what waits for a connection that was closed in the meantime is dropped."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)

    def _plan(self) -> None:
        self._planned = True
        self._loop.call_soon(self.end)

    def _handle(self) -> None:
        few = len(self._replies) + len(self._requests) <= _FEW
        replies, self._replies = self._replies, []
        for connection, data in replies:
            try:
                connection.take(data)
            except Exception as exc:  # noqa: BLE001 - what one connection brings does not keep the others waiting
                self._failed(connection, exc)
            if few:
                self._finish()
        self._finish()  # answers do not wait for the requests of others
        requests, self._requests = self._requests, []
        for connection, data in requests:
            try:
                connection.take(data)
            except Exception as exc:  # noqa: BLE001 - as above
                self._failed(connection, exc)
            if few:
                self._go()
        self._go()

    def _finish(self) -> None:
        if self._accepted:
            accepted, self._accepted = self._accepted, []
            for request in accepted:
                try:
                    request.finish()
                except Exception as exc:  # noqa: BLE001 - as above
                    self._failed(request, exc)
        if self._waiting:
            self.flush()

    def _go(self) -> None:
        if self._admitted:
            admitted, self._admitted = self._admitted, []
            for request in admitted:
                try:
                    request.go()
                except Exception as exc:  # noqa: BLE001 - as above
                    self._failed(request, exc)
        if self._waiting:
            self.flush()

    def _failed(self, whose: Reader | Request, exc: Exception) -> None:
        said = {"message": "What a connection has read could not be handled.", "exception": exc}
        self._loop.call_exception_handler(said)
        whose.refuse()
