"""The server that rests: a Date header that goes on, and an end without delay."""

import asyncio
import signal

import uvicorn
from starlette.types import Receive, Scope, Send

from sluice.server import RestingServer


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """No request comes here."""


async def test_a_signal_ends_the_wait_at_once_and_not_at_the_next_tick() -> None:
    server = RestingServer(uvicorn.Config(nothing))
    loop = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0.05)
    assert not loop.done()
    server.handle_exit(signal.SIGTERM, None)
    for _ in range(20):  # turns of the loop that wait for nothing
        await asyncio.sleep(0)
    assert loop.done()
    await loop


async def test_a_signal_before_the_loop_is_not_lost() -> None:
    server = RestingServer(uvicorn.Config(nothing))
    server.handle_exit(signal.SIGTERM, None)
    await asyncio.wait_for(server.main_loop(), 60)


async def test_the_date_header_goes_with_the_time() -> None:
    server = RestingServer(uvicorn.Config(nothing))
    loop = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0.05)
    first = dict(server.server_state.default_headers)[b"date"]
    async with asyncio.timeout(60):
        while dict(server.server_state.default_headers)[b"date"] == first:
            await asyncio.sleep(0.05)
    server.handle_exit(signal.SIGTERM, None)
    await loop
