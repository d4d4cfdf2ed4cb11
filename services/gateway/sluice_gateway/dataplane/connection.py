"""One connection to a plain HTTP/1.1 engine, on `asyncio.Protocol` and httptools.

It carries one call at a time. The parser only collects; what it collected is handed on when it has read all that came. A
reply that is no event stream is handed on whole; an event stream with backpressure.
"""

import asyncio
from functools import partial
from typing import Protocol, cast

import httptools

from sluice_gateway.dataplane.chunked import are_chunks
from sluice_gateway.dataplane.known_head import HeadMemory
from sluice_gateway.dataplane.stream import PlainStream
from sluice_gateway.dataplane.timers import Limits
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import EVENT_STREAMS, Call, Reason, Receiver, Rest, UpstreamReply, content_type

_JOIN_LIMIT = 64 * 1024
_HEAD_END = b"\r\n\r\n"
_MOST_HEAD = 256 * 1024  # of a reply, in bytes: the parser joins a header's pieces, which takes ever longer
_OK = 200
_NEVER = float("inf")
_CLAIM_S = 1.0  # how long the rest of a call waits to be taken


class Owner(Protocol):
    """What a connection needs of the pool that it belongs to."""

    @property
    def limits(self) -> Limits:
        """Time limits of calls."""
        ...

    @property
    def turn(self) -> Turn:
        """What the loop writes at the end of its turn."""
        ...

    @property
    def heads(self) -> HeadMemory[bytes]:
        """How whole answers began, with their content type."""
        ...

    def give_back(self, connection: "Connection") -> None:
        """Take back a connection whose reply is complete."""
        ...


class _OutOfStep(Exception):
    """A second reply to one request; raised into the parser, so that it stops."""


