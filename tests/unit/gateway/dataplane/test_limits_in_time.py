"""Time limits with one timer that seldom rings."""

import asyncio
from collections.abc import Callable

import pytest

from sluice_gateway.dataplane.timers import Limits

TICK_S = 0.02


class Seen:
    """When callbacks were called, in seconds since it was made."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.began = loop.time()
        self.calls: list[tuple[str, float]] = []

    def note(self, name: str) -> None:
        self.calls.append((name, self._loop.time() - self.began))


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.005)


class CountingLoop:
    """A loop whose timers are counted."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.set = 0

    def time(self) -> float:
        return self._loop.time()

    def call_at(self, when: float, callback: object) -> asyncio.TimerHandle:
        self.set += 1
        return self._loop.call_at(when, callback)  # type: ignore[arg-type]


async def test_limits_pass_in_their_order_and_not_before_their_time() -> None:
    loop = asyncio.get_running_loop()
    seen, limits = Seen(loop), Limits(loop, TICK_S)
    for name, after in (("late", 0.12), ("soon", 0.05), ("at once", -1.0)):
        limits.at(seen.began + after, lambda name=name: seen.note(name))  # type: ignore[misc]
    await until(lambda: len(seen.calls) == 3)
    assert [name for name, _ in seen.calls] == ["at once", "soon", "late"]
    assert all(at >= due for (_, at), due in zip(seen.calls, (0.0, 0.05, 0.12), strict=True))


async def test_what_is_forgotten_or_put_off_is_not_called() -> None:
    loop = asyncio.get_running_loop()
    seen, limits = Seen(loop), Limits(loop, TICK_S)

    def forgotten() -> None:
        seen.note("forgotten")

    def put_off() -> None:
        seen.note("put off")

    limits.at(seen.began + 0.03, forgotten)
    limits.at(seen.began + 0.03, put_off)
    limits.cancel(forgotten)
    limits.at(seen.began + 60, put_off)
    await asyncio.sleep(0.12)
    assert seen.calls == []


async def test_a_limit_may_set_or_forget_others_when_it_passes() -> None:
    loop = asyncio.get_running_loop()
    seen, limits = Seen(loop), Limits(loop, TICK_S)

    def second() -> None:
        seen.note("second")

    def third() -> None:
        seen.note("third")

    def first() -> None:
        limits.cancel(second)
        limits.at(loop.time() + 0.03, third)

    limits.at(seen.began, first)
    limits.at(seen.began, second)
    await until(lambda: seen.calls)
    await asyncio.sleep(2 * TICK_S)
    assert [name for name, _ in seen.calls] == ["third"]


@pytest.mark.parametrize("seconds", [60.0, 0.001])
async def test_many_waits_need_few_timers(seconds: float) -> None:
    loop = CountingLoop()
    limits = Limits(loop, TICK_S)  # type: ignore[arg-type]
    began = loop.time()
    waits = [lambda number=number: number for number in range(5000)]  # type: ignore[misc]
    for wait in waits:
        limits.at(loop.time() + seconds, wait)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        limits.cancel(wait)  # type: ignore[arg-type]
    assert loop.set <= 2 + (loop.time() - began) / TICK_S
    if seconds > 1:
        assert loop.set == 1
