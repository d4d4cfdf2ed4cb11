"""An engine that serves requests one by one, in batches, or with a batch that changes at every step."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sluice_cli.latencies import percentile
from sluice_cli.simulation.workload import Arrival

Policy = Literal["single", "dynamic", "grouped", "continuous"]
StepTime = Callable[[float, float, float], float]
"""From new tokens, (query, key) pairs and KV tokens read to seconds: `planning.roofline.step` bound to a setup."""


class Limits(NamedTuple):
    """`batch` requests at once; a dynamic batch waits `wait_s` for more since its first came; a continuous step reads at most `step_tokens` tokens."""

    batch: int
    wait_s: float = 0.010
    step_tokens: int = 2048


class Served(NamedTuple):
    """When a request's first token and its last came, in seconds from its arrival."""

    first: float
    last: float
    tokens: int


class Outcome(NamedTuple):
    """What a policy came to. `waste` is the share of computed token positions that were padding or came after an answer's end."""

    requests: int
    seconds: float
    tokens_per_second: float
    requests_per_second: float
    mean_batch: float
    waste: float
    ttft_p50: float
    ttft_p95: float
    latency_p50: float
    latency_p95: float
    latency_p99: float


def simulate(arrivals: Sequence[Arrival], policy: Policy, limits: Limits, step_time: StepTime) -> Outcome:
    """Serve all arrivals, which are sorted by time.

    - `single`: one request after the other.
    - `dynamic`: up to `batch` requests that have come, or the first ones until one has waited `wait_s` (F255); prompts are padded to the longest, and
      the batch runs until its longest answer ends, when all are returned.
    - `grouped`: the same, of all that wait those with lengths next to that of the oldest (F373).
    - `continuous`: requests join and leave at every step (F256; Yu et al., "Orca", 2022); prompts are read in pieces beside running answers (Agrawal
      et al., "Sarathi-Serve", 2024), and nothing is padded.

    Raises:
        ValueError: there is no request, or a limit is below 1.
    """
    if not arrivals:
        raise ValueError("There is no request to serve.")
    if limits.batch < 1 or limits.step_tokens < limits.batch or limits.wait_s < 0:
        raise ValueError("batch is at least 1, step_tokens at least batch, and the wait not below 0.")
    if policy == "continuous":
        run = _Continuous(arrivals, limits, step_time)
        return _summed(arrivals, run.served(), run.work)
    batch = Limits(1, 0.0, limits.step_tokens) if policy == "single" else limits
    work = _Work()
    return _summed(arrivals, _padded(arrivals, batch, step_time, work, grouped=policy == "grouped"), work)


@dataclass
class _Work:
    """Token positions computed and needed, and sequences times steps."""

    computed: float = 0.0
    needed: float = 0.0
    steps: int = 0
    running: float = 0.0
    end: float = 0.0


def _summed(arrivals: Sequence[Arrival], served: Sequence[Served], work: _Work) -> Outcome:
    seconds = work.end - arrivals[0].at
    firsts, lasts = [one.first for one in served], [one.last for one in served]
    return Outcome(
        requests=len(served),
        seconds=seconds,
        tokens_per_second=sum(one.tokens for one in served) / seconds,
        requests_per_second=len(served) / seconds,
        mean_batch=work.running / max(1, work.steps),
        waste=1 - work.needed / work.computed,
        ttft_p50=percentile(firsts, 0.5),
        ttft_p95=percentile(firsts, 0.95),
        latency_p50=percentile(lasts, 0.5),
        latency_p95=percentile(lasts, 0.95),
        latency_p99=percentile(lasts, 0.99),
    )


