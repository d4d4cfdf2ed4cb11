"""The client for HTTP/1.1 engines and providers: a pool of kept connections."""

import asyncio
from collections import deque

from sluice_gateway.dataplane.connection import Connection
from sluice_gateway.dataplane.dialling import Dial, Origin
from sluice_gateway.dataplane.known_head import HeadMemory
from sluice_gateway.dataplane.timers import Limits
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Call, FormCall, Reason, Receiver, UpstreamError, UpstreamReply

_TICK_S = 0.02
_JSON = b"content-type: application/json\r\n"
_FIXED = b"POST %b HTTP/1.1\r\nhost: %b\r\n" + _JSON + b"accept: application/json, text/event-stream\r\nx-request-id: "
_VARYING = b"%b%b\r\n%bcontent-length: %d\r\n\r\n"
_MAX_PATHS = 100


class HttpPool:
    """Keep-alive connections to one origin."""

    def __init__(self, origin: Origin, *, idle_s: float, max_idle: int, max_reply_bytes: int, turn: Turn) -> None:
        self._dial = Dial(origin)
        self._authority = origin.authority.encode()
        self._idle_s = idle_s
        self._max_idle = max_idle
        self._max_reply_bytes = max_reply_bytes
        self._idle: deque[Connection] = deque()
        self._fixed: dict[str, bytes] = {}
        self._loop = asyncio.get_running_loop()
        self.limits = Limits(self._loop, _TICK_S)
        self.turn = turn
        self.heads: HeadMemory[bytes] = HeadMemory()
        self._closed = False

    def submit(self, call: Call, receiver: Receiver) -> bool:
        """Send a call over an idle connection and tell whether there was one."""
        connection = self._take()
        if connection is None:
            return False
        connection.begin(call, self._head(call), receiver)
        return True

    async def send(self, call: Call) -> UpstreamReply:
        """Send a call; one that meets a connection which the engine had just closed is sent again on a new one."""
        head = self._head(call)
        connection = self._take()
        if connection is not None:
            reply = await self._exchange(connection, call, head)
            if reply is not None:
                return reply
        reply = await self._exchange(await self._connect(call), call, head)
        if reply is None:
            raise UpstreamError("reset")
        return reply

    async def close(self) -> None:
        """Close idle connections now and busy ones when their reply is complete."""
        self._closed = True
        while self._idle:
            self._idle.pop().discard()

    def give_back(self, connection: Connection) -> None:
        """Take back a connection whose reply is complete; the least used idle one goes when its time is over."""
        idle = self._idle
        if self._closed or len(idle) >= self._max_idle:
            connection.discard()
            return
        now = connection.idle_since = self._loop.time()
        idle.append(connection)
        if now - idle[0].idle_since > self._idle_s:
            idle.popleft().discard()

    def _head(self, call: Call) -> bytes:
        fixed = self._fixed.get(call.path) or self._fix(call.path)
        if not call.headers:
            return _VARYING % (fixed, call.request_id.encode(), b"", len(call.body))
        lines = _lines(call.headers)
        if isinstance(call, FormCall):
            return _head_of_form(call, fixed, lines)
        return _VARYING % (fixed, call.request_id.encode(), lines, len(call.body))

    def _fix(self, path: str) -> bytes:
        # A pool serves few paths, so that the part of a head which is the same for each call is made once.
        if len(self._fixed) >= _MAX_PATHS:
            self._fixed.clear()
        fixed = self._fixed[path] = _FIXED % (path.encode(), self._authority)
        return fixed

    async def _exchange(self, connection: Connection, call: Call, head: bytes) -> UpstreamReply | None:
        # None says that the connection was stale.
        if call.cancelled or not connection.alive:
            connection.discard()
            raise UpstreamError("cancelled" if call.cancelled else "reset")
        waiter = _Waiter(self._loop.create_future())
        connection.begin(call, head, waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            call.cancel()
            raise

    def _take(self) -> Connection | None:
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.alive and self._loop.time() - connection.idle_since <= self._idle_s:
                return connection
            connection.discard()
        return None

    async def _connect(self, call: Call) -> Connection:
        limit = call.connect_timeout_s
        if call.deadline is not None:
            limit = max(0.001, min(limit, call.deadline - self._loop.time()))
        try:
            async with asyncio.timeout(limit):
                return await self._dial.connect(lambda: Connection(self, self._loop, self._max_reply_bytes))
        except TimeoutError as exc:
            raise UpstreamError(
                "timeout" if call.deadline is not None and limit < call.connect_timeout_s else "connect_timeout"
            ) from exc


def _head_of_form(call: FormCall, fixed: bytes, lines: bytes) -> bytes:
    fixed = fixed.replace(_JSON, b"", 1)  # the content type is one of the call's own headers
    return _VARYING % (fixed, call.request_id.encode(), lines, len(call.lead) + len(call.body)) + call.lead


class _Waiter:
    """The receiver of a call that a coroutine waits for."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[UpstreamReply | None]) -> None:
        self.future = future

    def replied(self, reply: UpstreamReply) -> None:
        if not self.future.done():
            self.future.set_result(reply)

    def failed(self, reason: Reason) -> None:
        if not self.future.done():
            self.future.set_exception(UpstreamError(reason))

    def stale(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


def _lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % (name.encode(), value.encode("latin-1")) for name, value in headers)
