"""Clients that go away in the middle of a stream: each reads some words and closes its connection."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.errors import BenchError
from tests.bench.loadgen import Target

WORD_MARK = b"~"
MOST_WORDS = 32  # of 64: the other half is time for the gateway to notice
ANSWER_SECONDS = 30.0


class Abort(NamedTuple):
    """How one client goes: after how many words, and whether it closes its connection properly or resets it."""

    words: int
    reset: bool


def plan(number: int) -> Abort:
    """Return how the client with this number goes: every count of words has its turn, in both manners."""
    return Abort(1 + number // 2 % MOST_WORDS, reset=number % 2 == 1)


def request_bytes(target: Target, body: bytes) -> bytes:
    """Return the streamed request as bytes."""
    lines = [f"POST {target.path} HTTP/1.1", f"Host: 127.0.0.1:{target.port}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *target.headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def abort_streams(target: Target, body: Path, count: int, *, connections: int) -> None:
    """Begin `count` streams, so many at once, and go away from each in the middle.

    Raises:
        BenchError: a stream did not begin, or ended before its client left.
    """
    try:
        asyncio.run(_abort_all(target.port, request_bytes(target, body.read_bytes()), count, connections))
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise (
            first if isinstance(first, BenchError) else BenchError(f"A stream could not be begun: {first!r}")
        ) from failures


async def _abort_all(port: int, request: bytes, count: int, connections: int) -> None:
    numbers = iter(range(count))

    async def work(take: Callable[[], int | None]) -> None:
        while (number := take()) is not None:
            async with asyncio.timeout(ANSWER_SECONDS):
                await _abort_one(port, request, plan(number))

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work(lambda: next(numbers, None)))


async def _abort_one(port: int, request: bytes, abort: Abort) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    data = await reader.read(65536)
    if not data.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"A stream did not begin: {data[:200]!r}")
    seen = data.count(WORD_MARK)
    while seen < abort.words:
        data = await reader.read(65536)
        if not data:
            raise BenchError(f"A stream ended after {seen} words, before its client left.")
        seen += data.count(WORD_MARK)
    if abort.reset:
        writer.transport.abort()
    writer.close()
