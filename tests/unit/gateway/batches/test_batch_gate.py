"""How fast batches ask: the pace as a pure rule, and the gate that keeps to it."""

import asyncio

import pytest

from sluice.clock import SystemClock
from sluice_gateway.batches.gate import Gate, Stop
from sluice_gateway.domain.batch_pace import Pace
from sluice_gateway.domain.batches import OnBehalf, pause_after_loss

WHO = OnBehalf("acme", "key_1")


def test_the_pace_grows_by_one_a_round_and_halves_at_a_refusal() -> None:
    pace = Pace.starting(8)
    assert [pace.allows(n, 0.0) for n in (3, 4)] == [True, False]
    for _ in range(5):
        pace.answered()
    assert [pace.allows(n, 0.0) for n in (4, 5)] == [True, False]
    for _ in range(100):
        pace.answered()
    assert pace.limit == 8
    pace.refused(10.0, None)
    assert (pace.limit, pace.resting_until) == (4, 11.0)
    pace.refused(10.5, None)  # answers to what was under way already: one refusal
    assert (pace.limit, pace.resting_until) == (4, 12.5)
    for now in (20.0, 60.0, 120.0, 200.0, 300.0, 500.0):
        pace.refused(now, None)
    assert pace.limit == 1
    assert pace.resting_until == 560.0
    assert not pace.allows(0, 559.0)
    assert pace.allows(0, 560.0)
    pace.answered()
    assert pace.refusals == 0


def test_what_a_refusal_asks_for_is_kept_to() -> None:
    pace = Pace.starting(8)
    pace.refused(0.0, 30.0)
    assert pace.resting_until == 30.0
    pace.refused(31.0, 3600.0)
    assert pace.resting_until == 31.0 + 60.0


def test_a_batch_that_kills_workers_rests_longer_and_longer() -> None:
    assert [pause_after_loss(n) for n in (0, 1, 2, 3, 4)] == [0.0, 0.0, 5.0, 10.0, 20.0]
    assert pause_after_loss(1000) == 600.0


class Load:
    """A load that tests set."""

    def __init__(self, share: float = 0.0) -> None:
        self.now = share

    async def share(self, model: str) -> float:
        return self.now


def gate(load: Load | None = None, *, most: int = 8, in_all: int = 100) -> Gate:
    return Gate(clock=SystemClock(), busy=(load or Load()).share, busy_share=0.8, most=most, most_in_all=in_all)


async def crowd(the_gate: Gate, stop: Stop, count: int, who: OnBehalf = WHO, model: str = "m") -> tuple[int, int]:
    """Send so many through at once; return how many were inside at most, and how many came through."""
    inside = most = through = 0

    async def one() -> None:
        nonlocal inside, most, through
        async with the_gate.passing(who, model, stop) as pace:
            if pace is None:
                return
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.002)
            inside -= 1
            through += 1
            pace.answered()

    await asyncio.gather(*(one() for _ in range(count)))
    return most, through


async def test_never_more_than_allowed_are_inside() -> None:
    most, through = await crowd(gate(most=4), Stop(), 40)
    assert (2 <= most <= 4, through) == (True, 40)
    most, through = await crowd(gate(most=8, in_all=3), Stop(), 40)
    assert (most, through) == (3, 40)


async def test_another_key_has_its_own_way() -> None:
    shared = gate(most=2)
    one, other = await asyncio.gather(crowd(shared, Stop(), 10), crowd(shared, Stop(), 10, OnBehalf("rival", "key_2")))
    assert one[1] == other[1] == 10


async def test_nobody_passes_while_the_model_is_busy_until_told_to_end() -> None:
    load, stop = Load(0.8), Stop()
    the_gate = gate(load)
    waiting = asyncio.create_task(crowd(the_gate, stop, 5))
    await asyncio.sleep(0.05)
    assert (the_gate.under_way, waiting.done()) == (0, False)
    stop.tell("cancelled")
    assert await waiting == (0, 0)
    load.now = 0.79
    assert (await crowd(the_gate, Stop(), 5))[1] == 5


async def test_an_exception_inside_gives_the_room_back() -> None:
    the_gate = gate(most=2, in_all=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"):
            async with the_gate.passing(WHO, "m", Stop()):
                raise ValueError("x")
    assert (await crowd(the_gate, Stop(), 3))[1] == 3


async def test_the_first_reason_to_end_counts_but_a_turn_gives_way() -> None:
    stop = Stop()
    assert not await stop.wait(0.001)
    stop.tell("turn")
    stop.tell("cancelled")
    stop.tell("expired")
    assert stop.why == "cancelled"
    stop.tell("lost")
    assert stop.why == "lost"
    assert await stop.wait(100)


async def test_the_ways_do_not_grow_without_end() -> None:
    the_gate = gate()
    for number in range(3000):
        async with the_gate.passing(WHO, f"model-{number}", Stop()):
            pass
    assert len(the_gate._ways) <= 1025
