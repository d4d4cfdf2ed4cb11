"""Holds Sluice's figures against the bars: how fast it has to be beside the gateways that were measured with it.

A ratio or a difference is taken between two rows in the same round, and the median over the rounds is held against the
bar. A bar whose other row did not run (or answered wrong) is said and not failed.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tests.bench.figures import DIRECT, FLOOR, Run
from tests.bench.scenarios import ScenarioName

SLUICE = "sluice"
VLLM_ROUTER, NGINX, PORTKEY, LITELLM = "vllm-router", "nginx", "portkey", "litellm"

Verdict = Literal["kept", "behind", "not measured"]
Measure = Callable[[Run], float | None]


class Bar(NamedTuple):
    """One bar: what is read from a run, how it is compared with the other row's, and the limit.

    `times` divides Sluice's figure by the other's, `added` subtracts the other's, `alone` compares with no other row; the
    result may be at most, or must be at least, `limit`.
    """

    title: str
    scenario: ScenarioName
    measure: Measure
    other: str
    comparison: Literal["times", "added", "alone"]
    direction: Literal["at most", "at least"]
    limit: float

    @property
    def unit(self) -> str:
        return {"times": "×", "added": " ms", "alone": ""}[self.comparison]

    @property
    def wording(self) -> str:
        """The bar as a table shows it."""
        if self.comparison == "alone":
            return f"{'≤' if self.direction == 'at most' else '≥'} {self.limit:,g}"
        than = "the upstream alone" if self.other == DIRECT else self.other
        sign = "≤" if self.direction == "at most" else "≥"
        if self.comparison == "times":
            return f"{sign} {self.limit:g} × {than}"
        return f"{sign} {than} + {self.limit:g} ms"


class Held(NamedTuple):
    """A bar and how Sluice stands to it; `value` is the median over rounds, in the bar's unit."""

    bar: Bar
    value: float | None
    missing: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return "not measured"
        kept = self.value <= self.bar.limit if self.bar.direction == "at most" else self.value >= self.bar.limit
        return "kept" if kept else "behind"

    @property
    def margin(self) -> float | None:
        """How much room there is up to the bar, negative when Sluice is behind: a share of the limit, or milliseconds."""
        if self.value is None:
            return None
        room = self.bar.limit - self.value if self.bar.direction == "at most" else self.value - self.bar.limit
        return room if self.bar.comparison == "added" else room / self.bar.limit


def _cpu(run: Run) -> float | None:
    return run.cpu_per_1000


def _per_second(run: Run) -> float | None:
    return run.per_second


def _p50(run: Run) -> float | None:
    return run.latency.p50


def _p99(run: Run) -> float | None:
    return run.latency.p99


def _first_word_p50(run: Run) -> float | None:
    return run.first_word.p50


BARS = (
    Bar("CPU a request", "json-32", _cpu, FLOOR, "times", "at most", 2.0),
    Bar("CPU a request", "json-32", _cpu, VLLM_ROUTER, "times", "at most", 1.0),
    Bar("CPU a request", "json-32", _cpu, NGINX, "times", "at most", 4.0),
    Bar("requests a second, 32 connections", "json-32", _per_second, VLLM_ROUTER, "times", "at least", 1.0),
    Bar("requests a second, 32 connections", "json-32", _per_second, PORTKEY, "times", "at least", 10.0),
    Bar("requests a second, 32 connections", "json-32", _per_second, LITELLM, "times", "at least", 150.0),
    Bar("latency p50, 1 connection", "json-1", _p50, VLLM_ROUTER, "added", "at most", 0.1),
    Bar("latency p99, 1 connection", "json-1", _p99, VLLM_ROUTER, "added", "at most", 0.1),
    Bar("CPU a paced stream", "stream-paced", _cpu, VLLM_ROUTER, "times", "at most", 1.0),
    Bar("time to the first word p50", "stream-paced", _first_word_p50, DIRECT, "added", "at most", 1.0),
    Bar("CPU a request, 34 KB prompt", "json-34k", _cpu, VLLM_ROUTER, "times", "at most", 1.0),
    Bar(
        "answers from the cache a second, 32 connections", "cache-hit", _per_second, SLUICE, "alone", "at least", 10_000
    ),
)

Found = Mapping[tuple[str, ScenarioName, int], Run]


def hold(runs: Sequence[Run], bars: Sequence[Bar] = BARS) -> list[Held]:
    """Return how Sluice stands to each bar; a run that went wrong counts as not made."""
    found = {(run.row, run.scenario, run.round): run for run in runs if run.complaint is None}
    rounds = sorted({run.round for run in runs})
    return [_held(bar, found, rounds) for bar in bars]


def _held(bar: Bar, found: Found, rounds: Sequence[int]) -> Held:
    values = []
    for number in rounds:
        own, other = found.get((SLUICE, bar.scenario, number)), found.get((bar.other, bar.scenario, number))
        value = None if own is None or other is None else _compared(bar, bar.measure(own), bar.measure(other))
        if value is not None:
            values.append(value)
    if values:
        return Held(bar, statistics.median(values), ())
    there = {row for row, scenario, _ in found if scenario == bar.scenario}
    return Held(bar, None, tuple(row for row in dict.fromkeys((SLUICE, bar.other)) if row not in there))


def _compared(bar: Bar, own: float | None, other: float | None) -> float | None:
    if own is None or other is None:
        return None
    if bar.comparison == "alone":
        return own
    if bar.comparison == "added":
        return own - other
    return own / other if other else None


def behind(held: Sequence[Held]) -> list[Held]:
    """Return the bars that Sluice does not keep."""
    return [one for one in held if one.verdict == "behind"]


def table(held: Sequence[Held]) -> str:
    """Return a Markdown table of all bars."""
    lines = ["| bar | limit | measured | room | verdict |", "| --- | --- | ---: | ---: | --- |"]
    for one in held:
        cells = (f"{one.bar.title} (`{one.bar.scenario}`)", one.bar.wording, _value(one), _room(one), _verdict(one))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _value(held: Held) -> str:
    return "–" if held.value is None else f"{held.value:,.2f}{held.bar.unit}"


def _room(held: Held) -> str:
    margin = held.margin
    if margin is None:
        return "–"
    return f"{margin:+.2f} ms" if held.bar.comparison == "added" else f"{margin:+.0%}"


def _verdict(held: Held) -> str:
    if held.verdict == "not measured":
        why = " and ".join(held.missing)
        return f"not measured: no figure of {why}" if why else "not measured: no figure"
    return "**behind**" if held.verdict == "behind" else "kept"
