"""How long a client may keep its connection waiting: for its next request, for the rest of one, or by taking nothing of an answer.

Without a limit each such connection would hold memory, a file descriptor and, in the middle of a stream, an engine for ever.
"""

import asyncio
import fcntl
import sys
import termios
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sluice_gateway.dataplane.timers import Limits

_SLOWEST = 1024  # bytes a second of a body that is waited for


class Host(Protocol):
    """What a connection needs to know of how long it waits, and whom it tells."""

    @property
    def idle(self) -> Limits:
        """Time limits of client connections."""
        ...

    @property
    def patience_s(self) -> float:
        """How long a client may send no more of its request, or take nothing of its answer."""
        ...

    def client_left(self, reason: str) -> None:
        """Count a client whose connection was closed because it kept the gateway waiting (`body`, `answer`)."""
        ...


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with limits for what a client keeps waiting; without a host they are uvicorn's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._host: Host | None = None
        self._resting = False
        self._rested_at = 0.0
        self._watched = False  # whether the connection is looked at some time
        self._between = True  # whether the parser stands between two requests
        self._body_since = 0.0  # when the rest of a body was first waited for, 0 when none is
        self._size = 0  # what came of it
        self._unsent = 0  # bytes of an answer that the client has not taken
        self._unsent_since = 0.0
        self._on_look: Callable[[], None] = self._look

    def _begin_patience(self, host: Host) -> None:
        self._host = host
        self._resting = True
        self._rested_at = self.loop.time()
        self._look_at(self._rested_at + self.timeout_keep_alive)

    def _await_body(self, host: Host) -> None:
        self._body_since = self.loop.time()
        self._look_at(self._body_since + host.patience_s)

    def on_response_complete(self) -> None:
        """Go on as uvicorn does, with one timer for all idle connections."""
        if self._host is None or self.pipeline:
            super().on_response_complete()
            self._resting = self.timeout_keep_alive_task is not None
            return
        self.server_state.total_requests += 1
        self._resting = True
        self._rested_at = self.loop.time()
        flow = self.flow
        if flow.write_paused:
            flow.pause_reading()  # no further request is taken in before the client has taken this answer
        elif flow.read_paused:
            flow.resume_reading()
        if not self._watched:
            self._look_at(self._rested_at + self.timeout_keep_alive)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        if self._host is not None:
            self._unsent, self._unsent_since = _unsent(self.transport), self.loop.time()
            self._look_at(self._unsent_since + self._host.patience_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._host is not None:
            self._host.idle.cancel(self._on_look)
        super().connection_lost(exc)

    def _look_at(self, when: float) -> None:
        if self._host is not None and not self.transport.is_closing():
            self._watched = True
            self._host.idle.at(when, self._on_look)

    def _look(self) -> None:
        # One look for many rests: it is not set anew with each answer.
        self._end_turn()
        self._watched = False
        host, now = self._host, self.loop.time()
        assert host is not None
        if self.flow.write_paused:
            self._look_at_answer(host, now)
        elif self._resting:
            until = self._rested_at + self.timeout_keep_alive
            if now < until:
                self._look_at(until)
            else:
                self.timeout_keep_alive_handler()
        elif self._between or not self._body_since:
            self._look_at(now + self.timeout_keep_alive)
        else:
            self._look_at_body(host, now)

    def _look_at_answer(self, host: Host, now: float) -> None:
        unsent = _unsent(self.transport)
        if unsent < self._unsent:
            self._unsent, self._unsent_since = unsent, now
        until = self._unsent_since + host.patience_s
        if now < until:
            self._look_at(until)
        else:
            host.client_left("answer")
            self.transport.abort()  # to close it would be to wait until all is sent

    def _look_at_body(self, host: Host, now: float) -> None:
        if self.flow.read_paused:
            self._body_since = now  # it is the gateway that takes no more
        until = self._body_since + host.patience_s + self._size / _SLOWEST
        if now < until:
            self._look_at(until)
        else:
            host.client_left("body")
            self._refuse_late()

    @abstractmethod
    def _end_turn(self) -> None:
        """Handle what this connection has read."""

    @abstractmethod
    def _refuse_late(self) -> None:
        """Tell the client that its request did not come in time, and close the connection."""


def _unsent(transport: asyncio.Transport) -> int:
    # What this process holds of an answer, and what the kernel does that the client's has not acknowledged.
    waits = transport.get_write_buffer_size()
    if sys.platform != "linux":
        return waits
    try:
        held = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except (AttributeError, OSError):
        return waits
    return waits + int.from_bytes(held, sys.byteorder)
