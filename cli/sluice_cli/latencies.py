"""How fast answers came, from usage records."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_GAPS = "sluice_gateway_inter_token_latency_seconds"


class Latency(NamedTuple):
    """The requests of one model in a window; times in milliseconds, None where no record tells them.

    `ttft` and `tpot` are of streamed answers: TPOT = (duration - TTFT) / (answer's tokens - 1), which is also the mean time between their tokens (ITL).
    Each triple has the 50th, 95th and 99th percentile.
    """

    model: str
    requests: int
    ttft: tuple[float, float, float] | None
    tpot: tuple[float, float, float] | None
    duration: tuple[float, float, float]
    requests_per_second: float
    tokens_per_second: float
    answer_tokens_per_second: float
    tokens_per_request: float


class Gaps(NamedTuple):
    """Gaps between the words of one model's streams, in milliseconds: how many were timed, and the 50th, 95th and 99th percentile."""

    model: str
    gaps: int
    itl: tuple[float, float, float]


def gaps_of(metrics: str) -> list[Gaps]:
    """Return the inter-token latency by model from what a gateway tells Prometheus (F240); models without a timed stream are left out.

    Percentiles are interpolated within the buckets of its histogram, as Prometheus's `histogram_quantile` does.
    """
    cumulated: dict[str, list[tuple[float, float]]] = {}
    for family in text_string_to_metric_families(metrics):
        if family.name == _GAPS:
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    one = (float(sample.labels["le"]), sample.value)
                    cumulated.setdefault(sample.labels["model"], []).append(one)
    return [
        Gaps(model, int(buckets[-1][1]), (_within(buckets, 0.5), _within(buckets, 0.95), _within(buckets, 0.99)))
        for model, buckets in sorted((model, sorted(found)) for model, found in cumulated.items())
        if buckets[-1][1]
    ]


def _within(buckets: Sequence[tuple[float, float]], share: float) -> float:
    rank = share * buckets[-1][1]
    bound, count = 0.0, 0.0
    for upper, upto in buckets:
        if upto >= rank and upto > count:
            return 1000 * (bound if math.isinf(upper) else bound + (upper - bound) * (rank - count) / (upto - count))
        bound, count = upper, upto
    return 1000 * bound


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1))]


def latencies(records: Iterable[Mapping[str, Any]], window_s: float | None = None) -> list[Latency]:
    """Return one row for each model, and one for all together if there are several; requests that failed are left out (F238-F242).

    Rates are over `window_s`, or over the time from the first request's record to the last one's, whichever model's, if that is not known.
    """
    answered = [one for one in records if one.get("status") == "ok"]
    if not answered:
        return []
    moments = [float(one["at"]) for one in answered]
    longest = max(float(one["duration_ms"]) for one in answered) / 1000
    window = window_s or max(max(moments) - min(moments), longest, 0.001)
    models = sorted({str(one["model"]) for one in answered})
    rows = [_row(model, [one for one in answered if one["model"] == model], window) for model in models]
    return rows if len(rows) == 1 else [*rows, _row("all together", answered, window)]


def _row(model: str, records: Sequence[Mapping[str, Any]], window: float) -> Latency:
    streamed = [one for one in records if one.get("ttft_ms") is not None]
    tpot = [
        (float(one["duration_ms"]) - float(one["ttft_ms"])) / (int(one["completion_tokens"]) - 1)
        for one in streamed
        if int(one["completion_tokens"]) > 1
    ]
    answers = sum(int(one["completion_tokens"]) for one in records)
    tokens = answers + sum(int(one["prompt_tokens"]) for one in records)
    return Latency(
        model=model,
        requests=len(records),
        ttft=_three([float(one["ttft_ms"]) for one in streamed]),
        tpot=_three(tpot),
        duration=_three([float(one["duration_ms"]) for one in records]) or (0.0, 0.0, 0.0),
        requests_per_second=len(records) / window,
        tokens_per_second=tokens / window,
        answer_tokens_per_second=answers / window,
        tokens_per_request=tokens / len(records),
    )


def _three(values: Sequence[float]) -> tuple[float, float, float] | None:
    if not values:
        return None
    return percentile(values, 0.5), percentile(values, 0.95), percentile(values, 0.99)
