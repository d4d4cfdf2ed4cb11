"""Replicas that come and go with the load: what callers see, and what it costs in replica-seconds."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sluice_cli.latencies import percentile
from sluice_cli.simulation.workload import Arrival

Signal = Literal["requests", "queue", "kv", "ttft"]
TOLERANCE = 0.1
"""The autoscaler of Kubernetes changes nothing while the figure is within 10 % of its target."""


class Replica(NamedTuple):
    """What one replica does: requests at once, KV tokens, prefill tokens a second, and the time of a decoding step by its batch: base + each * batch."""

    slots: int
    kv_tokens: int
    prefill_tokens_per_s: float
    step_base_s: float
    step_each_s: float


class Policy(NamedTuple):
    """Targets by signal and the bounds of the autoscaler; times in seconds.

    `requests` and `queue` (waiting requests) are sums that are divided by the target; `kv` (mean share of the cache) and `ttft` (95th percentile of the
    last minute) scale the present count by figure / target. The largest count wins. `cold_start_s` is the time from the decision until
    a replica serves; `down_window_s` is how long the largest count of late is kept.
    """

    targets: tuple[tuple[Signal, float], ...]
    least: int = 1
    most: int = 8
    every_s: float = 15.0
    cold_start_s: float = 120.0
    down_window_s: float = 300.0


class Slo(NamedTuple):
    """What a request is promised: the first token within `ttft_s`, and each further one within `tpot_s` on average."""

    ttft_s: float
    tpot_s: float


class Point(NamedTuple):
    """The state at one decision."""

    at: float
    replicas: int
    serving: int
    running: int
    waiting: int


class Outcome(NamedTuple):
    """What a policy came to; `replica_seconds` count replicas from the decision to start them to their end."""

    requests: int
    attained: float
    ttft_p50: float
    ttft_p95: float
    ttft_p99: float
    tpot_p95: float
    replica_seconds: float
    most_replicas: int
    changes: int
    timeline: tuple[Point, ...]


@dataclass(eq=False)
class _Request:
    arrival: Arrival
    started: float = 0.0
    first: float = 0.0
    done: float = 0.0


@dataclass(eq=False)
class _Server:
    born: float
    serves_at: float
    running: list[_Request] = field(default_factory=list)
    leaving: bool = False
    prefill_free_at: float = 0.0

    @property
    def held(self) -> int:
        """Tokens that its requests hold at most: the room is kept from the start, so that none has to be put out again."""
        return sum(one.arrival.prompt + one.arrival.answer for one in self.running)


def desired(policy: Policy, present: int, ready: int, figures: dict[Signal, float]) -> int:
    """Return the count that the targets ask for, the largest of all, as the autoscaler of Kubernetes computes it.

    A sum s (`AverageValue`) asks for ceil(s / target); another figure f (`Value`) for ceil(ready * f / target), so that replicas that still start are not
    counted twice. Within the tolerance the present count stays. Kubernetes, "Horizontal Pod Autoscaling", algorithm details.
    """
    asked = []
    for signal, target in policy.targets:
        figure = figures[signal]
        if signal in ("requests", "queue"):
            ratio, count = figure / (target * present), math.ceil(figure / target - 1e-9)
        else:
            ratio, count = figure / target, math.ceil(ready * figure / target - 1e-9)
        asked.append(present if abs(ratio - 1) <= TOLERANCE else count)
    return max(policy.least, min(policy.most, max(asked, default=present)))


def replay(arrivals: Sequence[Arrival], replica: Replica, policy: Policy, slo: Slo) -> Outcome:
    """Serve a trace with replicas that an autoscaler adds and takes away.

    Requests wait in one line and go to the replica with the fewest running that has a slot and room in its KV cache; each replica reads one prompt after
    the other and steps all its answers together. A step takes as long as its batch at that time; time moves in ticks of a tenth of the
    decision interval, at most half a second, so figures are right to about a tick. A replica that is taken away ends what it has begun.

    Raises:
        ValueError: there is no request, one fits into no replica, or a bound is out of range.
    """
    if not arrivals:
        raise ValueError("There is no request to serve.")
    if not 1 <= policy.least <= policy.most or any(target <= 0 for _, target in policy.targets):
        raise ValueError("The least count is at least 1 and at most the largest, and targets are above 0.")
    if max(one.prompt + one.answer for one in arrivals) > replica.kv_tokens:
        raise ValueError(f"A request of the trace does not fit into a KV cache of {replica.kv_tokens} tokens.")
    return _Run(arrivals, replica, policy, slo).outcome()


class _Run:
    def __init__(self, arrivals: Sequence[Arrival], replica: Replica, policy: Policy, slo: Slo) -> None:
        self._arrivals, self._replica, self._policy, self._slo = arrivals, replica, policy, slo
        self._left = deque(_Request(one) for one in arrivals)
        self._line: deque[_Request] = deque()
        self._servers = [_Server(0.0, 0.0) for _ in range(policy.least)]
        self._ended: list[_Request] = []
        self._progress: dict[_Request, float] = {}
        self._firsts: deque[tuple[float, float]] = deque()
        self._asked: deque[tuple[float, int]] = deque()
        self._timeline: list[Point] = []
        self._seconds = 0.0
        self._changes = 0

    def outcome(self) -> Outcome:
        """Run to the end."""
        tick = min(0.5, self._policy.every_s / 10)
        now, next_decision = 0.0, 0.0
        while self._left or self._line or any(one.running for one in self._servers):
            while self._left and self._left[0].arrival.at <= now:
                self._line.append(self._left.popleft())
            self._admit(now)
            if now >= next_decision:
                self._decide(now)
                next_decision += self._policy.every_s
            for server in self._servers:
                self._work(server, now, tick)
            self._seconds += len(self._servers) * tick
            self._servers = [one for one in self._servers if one.running or not one.leaving]
            now += tick
        return self._summed()

    def _admit(self, now: float) -> None:
        while self._line:
            one = self._line[0]
            need = one.arrival.prompt + one.arrival.answer
            able = [
                server
                for server in self._servers
                if not server.leaving
                and server.serves_at <= now
                and len(server.running) < self._replica.slots
                and server.held + need <= self._replica.kv_tokens
            ]
            if not able:
                return
            server = min(able, key=lambda each: len(each.running))
            # prompts are read one after the other, beside the answers
            begins = max(now, one.arrival.at, server.prefill_free_at)
            server.prefill_free_at = begins + one.arrival.prompt / self._replica.prefill_tokens_per_s
            one.started, one.first = begins, server.prefill_free_at
            self._progress[one] = 1.0  # the first token comes with the prompt's end
            server.running.append(one)
            self._line.popleft()

    def _work(self, server: _Server, now: float, tick: float) -> None:
        """Give each answer the tokens that its replica's steps make in a tick."""
        end = now + tick
        decoding = [one for one in server.running if one.first < end]
        if not decoding:
            return
        step = self._replica.step_base_s + self._replica.step_each_s * len(decoding)
        for one in decoding:
            if one.first >= now:
                self._firsts.append((one.first, one.first - one.arrival.at))
            began = max(now, one.first)
            before = self._progress[one]
            after = before + (end - began) / step
            if after >= one.arrival.answer:
                one.done = began + (one.arrival.answer - before) * step
                server.running.remove(one)
                del self._progress[one]
                self._ended.append(one)
            else:
                self._progress[one] = after

    def _decide(self, now: float) -> None:
        staying = [one for one in self._servers if not one.leaving]
        serving = [one for one in staying if one.serves_at <= now]
        while self._firsts and self._firsts[0][0] < now - 60:
            self._firsts.popleft()
        running = sum(len(one.running) for one in self._servers)
        # who waits has no first token yet, and has waited as long at least: without them a line that stands still would look fast
        waits = [now - one.arrival.at for one in self._line]
        late = [ttft for _, ttft in self._firsts] + [wait for wait in waits if wait > self._slo.ttft_s]
        figures: dict[Signal, float] = {
            "requests": running + len(self._line),
            "queue": len(self._line),
            "kv": sum(one.held for one in serving) / (max(1, len(serving)) * self._replica.kv_tokens),
            "ttft": percentile(late, 0.95) if late else 0.0,
        }
        self._timeline.append(Point(now, len(staying), len(serving), running, len(self._line)))
        wanted = desired(self._policy, len(staying), len(serving), figures)
        self._asked.append((now, wanted))
        while self._asked[0][0] < now - self._policy.down_window_s:
            self._asked.popleft()
        wanted = max(wanted, min(len(staying), max(count for _, count in self._asked)))
        self._change(now, wanted - len(staying), staying)

    def _change(self, now: float, by: int, staying: list[_Server]) -> None:
        self._changes += by != 0
        self._servers += [_Server(now, now + self._policy.cold_start_s) for _ in range(by)]
        # the youngest that do least go first
        for one in sorted(staying, key=lambda server: (len(server.running), -server.born))[: max(0, -by)]:
            one.leaving = True

    def _summed(self) -> Outcome:
        ttft = [one.first - one.arrival.at for one in self._ended]
        tpot = [(one.done - one.first) / max(1, one.arrival.answer - 1) for one in self._ended]
        kept = sum(a <= self._slo.ttft_s and b <= self._slo.tpot_s for a, b in zip(ttft, tpot, strict=True))
        return Outcome(
            requests=len(self._ended),
            attained=kept / len(self._ended),
            ttft_p50=percentile(ttft, 0.5),
            ttft_p95=percentile(ttft, 0.95),
            ttft_p99=percentile(ttft, 0.99),
            tpot_p95=percentile(tpot, 0.95),
            replica_seconds=self._seconds,
            most_replicas=max(point.replicas for point in self._timeline),
            changes=self._changes,
            timeline=tuple(self._timeline),
        )