class Connection(asyncio.Protocol):
    """One connection: waits for a reply (`_receiver`), hands on a stream (`_stream`), or is idle (neither)."""

    __slots__ = (
        "_armed",
        "_between",
        "_call",
        "_chunked",
        "_complete",
        "_content_type",
        "_due",
        "_framed",
        "_keep",
        "_limits",
        "_loop",
        "_max_bytes",
        "_on_limit",
        "_opening",
        "_parser",
        "_parts",
        "_pool",
        "_received",
        "_receiver",
        "_retry_after",
        "_size",
        "_status",
        "_stream",
        "_transport",
        "_turn",
        "_used",
        "alive",
        "idle_since",
    )  # fmt: skip

    def __init__(self, pool: Owner, loop: asyncio.AbstractEventLoop, max_bytes: int) -> None:
        self._pool = pool
        self._loop = loop
        self._max_bytes = max_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._call: Call
        self._due = 0.0
        self._armed = _NEVER  # when the limit of a call is looked at next
        self._receiver: Receiver | None = None
        self._stream: PlainStream | None = None
        self._limits = pool.limits
        self._turn = pool.turn
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
        self._chunked = False
        self._keep = False
        self._received = False
        self._opening = False
        self._complete = False
        self._between = False  # whether the parser is known to stand between two chunks of a stream

    def begin(self, call: Call, head: bytes, receiver: Receiver) -> None:
        """Send one call over this connection, which must be alive and idle."""
        transport = self._transport
        assert transport is not None
        if self._received:
            self._reset()
        self._call = call
        self._receiver = receiver
        due = self._loop.time() + call.timeout_s
        due = self._due = due if call.deadline is None else min(due, call.deadline)
        if due < self._armed:
            self._armed = due
            self._limits.at(due, self._on_limit)
        call.carrier = self
        if len(call.body) < _JOIN_LIMIT:
            self._turn.write(transport, head + call.body)
        else:
            transport.writelines((head, call.body))

    def discard(self) -> None:
        """Close the connection."""
        self.alive = False
        self._limits.cancel(self._on_limit)
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

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way: a reply without a length is complete now, any other is broken."""
        self._turn.end()  # what it has read before
        self.alive = False
        self._limits.cancel(self._on_limit)
        self._transport = None
        if self._receiver is None and self._stream is None:
            return
        if exc is None and self._status >= 200 and not self._framed:
            self._keep = False
            self._complete = True
            self._hand_on()
            return
        receiver = self._receiver
        if receiver is not None and self._used and not self._received:
            self._forget()
            receiver.stale()
            return
        self._fail("reset")

    def data_received(self, data: bytes) -> None:
        """Note what came; a stream's next part is handed on at once."""
        stream = self._stream
        if stream is not None:
            sink = stream.sink
            if self._between and sink is not None:  # the parser is between two chunks; one more comes with most reads
                end = data.find(b"\r\n", 1, 8)
                whole = data[:end] == b"%x" % (len(data) - end - 4) or are_chunks(data, 0)
                if whole and sink.chunks(data):
                    stream.active = True
                    return
                self._between = whole
            self.take(data)
        elif self._receiver is not None:
            self._turn.reply(self, data)
        else:
            self.discard()  # bytes that nobody asked for: the connection is out of step

    def refuse(self) -> None:
        """Close the connection: what it has read makes no sense."""
        self._fail("protocol")

    def take(self, data: bytes) -> None:
        """Parse what came and hand it on."""
        if self._receiver is None and self._stream is None:
            self.discard()  # its call was given up in this turn
            return
        stream = self._stream
        if stream is None and self._takes_known(data):
            return
        begins, self._received = not self._received, True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._complete:
                self._fail("too_large" if self._size > self._max_bytes else "protocol")
                return
            self._keep = False
        if not self._status:
            self._size += len(data)
            if self._size > _MOST_HEAD:
                self._fail("protocol")
                return
        if self._opening and self._chunked:
            head = data.find(_HEAD_END)
            self._between = head >= 0 and are_chunks(data, head + len(_HEAD_END))
        if self._complete and begins and self._says_enough:
            self._pool.heads.learn(data, self._content_type, self._loop.time())
        self._hand_on()

    def _takes_known(self, data: bytes) -> bool:
        # An answer whose head needs no parsing: the parser still stands where it was, between two answers.
        known = self._pool.heads.known
        body = None if known is None or self._received else known.body_of(data)
        if body is None or len(body) > self._max_bytes:
            return False
        assert known is not None
        receiver = self._forget()
        self._pool.give_back(self)
        receiver.replied(UpstreamReply(_OK, known.what, None, body, None))
        return True

    @property
    def _says_enough(self) -> bool:
        # Whether all that its head says is kept in a memory of heads.
        return self._status == _OK and self._keep and not (self._chunked or self._opening or self._retry_after)

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A status line begins; one that follows a complete reply was not asked for."""
        if self._complete:
            raise _OutOfStep

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few headers that matter; the rest of a provider's headers never leaves this module."""
        length = len(name)
        if length == 12:
            if name.lower() == b"content-type":
                self._content_type = content_type(value)
        elif length == 14:
            if name.lower() == b"content-length":
                self._framed = True
        elif length == 17:
            if name.lower() == b"transfer-encoding":
                self._framed = True
                self._chunked = value.lower() == b"chunked"
        elif length == 11 and name.lower() == b"retry-after":
            self._retry_after = value

    def on_headers_complete(self) -> None:
        """The head is complete: it tells whether an event stream follows."""
        status = self._status = self._parser.get_status_code()
        self._size = 0  # so far it was the head's
        self._keep = self._parser.should_keep_alive()
        if status >= 200 and self._content_type.startswith(EVENT_STREAMS):
            self._opening = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._parts.append(body)
        if not self._opening and self._stream is None:
            self._size += len(body)
            if self._size > self._max_bytes:
                raise _OutOfStep

    def on_message_complete(self) -> None:
        """The reply is complete; an interim one (1xx) is not the reply."""
        if 100 <= self._status < 200:
            self._reset()
            self._received = True
        else:
            self._complete = True

    # Handing on.

    def _hand_on(self) -> None:
        if self._opening:
            self._open_stream()
        stream = self._stream
        if stream is None:
            if self._complete and self._receiver is not None:
                self._hand_on_whole()
            return
        if self._parts:
            stream.feed(self._joined())
        if self._complete and self._stream is stream:
            self._stream = None
            self._call.carrier = None
            self._release(paused=stream.paused)
            stream.end()

    def _hand_on_whole(self) -> None:
        receiver = self._forget()
        reply = UpstreamReply(self._status, self._content_type, self._retry_after, self._joined(), None)
        self._release(paused=False)
        receiver.replied(reply)

    def _open_stream(self) -> None:
        self._opening = False
        stream = self._stream = PlainStream(self, self._loop)
        call = self._call
        receiver = self._forget()
        call.carrier = self
        if self._parts:
            self._watch(call, stream)
        else:  # engines send the head at once, and the first event when there is one
            stream.active = False
            self._watch_for_first(call, stream)
        receiver.replied(UpstreamReply(self._status, self._content_type, self._retry_after, b"", stream))

    def _forget(self) -> Receiver:
        # The call has its reply, or will never have one.
        receiver, self._receiver = self._receiver, None
        assert receiver is not None
        self._used = True
        self._call.carrier = None
        return receiver

    def _release(self, *, paused: bool) -> None:
        if self._keep and self.alive:
            if paused:
                self.resume()
            self._pool.give_back(self)
        else:
            self.discard()

    def _joined(self) -> bytes:
        parts = self._parts
        if len(parts) == 1:
            joined = parts[0]
            parts.clear()
        else:
            joined = b"".join(parts)
            self._parts = []
        return joined

    # Ending early.

    def drop_stream(self, stream: PlainStream) -> None:
        """Close the connection if it still carries this stream."""
        if self._stream is stream:
            self._stream = None
            self._call.carrier = None
            self.discard()

    def unwatch(self, stream: PlainStream) -> None:
        """Look no more whether this stream goes on."""
        self._limits.cancel(stream.look)

    def limit(self, stream: PlainStream, seconds: float) -> None:
        """Drop the stream if it has not ended after so many seconds."""
        self.unwatch(stream)
        stream.look = stream.close
        self._limits.at(self._loop.time() + seconds, stream.look)

    def cancel(self) -> None:
        """Nobody waits for the call that is carried: a stream is closed, a whole answer left to whoever takes its rest."""
        self._leave("cancelled")

    def wait(self, seconds: float) -> None:
        """Wait so long for the rest of the call that is carried."""
        due = self._due = self._loop.time() + seconds
        if due < self._armed:
            self._armed = due
            self._limits.at(due, self._on_limit)

    def _leave(self, reason: Reason) -> None:
        receiver, call = self._receiver, self._call
        if receiver is None or type(receiver) is Rest:
            self._fail(reason)
            return
        call.carrier = None
        self._receiver = call.rest = Rest(self)
        self.wait(_CLAIM_S)
        receiver.failed(reason)

    def _timed_out(self) -> None:
        # One look for many calls: it is not set anew with each of them.
        self._armed = _NEVER
        if self._receiver is None:
            return
        if self._loop.time() >= self._due:
            self._leave("timeout")
        else:
            self._armed = self._due
            self._limits.at(self._due, self._on_limit)

    def _fail(self, reason: Reason) -> None:
        # The connection is of no more use: close it and tell whoever waits.
        stream, self._stream = self._stream, None
        receiver = self._forget() if self._receiver is not None else None
        self.discard()
        if receiver is not None:
            receiver.failed(reason)
        if stream is not None:
            stream.fail(reason)

    def _watch(self, call: Call, stream: PlainStream) -> None:
        # One timer for a whole stream: it looks whether anything came since it last looked.
        due = self._loop.time() + call.idle_s
        stream.look = partial(self._look, call, stream)
        self._limits.at(due if call.deadline is None else min(due, call.deadline), stream.look)

    def _watch_for_first(self, call: Call, stream: PlainStream) -> None:
        # Looked at as often as the events after it, since it may come at once and the pause follow then.
        stream.look = partial(self._look_for_first, call, stream)
        self._limits.at(min(self._due, self._loop.time() + call.idle_s), stream.look)

    def _look_for_first(self, call: Call, stream: PlainStream) -> None:
        if stream.active or self._due <= self._loop.time():
            self._look(call, stream)
        elif self._stream is stream:
            self._watch_for_first(call, stream)

    def _look(self, call: Call, stream: PlainStream) -> None:
        if self._stream is not stream:
            return
        late = call.deadline is not None and call.deadline <= self._loop.time()
        if late or not (stream.active or stream.paused):
            self._fail("timeout")
            return
        stream.active = False
        self._watch(call, stream)
