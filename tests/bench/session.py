"""Runs rows and scenarios in turns (A B C, A B C, …), so that a change in the machine's mood meets all rows alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.bench.errors import BenchError
from tests.bench.figures import Run
from tests.bench.loadgen import MAX_REQUESTS, LoadReport, run_load
from tests.bench.mock import MockUpstream
from tests.bench.procfs import TreeUse
from tests.bench.rows.base import Gateway
from tests.bench.scenarios import Bodies, Scenario
from tests.bench.toolchain import Programs

TRIAL_REQUESTS = 20
TRIAL_SECONDS = 10
QUIET_SHARE = 0.03
QUIET_LOOK_SECONDS = 0.3
SETTLE_SECONDS = 90.0


Progress = Callable[[str], None]


class Session(NamedTuple):
    """All that stays the same over a benchmark."""

    programs: Programs
    upstream: MockUpstream
    bodies: Bodies
    gateways: Mapping[str, Gateway]
    load_core: int
    seconds: int
    say: Progress


def try_rows(session: Session, scenarios: Sequence[Scenario]) -> None:
    """Send each row a few requests of each kind; any wrong answer ends the benchmark before anything is measured."""
    for scenario in scenarios:
        session.upstream.set_timing(scenario.timing)
        for name, gateway in _asked(session, scenario):
            report = _load(session, gateway, scenario, seconds=TRIAL_SECONDS, max_requests=TRIAL_REQUESTS)
            if report.complaint:
                raise BenchError(
                    f"{name} does not answer {scenario.title} right, so nothing is measured: {report.complaint}."
                )


def measure(session: Session, scenarios: Sequence[Scenario], rounds: int) -> list[Run]:
    """Run everything: in each round every scenario, in each scenario every row."""
    runs: list[Run] = []
    total = rounds * sum(len(_asked(session, scenario)) for scenario in scenarios)
    for number in range(1, rounds + 1):
        for scenario in scenarios:
            session.upstream.set_timing(scenario.timing)
            for name, gateway in _asked(session, scenario):
                if number == 1 and scenario.connections > 1:
                    _load(session, gateway, scenario, seconds=1)  # warm: pools filled, code paths seen
                run = _measure_once(session, name, gateway, scenario, number)
                runs.append(run)
                session.say(f"[{len(runs):>3}/{total}] round {number} · {scenario.name:<12} · {_summary(run)}")
    return runs


def _measure_once(session: Session, name: str, gateway: Gateway, scenario: Scenario, number: int) -> Run:
    settle(gateway)
    served_before = session.upstream.completions_served()
    before, consumer_before = gateway.use(), gateway.consumer_use()
    report = _load(session, gateway, scenario, seconds=session.seconds)
    after = gateway.use()
    settle(gateway)
    consumer_after = gateway.consumer_use()
    served = session.upstream.completions_served() - served_before
    complaint = report.complaint or _misplaced(scenario, report.ok, served)
    cpu = _difference(before, after)
    waited = None if before is None or after is None else after.waited_since(before)
    return Run(
        row=name,
        scenario=scenario.name,
        round=number,
        requests=report.ok,
        per_second=report.rps,
        cpu_per_1000=_per_1000(cpu, report.ok),
        consumer_cpu_per_1000=_per_1000(_difference(consumer_before, consumer_after), report.ok),
        core_share=None if cpu is None else cpu / report.elapsed_s,
        waited_share=None if waited is None else waited / report.elapsed_s,
        rss_bytes=after.rss_bytes if after else None,
        latency=report.latency,
        first_word=report.first_word,
        complaint=complaint,
    )


def _asked(session: Session, scenario: Scenario) -> list[tuple[str, Gateway]]:
    return [one for one in session.gateways.items() if one[1].caches or not scenario.cached]


def _misplaced(scenario: Scenario, answers: int, served: int) -> str | None:
    if scenario.cached:
        return f"{served} of {answers} answers did not come from the cache" if served else None
    if served < answers:
        return f"{answers} answers came from only {served} upstream requests: something was cached"
    return None


def settle(gateway: Gateway) -> None:
    """Wait until a row's processes have finished what they do behind the answers (bounded)."""
    deadline = time.monotonic() + SETTLE_SECONDS
    uses = (gateway.use, gateway.consumer_use)
    while time.monotonic() < deadline:
        before = [use() for use in uses]
        time.sleep(QUIET_LOOK_SECONDS)
        spent = sum(_difference(old, use()) or 0.0 for old, use in zip(before, uses, strict=True))
        if spent <= QUIET_SHARE * QUIET_LOOK_SECONDS + 0.01:  # looking at it costs a little too
            return


def _load(
    session: Session, gateway: Gateway, scenario: Scenario, *, seconds: int, max_requests: int = MAX_REQUESTS
) -> LoadReport:
    return run_load(
        session.programs.load,
        gateway.target,
        session.bodies.of(scenario),
        connections=scenario.connections,
        seconds=seconds,
        core=session.load_core,
        max_requests=max_requests,
    )


def _difference(before: TreeUse | None, after: TreeUse | None) -> float | None:
    return None if before is None or after is None else after.cpu_seconds - before.cpu_seconds


def _per_1000(cpu_seconds: float | None, requests: int) -> float | None:
    return None if cpu_seconds is None or requests == 0 else 1000 * cpu_seconds / requests


def _summary(run: Run) -> str:
    if run.complaint:
        return f"{run.row}: FAILED: {run.complaint}"
    cpu = "" if run.cpu_per_1000 is None else f", CPU {run.cpu_per_1000:.3f} s per 1,000"
    return f"{run.row}: {run.per_second:,.0f} a second{cpu}, p50 {run.latency.p50:.2f} ms"
