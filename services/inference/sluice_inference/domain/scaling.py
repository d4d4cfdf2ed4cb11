"""What replicas of an engine report, made into the figures that an autoscaler works with."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sluice.contracts.engine import ScalingSignals
from sluice_inference.domain.readings import Reading, increase, parse_reading

_BUCKET = re.compile(r'^vllm:time_to_first_token_seconds_bucket\{(?:[^}]*,)?le="([^"]+)"[^}]*\}\s+(\S+)')


class Sample(NamedTuple):
    """One replica at one moment: its counters, and how often the first token came within each bound of seconds (cumulative, as Prometheus counts)."""

    at: float
    reading: Reading
    ttft: Mapping[float, float]


def sample_of(exposition: str, at: float) -> Sample:
    """Read a replica's metrics; `at` is in seconds of any clock that does not go back."""
    buckets: dict[float, float] = {}
    for line in exposition.splitlines():
        match = _BUCKET.match(line)
        if match is None:
            continue
        try:
            bound, count = float(match.group(1)), float(match.group(2))
        except ValueError:
            continue
        if math.isfinite(count):
            buckets[bound] = buckets.get(bound, 0.0) + count
    return Sample(at, parse_reading(exposition), buckets)


def kept(samples: Sequence[Sample], window_s: float) -> tuple[Sample, ...]:
    """Return the samples still needed: those within the window before the last, and the one just before it if it is not older than two windows."""
    last = samples[-1].at
    older = [one for one in samples if window_s <= last - one.at <= 2 * window_s]
    return (*older[-1:], *(one for one in samples if last - one.at < window_s))


def signals(
    name: str, samples: Sequence[Sequence[Sample]], *, replicas: int, window_s: float, now: float
) -> ScalingSignals:
    """Return the figures of all replicas that answered; `samples` has the kept ones of each, oldest first, at least one."""
    last = [one[-1].reading for one in samples]
    running = sum(reading.busy or 0 for reading in last)
    waiting = sum(reading.waiting or 0 for reading in last)
    kv = [reading.kv_used for reading in last if reading.kv_used is not None]
    mean, late = _first_token(samples)
    return ScalingSignals(
        name=name,
        replicas=replicas,
        replicas_read=len(samples),
        requests=running + waiting,
        requests_running=running,
        requests_waiting=waiting,
        waiting_per_replica=waiting / len(samples),
        kv_cache_usage=sum(kv) / len(kv) if kv else None,
        kv_cache_usage_max=max(kv, default=None),
        ttft_s=mean,
        ttft_p95_s=late,
        window_s=window_s,
        at=now,
    )


def _first_token(samples: Sequence[Sequence[Sample]]) -> tuple[float | None, float | None]:
    """Return the mean and the 95th percentile of the time to the first token between the first and the last sample of each replica."""
    compared = [(one[0], one[-1]) for one in samples if len(one) > 1 and one[-1].ttft]
    if not compared:
        return None, None
    grown: dict[float, float] = {}
    seconds = count = 0.0
    for before, after in compared:
        for bound, total in after.ttft.items():
            grown[bound] = grown.get(bound, 0.0) + increase(before.ttft.get(bound), total)
        (sum_before, count_before), (sum_after, count_after) = _timed(before.reading), _timed(after.reading)
        seconds, count = seconds + increase(sum_before, sum_after), count + increase(count_before, count_after)
    return (seconds / count if count else 0.0), quantile(grown.items(), 0.95)


def _timed(reading: Reading) -> tuple[float, float]:
    return next(
        ((total, count) for phase, total, count in reading.phases if phase == "time_to_first_token"), (0.0, 0.0)
    )


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float:
    """Return a quantile of a histogram with cumulative counts, as Prometheus's histogram_quantile: linear inside a bucket, 0 if nothing was counted.

    What lies above the highest finite bound counts as that bound.
    """
    ordered = sorted(buckets)
    total = ordered[-1][1] if ordered else 0.0
    if total <= 0:
        return 0.0
    wanted, low, below = share * total, 0.0, 0.0
    for bound, count in ordered:
        if count >= wanted:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (wanted - below) / (count - below) if count > below else bound
        low, below = bound, count
    return low