def _padded(
    arrivals: Sequence[Arrival], limits: Limits, step_time: StepTime, work: _Work, *, grouped: bool
) -> list[Served]:
    served: list[Served] = []
    left = deque(arrivals)
    waiting: list[Arrival] = []
    now = arrivals[0].at
    while left or waiting:
        now = max(now, left[0].at) if not waiting else now
        while left and left[0].at <= now:
            waiting.append(left.popleft())
        if len(waiting) < limits.batch and left:
            # until the batch is full or its oldest has waited long enough
            until = max(now, waiting[0].at + limits.wait_s)
            while left and left[0].at <= until and len(waiting) < limits.batch:
                now = max(now, left[0].at)
                waiting.append(left.popleft())
            now = until if len(waiting) < limits.batch else now
        batch = _taken(waiting, limits.batch, grouped=grouped)
        now = _run_padded(batch, now, step_time, work, served)
    work.end = now
    return served


def _taken(waiting: list[Arrival], most: int, *, grouped: bool) -> list[Arrival]:
    oldest = waiting[0]

    def far(index: int) -> tuple[int, int]:
        one = waiting[index]
        return abs(one.prompt - oldest.prompt) + abs(one.answer - oldest.answer), index

    order = sorted(range(len(waiting)), key=far)[:most] if grouped else list(range(min(most, len(waiting))))
    batch = [waiting[index] for index in order]
    for index in sorted(order, reverse=True):
        del waiting[index]
    return batch


def _run_padded(batch: Sequence[Arrival], now: float, step_time: StepTime, work: _Work, served: list[Served]) -> float:
    size, prompt, answer = len(batch), max(one.prompt for one in batch), max(one.answer for one in batch)
    now += step_time(size * prompt, size * prompt * (prompt + 1) / 2, size * prompt)
    first = now
    for done in range(1, answer):
        held = size * (prompt + done)
        now += step_time(size, held, held)
    work.computed += size * (prompt + answer)
    work.needed += sum(one.prompt + one.answer for one in batch)
    work.steps += answer
    work.running += size * answer
    served += [Served(first - one.at, now - one.at, one.answer) for one in batch]
    return now


@dataclass(eq=False)
class _Running:
    arrival: Arrival
    read: int = 0
    answered: int = 0
    first: float = 0.0


class _Continuous:
    """One engine with continuous batching."""

    def __init__(self, arrivals: Sequence[Arrival], limits: Limits, step_time: StepTime) -> None:
        self._left = deque(arrivals)
        self._limits = limits
        self._step_time = step_time
        self._running: list[_Running] = []
        self._now = arrivals[0].at
        self.work = _Work()

    def served(self) -> list[Served]:
        """Run to the end."""
        served: list[Served] = []
        while self._left or self._running:
            if not self._running:
                self._now = max(self._now, self._left[0].at)
            while self._left and self._left[0].at <= self._now and len(self._running) < self._limits.batch:
                self._running.append(_Running(self._left.popleft()))
            served += self._step()
        self.work.end = self._now
        return served

    def _step(self) -> list[Served]:
        """Give every answer a token and read prompts with what is left of the step, oldest first."""
        tokens, pairs, held = 0, 0.0, 0
        moving: list[_Running] = []
        for one in self._running:
            if one.read == one.arrival.prompt:
                tokens += 1
                context = one.read + one.answered
                pairs, held = pairs + context, held + context
                moving.append(one)
        for one in self._running:
            piece = min(one.arrival.prompt - one.read, self._limits.step_tokens - tokens)
            if piece > 0:
                tokens += piece
                pairs += piece * one.read + piece * (piece + 1) / 2
                held += one.read + piece
                one.read += piece
                if one.read == one.arrival.prompt:
                    moving.append(one)
        self._now += self._step_time(tokens, pairs, held)
        self.work.computed += tokens
        self.work.needed += tokens
        self.work.steps += 1
        self.work.running += len(self._running)
        return self._after(moving)

    def _after(self, moving: Sequence[_Running]) -> list[Served]:
        ended = []
        for one in moving:
            one.answered += 1
            if one.answered == 1:
                one.first = self._now
            if one.answered == one.arrival.answer:
                ended.append(Served(one.first - one.arrival.at, self._now - one.arrival.at, one.answered))
                self._running.remove(one)
        return ended
