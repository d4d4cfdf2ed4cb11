"""The client for plain HTTP/1.1 engines: pooled connections on `asyncio.Protocol` and httptools.

One connection carries one call at a time. A reply that is no event stream is collected and wakes its waiter once; an
event stream is handed on with backpressure: reading from the engine pauses while the reader is behind.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import cast

import httptools

from sluice_gateway.dataplane.timers import Limits
from sluice_gateway.dataplane.upstream import Call, Reason, UpstreamError, UpstreamReply

_HIGH_WATER = 256 * 1024
_TICK_S = 0.02
_JOIN_LIMIT = 64 * 1024
_EVENT_STREAM = b"text/event-stream"
_HEAD = (
    b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n"
    b"x-request-id: %b\r\n%bcontent-length: %d\r\n\r\n"
)


class _Stale(Exception):
    """A kept-alive connection was closed by the engine before one byte of the reply came."""


class HttpPool:
    """Keep-alive connections to one host and port."""

    def __init__(self, host: str, port: int, *, idle_s: float, max_idle: int, max_reply_bytes: int) -> None:
        self._host = host
        self._port = port
        self._authority = f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()
        self._idle_s = idle_s
        self._max_idle = max_idle
        self._max_reply_bytes = max_reply_bytes
        self._idle: deque[_Connection] = deque()
        self._loop = asyncio.get_running_loop()
        self.limits = Limits(self._loop, _TICK_S)
        self._closed = False

    async def send(self, call: Call) -> UpstreamReply:
        """Send a call; one that meets a connection which the engine had just closed is sent again on a new one."""
        head = _HEAD % (call.path.encode(), self._authority, call.request_id.encode(), _optional(call), len(call.body))
        connection = self._take()
        if connection is not None:
            try:
                return await connection.exchange(call, head)
            except _Stale:
                pass
        connection = await self._connect(call)
        try:
            return await connection.exchange(call, head)
        except _Stale:
            raise UpstreamError("reset") from None

    async def close(self) -> None:
        """Close idle connections now and busy ones when their reply is complete."""
        self._closed = True
        while self._idle:
            self._idle.pop().discard()

    def give_back(self, connection: "_Connection") -> None:
        """Take back a connection whose reply is complete; the least used idle one goes when its time is over."""
        idle = self._idle
        if self._closed or len(idle) >= self._max_idle:
            connection.discard()
            return
        now = connection.idle_since = self._loop.time()
        idle.append(connection)
        if now - idle[0].idle_since > self._idle_s:
            idle.popleft().discard()

    def _take(self) -> "_Connection | None":
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.alive and self._loop.time() - connection.idle_since <= self._idle_s:
                return connection
            connection.discard()
        return None

    async def _connect(self, call: Call) -> "_Connection":
        limit = call.connect_timeout_s
        if call.deadline is not None:
            limit = max(0.001, min(limit, call.deadline - self._loop.time()))
        try:
            async with asyncio.timeout(limit):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self, self._loop, self._max_reply_bytes), self._host, self._port
                )
        except TimeoutError as exc:
            raise UpstreamError(
                "timeout" if call.deadline is not None and limit < call.connect_timeout_s else "connect"
            ) from exc
        except OSError as exc:
            raise UpstreamError("connect") from exc
        return connection


def _optional(call: Call) -> bytes:
    lines = b""
    if call.bearer is not None:
        lines = b"authorization: Bearer %b\r\n" % call.bearer.encode()
    if call.traceparent is not None:
        lines += b"traceparent: %b\r\n" % call.traceparent.encode()
    return lines


def _nothing() -> None:
    """The limit of a stream that nobody watches yet."""


class _Connection(asyncio.Protocol):
    """One connection: waits for a reply (`_waiter`), hands on a stream (`_stream`), or is idle (neither)."""

    __slots__ = ("_content_type", "_framed", "_keep", "_limits", "_loop", "_max_bytes", "_on_limit", "_parser", "_parts", "_pool", "_received", "_retry_after",
                 "_size", "_status", "_stream", "_transport", "_used", "_waiter", "alive", "idle_since")  # fmt: skip

    def __init__(self, pool: HttpPool, loop: asyncio.AbstractEventLoop, max_bytes: int) -> None:
        self._pool = pool
        self._loop = loop
        self._max_bytes = max_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[UpstreamReply] | None = None
        self._stream: PlainStream | None = None
        self._limits = pool.limits
        self._on_limit = self._timed_out
        self._used = False
        self._reset()
        self.alive = True
        self.idle_since = 0.0

    def _reset(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._status = 0
        self._content_type = b""
        self._retry_after: bytes | None = None
        self._framed = False
        self._keep = False
        self._received = False

    async def exchange(self, call: Call, head: bytes) -> UpstreamReply:
        """Send one call over this connection and return its reply."""
        transport = self._transport
        if call.cancelled or transport is None:
            self.discard()
            raise UpstreamError("cancelled" if call.cancelled else "reset")
        loop = self._loop
        self._reset()
        waiter = self._waiter = loop.create_future()
        due = loop.time() + call.timeout_s
        self._limits.at(due if call.deadline is None else min(due, call.deadline), self._on_limit)
        call.on_cancel(self._cancelled)
        if len(call.body) < _JOIN_LIMIT:
            transport.write(head + call.body)
        else:
            transport.writelines((head, call.body))
        try:
            reply: UpstreamReply = await waiter
        except asyncio.CancelledError:
            self._fail("cancelled")
            raise
        finally:
            self._limits.cancel(self._on_limit)
            self._used = True
        if reply.stream is None:
            call.on_cancel(None)
        else:
            self._watch(call)
        return reply

    def discard(self) -> None:
        """Close the connection."""
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading from the engine."""
        if self._transport is not None and self.alive:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self.alive:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: a reply without a length ends here, any other is broken."""
        self.alive = False
        self._transport = None
        if self._waiter is None and self._stream is None:
            return
        if exc is None and self._status >= 200 and not self._framed:
            self._keep = False
            self.on_message_complete()
            return
        waiter = self._waiter
        if waiter is not None and self._used and not self._received:
            self._waiter = None
            if not waiter.done():
                waiter.set_exception(_Stale())
            return
        self._fail("reset")

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._waiter is None and self._stream is None:
            self.discard()  # bytes that nobody asked for: the connection is out of step
            return
        self._received = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("protocol")
            return
        stream = self._stream
        if stream is not None and self._parts:
            stream.feed(self._joined())

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        """A status line begins; one that follows a complete reply was not asked for."""
        if self._waiter is None and self._stream is None:
            self.discard()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few headers that matter; the rest of a provider's headers never leaves this module."""
        length = len(name)
        if length == 12:
            if name.lower() == b"content-type":
                self._content_type = value
        elif length == 14:
            if name.lower() == b"content-length":
                self._framed = True
        elif length == 17:
            if name.lower() == b"transfer-encoding":
                self._framed = True
        elif length == 11 and name.lower() == b"retry-after":
            self._retry_after = value

    def on_headers_complete(self) -> None:
        """The head is complete: an event stream goes to its reader from here."""
        status = self._status = self._parser.get_status_code()
        self._keep = self._parser.should_keep_alive()
        if status < 200 or not self._content_type.startswith(_EVENT_STREAM):
            return
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        stream = self._stream = PlainStream(self, self._loop)
        waiter.set_result(UpstreamReply(status, self._content_type, self._retry_after, b"", stream))

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._parts.append(body)
        if self._stream is None:
            self._size += len(body)
            if self._size > self._max_bytes:
                self._fail("too_large")

    def on_message_complete(self) -> None:
        """The reply is complete; an interim one (1xx) is not the reply."""
        if 100 <= self._status < 200:
            self._reset()
            self._received = True
            return
        waiter, self._waiter = self._waiter, None
        stream, self._stream = self._stream, None
        if stream is not None:
            if self._parts:
                stream.feed(self._joined())
            stream.end()
        elif waiter is not None and not waiter.done():
            waiter.set_result(UpstreamReply(self._status, self._content_type, self._retry_after, self._joined(), None))
        elif waiter is None:
            return
        if self._keep and self.alive:
            if stream is not None and stream.paused:
                self.resume()
            self._pool.give_back(self)
        else:
            self.discard()

    def _joined(self) -> bytes:
        parts = self._parts
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = []
        return joined

    def drop_stream(self, stream: "PlainStream") -> None:
        """Close the connection if it still carries this stream."""
        if self._stream is stream:
            self._stream = None
            self.discard()

    def _cancelled(self) -> None:
        self._fail("cancelled")

    def _timed_out(self) -> None:
        self._fail("timeout")

    def _fail(self, reason: Reason) -> None:
        # The connection is of no more use: tell whoever waits and close it.
        waiter, self._waiter = self._waiter, None
        stream, self._stream = self._stream, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(UpstreamError(reason))
        if stream is not None:
            stream.fail(reason)
        self.discard()

    def _watch(self, call: Call) -> None:
        # One timer for a whole stream: it looks whether anything came since it last looked.
        stream = self._stream
        if stream is None:
            call.on_cancel(None)
            return
        due = self._loop.time() + call.timeout_s
        stream.look = partial(self._look, call, stream)
        self._limits.at(due if call.deadline is None else min(due, call.deadline), stream.look)

    def unwatch(self, stream: "PlainStream") -> None:
        """Look no more whether this stream goes on."""
        self._limits.cancel(stream.look)

    def _look(self, call: Call, stream: "PlainStream") -> None:
        if self._stream is not stream:
            return
        late = call.deadline is not None and call.deadline <= self._loop.time()
        if late or not (stream.active or stream.paused):
            self._fail("timeout")
            return
        stream.active = False
        self._watch(call)


class PlainStream:
    """The body of an event stream, between the connection that feeds it and the request that reads it."""

    __slots__ = ("_connection", "_ended", "_error", "_loop", "_parts", "_size", "_waiter", "active", "look", "paused")

    def __init__(self, connection: _Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection: _Connection | None = connection
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Reason | None = None
        self.active = True
        self.paused = False
        self.look: Callable[[], None] = _nothing

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
            self.paused = False
            if self._connection is not None:
                self._connection.resume()
        return data

    def close(self) -> None:
        """Stop reading; a stream that is not at its end takes its connection with it."""
        self._parts = []
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.unwatch(self)
        if connection is not None and not self._ended and self._error is None:
            self._error = "cancelled"
            connection.drop_stream(self)

    def feed(self, data: bytes) -> None:
        """Take what came from the engine."""
        self.active = True
        self._parts.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self.paused and self._connection is not None:
            self.paused = True
            self._connection.pause()
        self._wake()

    def end(self) -> None:
        """Note the regular end; the connection belongs to the pool again."""
        self._ended = True
        self._leave()

    def fail(self, reason: Reason) -> None:
        """Note that nothing more will come, and why."""
        self._error = reason
        self._leave()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.unwatch(self)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
