"""Uvicorn's HTTP protocol with a short way in and out for the paths of the request path.

The head of such a request is looked at in the protocol, and its coroutine starts when the body is complete: no ASGI scope, no
message for each part of the body, no layers of applications. A whole answer leaves in one write, without a second look
at each header. Everything else, and every request that is unusual in its HTTP (1.0, Expect, pipelined), goes the long way through ASGI. Both ways
share all decisions and the pipeline behind them.

It uses parts of uvicorn that are not public, so uvicorn is pinned, and the tests run over both ways.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from sluice_gateway.dataplane.asgi import Headers
from sluice_gateway.dataplane.timers import Limits

_POST: Any = {"type": "http", "method": "POST"}


class Incoming(Protocol):
    """A request whose head has been read."""

    @property
    def refused(self) -> bool:
        """Whether the head alone is reason enough to refuse: the body is not waited for."""
        ...

    @property
    def limit(self) -> int:
        """Longest body that is taken in."""
        ...

    def answer(self, body: bytes | None, cycle: RequestResponseCycle) -> Coroutine[Any, Any, None]:
        """Return the coroutine that answers; the body is None when it is longer than the limit or not wanted."""
        ...


class ShortWay(Protocol):
    """What the protocol needs of the request path."""

    @property
    def idle(self) -> Limits:
        """Time limits of idle client connections."""
        ...

    def incoming(self, path: bytes, headers: Headers) -> Incoming | None:
        """Return the request for a POST, None when the path is not one of the request path's."""
        ...


class GatewayProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._incoming: Incoming | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._idle: Limits | None = None

    def on_message_begin(self) -> None:
        """Called by the parser; the ASGI scope is made later, for requests that need one."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._incoming = None

    def on_headers_complete(self) -> None:
        """Called by the parser: choose the way."""
        incoming = self._short_way()
        if incoming is None:
            url, headers, expect = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expect
            self.headers = self.scope["headers"] = headers
            super().on_headers_complete()
            return
        self._incoming = incoming
        self._parts = []
        self._size = 0
        self.cycle = RequestResponseCycle(
            scope=_POST,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if incoming.refused:
            self._start(incoming, None)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        incoming = self._incoming
        if incoming is None:
            if self.cycle is not None and not self._is_short(self.cycle):
                super().on_body(body)
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > incoming.limit:
            self._start(incoming, None)

    def on_message_complete(self) -> None:
        """Called by the parser: the body is complete."""
        incoming = self._incoming
        if incoming is not None:
            parts = self._parts
            self._start(incoming, parts[0] if len(parts) == 1 else b"".join(parts))
        elif self.cycle is not None and not self._is_short(self.cycle):
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called by the cycle: as uvicorn does, with one timer for all idle connections."""
        if self._idle is None or self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._idle.at(self.loop.time() + self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if self._idle is not None:
            self._idle.cancel(self.timeout_keep_alive_handler)
        super().connection_lost(exc)

    def _unset_keepalive_if_required(self) -> None:
        if self._idle is not None:
            self._idle.cancel(self.timeout_keep_alive_handler)
        super()._unset_keepalive_if_required()

    def _short_way(self) -> Incoming | None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy or self.expect_100_continue or self.parser.get_method() != b"POST":
            return None
        if (
            self.parser.get_http_version() != "1.1"
            or self.parser.should_upgrade()
            or self.limit_concurrency is not None
        ):
            return None
        plane: ShortWay | None = getattr(self.app, "short_way", None)
        if plane is None:
            return None
        self._idle = plane.idle
        return plane.incoming(self.url, self.headers)

    def _start(self, incoming: Incoming, body: bytes | None) -> None:
        self._incoming = None
        self._parts = []
        task = self.loop.create_task(incoming.answer(body, self.cycle))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    @staticmethod
    def _is_short(cycle: RequestResponseCycle) -> bool:
        return cycle.scope is _POST


def send_whole(cycle: RequestResponseCycle, head: bytes, body: bytes) -> bool:
    """Send a whole answer with status 200 and tell whether that was possible; `head` holds finished header lines.

    It is not possible when part of an answer was sent before, or while the client is too slow to take more.
    """
    if cycle.response_started or cycle.flow.write_paused:
        return False
    if cycle.disconnected:
        return True
    cycle.response_started = True
    cycle.response_complete = True
    lines: list[bytes] = [STATUS_LINE[200]]
    for name, value in cycle.default_headers:
        lines += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    lines += (head, b"\r\n", body)
    cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
