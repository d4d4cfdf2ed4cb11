"""uvicorn's server, made to rest: it wakes once a second and when it is told to stop; and made to leave in good order."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Protocol, runtime_checkable

import uvicorn

from sluice.memory import settle_memory

_TICK_S = 1.0
CLOSE = (b"connection", b"close")


@runtime_checkable
class Guest(Protocol):
    """A client's connection that knows what to do when the server leaves."""

    def be_last(self) -> None:
        """Close the connection after the next answer."""
        ...

    def give_up(self) -> None:
        """End what is still being answered; its client is told why."""
        ...


def _nobody() -> None:
    """Tell nobody."""


class RestingServer(uvicorn.Server):
    """Serves like uvicorn, without looking ten times a second whether it should stop.

    Told to stop, it first lets its clients leave: `leaving` is called (readiness goes down), and for `drain_s` seconds connections
    are still taken, each closed after its next answer, as the answer says. Then nothing more is taken, and what is being
    answered has `finish_s` seconds; what has not ended then is ended by its connection, if that knows how.

    Once a second is what the Date header needs, and a signal ends the wait at once. Measured on an idle service: 0.01 % of
    a core in place of 0.10 %.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain_s: float = 0.0,
        finish_s: float | None = None,
        leaving: Callable[[], None] = _nobody,
    ) -> None:
        super().__init__(config)
        self._drain_s = drain_s
        self._finish_s = finish_s
        self._leaving = leaving
        self._told = asyncio.Event()
        self._forced = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        settle_memory()
        self._loop = asyncio.get_running_loop()
        told = asyncio.create_task(self._told.wait())
        try:
            while not await self.on_tick(0):  # at 0 it renews the Date header
                await asyncio.wait([told], timeout=_TICK_S)
        finally:
            told.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note that a signal asks for the end, and wake the loop."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)
            if self.force_exit:
                self._loop.call_soon_threadsafe(self._forced.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let clients leave, then finish what is being answered, then close everything."""
        self._leaving()
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        for guest in self._guests():
            guest.be_last()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                await self._forced.wait()
        last_call = None
        if self._finish_s is not None:
            last_call = asyncio.get_running_loop().call_later(self._finish_s, self._give_up)
        try:
            await super().shutdown(sockets)
        finally:
            if last_call is not None:
                last_call.cancel()

    def _give_up(self) -> None:
        for guest in self._guests():
            guest.give_up()

    def _guests(self) -> list[Guest]:
        return [one for one in self.server_state.connections if isinstance(one, Guest)]
