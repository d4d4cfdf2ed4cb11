"""Uvicorn's HTTP protocol with a short way in and out for the paths of the request path.

The head of such a request is looked at in the protocol, and its body when it is complete: no ASGI scope, no message for each
part of the body, no layers of applications, and no task unless it has to wait for more than the model. Everything else, and
every request that is unusual in its HTTP (1.0, Expect, pipelined), goes the long way through ASGI. Both ways share all
decisions and the pipeline behind them.

It uses parts of uvicorn that are not public, so uvicorn is pinned, and the tests run over both ways.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from sluice.server import CLOSE
from sluice_gateway.dataplane.asgi import Headers
from sluice_gateway.dataplane.context import Heads
from sluice_gateway.dataplane.direct import DirectRequest
from sluice_gateway.dataplane.known_head import HeadMemory
from sluice_gateway.dataplane.patience import Host, PatientProtocol
from sluice_gateway.dataplane.stand_in import StandIn
from sluice_gateway.dataplane.table import Endpoint
from sluice_gateway.dataplane.turn import Turn

_log = logging.getLogger(__name__)
_POST: Any = {"type": "http", "method": "POST"}
_CLOSE = b"connection: close\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_MISTAKE = b"The gateway made a mistake. Try again; if it goes on, tell your administrator."
_MISTAKE_HEAD = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(_MISTAKE)
_LONGEST_HEAD = 64 * 1024
_TOO_LONG = b"The head of the request is too long. Send at most 64 KiB of headers."
_STALLED = b'{"type":"error","error":{"type":"timeout_error","code":"request_timeout","message":"The rest of the request did not come. Send it again.","param":null}}'
_STALLED_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(_STALLED)
_TOO_LONG_HEAD = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(_TOO_LONG)


class ShortWay(Host, Protocol):
    """What the protocol needs of the request path."""

    @property
    def turn(self) -> Turn:
        """What the loop writes at the end of its turn."""
        ...

    def incoming(self, path: bytes, headers: Headers, client: "GatewayProtocol") -> DirectRequest | None:
        """Return the request for a POST, None when the path is not one of the request path's."""
        ...

    def again(self, endpoint: Endpoint, heads: Heads, client: "GatewayProtocol") -> DirectRequest:
        """Return the request of a client that says the same in its head as in an earlier one."""
        ...

    def give_up(self) -> None:
        """End all requests that coroutines answer: the process is being stopped."""
        ...


def _never() -> bool:
    """Keep no connection: the server is being stopped."""
    return False


