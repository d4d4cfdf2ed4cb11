"""Turns the runs of a benchmark into the figures of its table: medians over rounds, differences and ratios."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.bench.loadgen import Percentiles
from tests.bench.scenarios import ScenarioName

DIRECT = "direct"
FLOOR = "floor/f4"


class Run(NamedTuple):
    """One row in one scenario in one round. CPU is in seconds for 1,000 requests (or streams)."""

    row: str
    scenario: ScenarioName
    round: int
    requests: int
    per_second: float
    cpu_per_1000: float | None
    consumer_cpu_per_1000: float | None
    core_share: float | None
    waited_share: float | None
    rss_bytes: int | None
    latency: Percentiles
    first_word: Percentiles
    complaint: str | None = None


class Figure(NamedTuple):
    """A median over rounds, and how far apart the rounds were (largest less smallest, over the median)."""

    median: float
    spread: float


class RowFigures(NamedTuple):
    """One line of the table; a figure is None when the row has none (direct has no gateway)."""

    row: str
    requests_per_second: Figure | None
    cpu_per_1000: Figure | None
    consumer_cpu_per_1000: Figure | None
    cpu_ratio: Figure | None
    core_share: Figure | None
    waited_share: Figure | None
    added_p50_ms: Figure | None
    added_p95_ms: Figure | None
    added_p99_ms: Figure | None
    rss_mib: Figure | None
    long_prompt_cpu_per_1000: Figure | None
    streams_per_second: Figure | None
    stream_cpu_per_1000: Figure | None
    stream_cpu_ratio: Figure | None
    paced_cpu_per_1000: Figure | None
    paced_cpu_ratio: Figure | None
    added_first_word_p50_ms: Figure | None
    added_first_word_p95_ms: Figure | None
    hits_per_second: Figure | None
    hit_cpu_per_1000: Figure | None
    complaints: tuple[str, ...]


def figure(values: Iterable[float | None]) -> Figure | None:
    """Return the median and spread of the values that are there; None when there are none."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    median = statistics.median(present)
    spread = (max(present) - min(present)) / abs(median) if median else 0.0
    return Figure(median, spread)


def added(own: Percentiles, direct: Percentiles) -> Percentiles:
    """Return what a gateway adds: its percentile less that of the same round without a gateway."""
    return Percentiles(own.p50 - direct.p50, own.p95 - direct.p95, own.p99 - direct.p99)


def ratio(own: float | None, base: float | None) -> float | None:
    """Return own / base; None when either is missing or the base is zero."""
    return own / base if own is not None and base else None


class _RowRuns:
    """The runs of one row, looked up by scenario, with what the other rows did in the same round."""

    def __init__(self, row: str, runs: Sequence[Run]) -> None:
        self._row = row
        self._found = {(run.row, run.scenario, run.round): run for run in runs}
        self._rounds = sorted({run.round for run in runs})

    def own(self, scenario: ScenarioName) -> list[Run]:
        found = [self._found.get((self._row, scenario, number)) for number in self._rounds]
        return [run for run in found if run is not None]

    def cpu_ratio(self, scenario: ScenarioName) -> Figure | None:
        return figure(
            ratio(run.cpu_per_1000, base.cpu_per_1000)
            for run in self.own(scenario)
            if (base := self._found.get((FLOOR, scenario, run.round)))
        )

    def added_latency(self, scenario: ScenarioName) -> list[Percentiles]:
        return [added(run.latency, base.latency) for run, base in self._beside_direct(scenario)]

    def added_first_word(self, scenario: ScenarioName) -> list[Percentiles]:
        return [added(run.first_word, base.first_word) for run, base in self._beside_direct(scenario)]

    def _beside_direct(self, scenario: ScenarioName) -> list[tuple[Run, Run]]:
        if self._row == DIRECT:
            return []
        pairs = [(run, self._found.get((DIRECT, scenario, run.round))) for run in self.own(scenario)]
        return [(run, base) for run, base in pairs if base is not None]


def row_figures(row: str, runs: Sequence[Run]) -> RowFigures:
    """Sum up one row over all rounds; ratios and differences are taken inside a round, then the median of them."""
    mine = _RowRuns(row, runs)
    long = mine.own("json-34k")
    many, streams, paced = mine.own("json-32"), mine.own("stream-32"), mine.own("stream-paced")
    hits = mine.own("cache-hit")
    latency, first_word = mine.added_latency("json-1"), mine.added_first_word("stream-paced")
    complaints = (
        f"{run.scenario}, round {run.round}: {run.complaint}" for run in runs if run.row == row and run.complaint
    )
    return RowFigures(
        row=row,
        requests_per_second=figure(run.per_second for run in many),
        cpu_per_1000=figure(run.cpu_per_1000 for run in many),
        consumer_cpu_per_1000=figure(run.consumer_cpu_per_1000 for run in many),
        cpu_ratio=mine.cpu_ratio("json-32"),
        core_share=figure(run.core_share for run in many),
        waited_share=figure(run.waited_share for run in runs if run.row == row),
        added_p50_ms=figure(found.p50 for found in latency),
        added_p95_ms=figure(found.p95 for found in latency),
        added_p99_ms=figure(found.p99 for found in latency),
        rss_mib=figure(None if run.rss_bytes is None else run.rss_bytes / 2**20 for run in many),
        long_prompt_cpu_per_1000=figure(run.cpu_per_1000 for run in long),
        streams_per_second=figure(run.per_second for run in streams),
        stream_cpu_per_1000=figure(run.cpu_per_1000 for run in streams),
        stream_cpu_ratio=mine.cpu_ratio("stream-32"),
        paced_cpu_per_1000=figure(run.cpu_per_1000 for run in paced),
        paced_cpu_ratio=mine.cpu_ratio("stream-paced"),
        added_first_word_p50_ms=figure(found.p50 for found in first_word),
        added_first_word_p95_ms=figure(found.p95 for found in first_word),
        hits_per_second=figure(run.per_second for run in hits),
        hit_cpu_per_1000=figure(run.cpu_per_1000 for run in hits),
        complaints=tuple(complaints),
    )
