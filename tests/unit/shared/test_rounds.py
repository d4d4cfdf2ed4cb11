"""Rounds: quick while there is work, seldom while there is none, at once when woken."""

import asyncio

from sluice.loops import Rounds

EVERY_S = 0.02


class Work:
    """Counts rounds; `open` is what a round finds."""

    def __init__(self, *, open_: bool) -> None:
        self.open = open_
        self.rounds = 0

    async def __call__(self) -> bool:
        self.rounds += 1
        return self.open


async def rounds_within(work: Work, seconds: float) -> tuple[int, float]:
    """Return how many there were, and in what time: a busy machine may take longer."""
    began = asyncio.get_running_loop().time()
    task = asyncio.create_task(Rounds(work, EVERY_S).run())
    await asyncio.sleep(seconds)
    task.cancel()
    return work.rounds, asyncio.get_running_loop().time() - began


async def until(work: Work, rounds: int) -> None:
    async with asyncio.timeout(60):
        while work.rounds < rounds:
            await asyncio.sleep(0.005)


async def test_open_work_is_looked_at_often_and_none_is_seldom() -> None:
    (busy, _), (idle, took) = await asyncio.gather(
        rounds_within(Work(open_=True), 0.5), rounds_within(Work(open_=False), 0.5)
    )
    assert idle <= 1 + took / (5 * EVERY_S), "five times the pause"
    assert busy > 2 * idle


async def test_a_rest_ends_when_woken() -> None:
    work = Work(open_=False)
    rounds = Rounds(work, every_s=60)
    task = asyncio.create_task(rounds.run())
    await until(work, 1)
    rounds.wake()
    await until(work, 2)
    task.cancel()


async def test_what_comes_during_a_round_is_not_slept_over() -> None:
    seen: list[int] = []

    async def work() -> bool:
        seen.append(len(seen))
        if len(seen) == 1:
            rounds.wake()  # after the round has looked
        return False

    rounds = Rounds(work, every_s=60)
    task = asyncio.create_task(rounds.run())
    async with asyncio.timeout(60):
        while len(seen) < 2:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    task.cancel()
    assert seen == [0, 1]


async def test_waking_does_not_hurry_rounds_that_have_work() -> None:
    work = Work(open_=True)
    rounds = Rounds(work, every_s=60)
    task = asyncio.create_task(rounds.run())
    for _ in range(20):
        await asyncio.sleep(0)
        rounds.wake()
    await asyncio.sleep(0.01)
    task.cancel()
    assert work.rounds == 1