class GatewayProtocol(PatientProtocol):
    """One client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._incoming: DirectRequest | None = None  # its body is not complete
        self._direct: DirectRequest | None = None  # it is being answered
        self._stand_in: Any = StandIn()
        self._running: RequestResponseCycle | None = None  # of a request that left the short way
        self._parts: list[bytes] = []
        self._heads: HeadMemory[tuple[Endpoint, Heads]] = HeadMemory()
        self._in_head = False
        self._hosts = 0
        self._unread = (
            0  # bytes that came since the parser has last found a part of a body, or the end of a head or of a request
        )
        self._came: DirectRequest | None = None  # the last one whose body came
        self._plane: ShortWay | None = None
        self._turn: Turn  # of the request path
        self._common: list[tuple[bytes, bytes]] = []
        self._common_lines = b""
        self._may_stay: Callable[[], bool] = self.parser.should_keep_alive
        if CLOSE in self.server_state.default_headers:
            self.be_last()

    def data_received(self, data: bytes) -> None:
        """Note what came."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._plane is None:
            self.take(data)
        else:
            self._turn.request(self, data)

    def take(self, data: bytes) -> None:
        """Parse what came."""
        begins = self._between
        known = self._heads.known
        if known is not None and begins and self.cycle.response_complete:
            body = known.body_of(data)
            if body is not None:
                self._resting = False
                self._take_again(known.what, body)
                return
        self._came = None
        self._unread += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()
        except httptools.HttpParserError:
            self._send_now()
            self.send_400_response("Invalid HTTP request received.")
        self._learn_from(data, begins=begins)
        if self._in_head and begins:
            self._rested_at = self.loop.time()
        if not (self._between or self._in_head or self._body_since) and self._plane is not None:
            self._await_body(self._plane)
        if self._unread > _LONGEST_HEAD and not self.transport.is_closing():
            self._refuse_head()

    def refuse(self) -> None:
        """Close the connection: what it has read cannot be handled."""
        self.transport.abort()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin a request; the ASGI scope is made later, for requests that need one."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._incoming = None
        self._between = False
        self._in_head = True
        self._hosts = 0
        self._body_since = 0.0
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; what stands behind a body (RFC 9110, 6.5) is none."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"host":
            self._hosts += 1
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the way; without one host (RFC 9112, 3.2) there is none.

        Raises:
            HttpParserError: there is another number of them.
        """
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            raise httptools.HttpParserError("a request has one host")
        self._in_head = self._resting = False
        self._unread = 0
        incoming = self._short_way()
        if incoming is None:
            url, headers, expect = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expect
            self.headers = self.scope["headers"] = headers
            super().on_headers_complete()
            return
        self._incoming = incoming
        self._stand_in_for_cycle()
        if incoming.refused:
            self._begin(incoming, None)

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._unread = 0
        self._size += len(body)
        incoming = self._incoming
        if incoming is None:
            if self.cycle is not self._stand_in:
                super().on_body(body)
            return
        self._parts.append(body)
        if self._size > incoming.limit:
            self._begin(incoming, None)

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._between = True
        self._unread = 0
        incoming = self._incoming
        if incoming is not None:
            parts = self._parts
            self._begin(incoming, parts[0] if len(parts) == 1 else b"".join(parts))
        elif self.cycle is not self._stand_in:
            super().on_message_complete()

    def _short_way(self) -> DirectRequest | None:
        busy = self.cycle is not None and not self.cycle.response_complete
        parser = self.parser
        if busy or self.expect_100_continue or parser.get_method() != b"POST":
            return None
        if parser.get_http_version() != "1.1" or parser.should_upgrade() or self.limit_concurrency is not None:
            return None
        plane = self._plane or self._find_plane()
        return None if plane is None else plane.incoming(self.url, self.headers, self)

    def _find_plane(self) -> ShortWay | None:
        plane = self._plane = getattr(self.app, "short_way", None)
        if plane is not None:
            self._turn = plane.turn
        return plane

    def _refuse_head(self) -> None:
        # Also what stands behind a body, or beside the sizes of its chunks: then its request has an answer, or gets none.
        if self._in_head and self._direct is None and (self.cycle is None or self.cycle.response_complete):
            self._send_now()
            self.transport.write(
                b"".join((STATUS_LINE[431], self._common_head(), _CLOSE, _TOO_LONG_HEAD, b"\r\n", _TOO_LONG))
            )
        self.transport.close()

    def _refuse_late(self) -> None:
        if self.cycle is self._stand_in or not self.cycle.response_started:
            self._send_now()
            lines = (STATUS_LINE[408], self._common_head(), _CLOSE, _STALLED_HEAD, b"\r\n", _STALLED)
            self.transport.write(b"".join(lines))
        self.transport.close()

    def _learn_from(self, data: bytes, *, begins: bool) -> None:
        came, self._came = self._came, None
        if begins and came is not None:
            self._heads.learn(data, (came.endpoint, came.heads), self.loop.time())

    def _take_again(self, said: tuple[Endpoint, Heads], body: bytes) -> None:
        # A request whose head needs no parsing: the parser still stands where it was, between two requests.
        plane = self._plane
        assert plane is not None
        self._stand_in_for_cycle()
        incoming = plane.again(*said, self)
        self._begin(incoming, None if incoming.refused or len(body) > incoming.limit else body)
        self._came = None  # nothing to learn from it, and it shall not be kept by an idle connection

    def _stand_in_for_cycle(self) -> None:
        stand_in = self.cycle = self._stand_in
        stand_in.response_complete = False
        stand_in.keep_alive = self._may_stay()

    def _begin(self, incoming: DirectRequest, body: bytes | None) -> None:
        self._incoming = None
        self._parts = []
        self._came = incoming if body is not None and self._stand_in.keep_alive else None
        self._direct = incoming
        incoming.begin(body)

    # Called by the request.

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send a whole answer; `head` holds finished header lines."""
        keep = self._stand_in.keep_alive
        lines = (STATUS_LINE[status], self._common_head(), b"" if keep else _CLOSE, head, b"\r\n", body)
        self._turn.write(self.transport, b"".join(lines))
        self._complete()

    def begin_stream(self, head: bytes, first: bytes) -> None:
        """Send the head of a streamed answer and its first part, which may be empty."""
        self._turn.flush_for(self.transport)  # the answer to a request that came in the same read
        close = b"" if self._stand_in.keep_alive else _CLOSE
        part = b"%x\r\n%b\r\n" % (len(first), first) if first else b""
        self.transport.write(b"".join((STATUS_LINE[200], self._common_head(), close, head, _CHUNKED, part)))

    def send_part(self, data: bytes) -> None:
        """Send a part of a stream."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self, data: bytes) -> None:
        """Send the last part of a stream."""
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        self._complete()

    def converse(self) -> RequestResponseCycle:
        """Return uvicorn's cycle for a request that goes on as a coroutine; its body was taken already."""
        cycle = self._running = RequestResponseCycle(
            scope=_POST,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=self._stand_in.keep_alive,
            on_response=self.on_response_complete,
        )
        self._direct = None
        self._stand_in.response_complete = True
        if self.cycle is self._stand_in:
            self.cycle = cycle
        return cycle

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine that answers."""
        # In a context of its own: an engine's callbacks run in that of the request that opened its connection, with its trace and deadline.
        task = self.loop.create_task(coroutine, context=Context())
        task.add_done_callback(partial(self._ended, self._running))
        self.tasks.add(task)

    def _ended(self, cycle: RequestResponseCycle | None, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        wrong = None if task.cancelled() else task.exception()
        if wrong is not None:
            _log.error("a request ended by a mistake", exc_info=wrong)
        if cycle is None or cycle.response_complete or cycle.disconnected:
            return
        if wrong is None and (task.cancelled() or not cycle.response_started):
            return
        if not cycle.response_started:  # one that has begun and has no end is a broken connection
            lines = (STATUS_LINE[500], self._common_head(), _CLOSE, _MISTAKE_HEAD, b"\r\n", _MISTAKE)
            self.transport.write(b"".join(lines))
        self.transport.close()

    def _common_head(self) -> bytes:
        # Uvicorn makes a new list when the second changes.
        common = self.server_state.default_headers
        if common is not self._common:
            self._common = common
            self._common_lines = b"".join(b"%b: %b\r\n" % pair for pair in common if pair != CLOSE)
        return self._common_lines

    def _complete(self) -> None:
        self._direct = None
        self._stand_in.response_complete = True
        if not self._stand_in.keep_alive:
            self._send_now()
            self.transport.close()
        super().on_response_complete()

    # Called by the server when it is told to stop.

    def be_last(self) -> None:
        """Close the connection after the next answer."""
        self._may_stay = _never
        self._stand_in.keep_alive = False

    def shutdown(self) -> None:
        """Send what waits, and close the connection if nothing is being answered."""
        self._end_turn()
        super().shutdown()

    def _send_now(self) -> None:
        if self._plane is not None:
            self._turn.flush()

    def _end_turn(self) -> None:
        # What this connection has read in this turn counts before what happens to it now.
        if self._plane is not None:
            self._turn.end()

    def give_up(self) -> None:
        """End what is still being answered; its client is told why."""
        if self._direct is not None:
            self._direct.give_up()
        elif self._plane is not None:
            self._plane.give_up()

    # Called by uvicorn and the loop.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Give the client as long for the head of its first request as for that of the next one."""
        super().connection_made(transport)
        plane = self._find_plane()
        if plane is not None:
            self._begin_patience(plane)

    def on_response_complete(self) -> None:
        """Note that no coroutine answers any more."""
        self._running = None
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        if self._direct is not None:
            self._direct.slowed()

    def resume_writing(self) -> None:
        """The client has taken what it was sent."""
        super().resume_writing()
        if self._direct is not None:
            self._direct.resumed()
        elif self.cycle is not None and self.cycle.response_complete:
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers a request on this connection."""
        self._end_turn()
        running, direct = self._running, self._direct
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)
        if direct is not None:
            self._direct = None
            direct.gone()
