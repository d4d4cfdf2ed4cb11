"""Latencies of usage records, by hand."""

from typing import Any

import pytest

from sluice_cli.latencies import gaps_of, latencies, percentile


def _record(at: float, duration: float, answer: int, *, ttft: float | None = None, **more: Any) -> dict[str, Any]:
    base = {"at": at, "model": "fast", "status": "ok", "prompt_tokens": 30, "completion_tokens": answer}
    return {**base, "ttft_ms": ttft, "duration_ms": duration, **more}


def test_percentiles_by_nearest_rank() -> None:
    assert [percentile([4.0, 1.0, 3.0, 2.0], share) for share in (0.0, 0.25, 0.5, 0.95, 1.0)] == [1, 1, 2, 4, 4]


def test_one_model_by_hand() -> None:
    (row,) = latencies(
        [_record(100.0, 1000.0, 11, ttft=500.0), _record(110.0, 400.0, 9), _record(105.0, 1.0, 1, status="error")]
    )
    assert (row.model, row.requests) == ("fast", 2)
    assert row.ttft == (500.0, 500.0, 500.0)
    assert row.tpot == (50.0, 50.0, 50.0)  # 500 ms for the ten tokens after the first
    assert row.duration == (400.0, 1000.0, 1000.0)
    assert (row.requests_per_second, row.tokens_per_second, row.answer_tokens_per_second) == (0.2, 8.0, 2.0)
    assert row.tokens_per_request == 40


def test_models_are_told_apart_and_together() -> None:
    rows = latencies([_record(0.0, 10.0, 2), _record(1.0, 20.0, 2, model="slow")], window_s=10.0)
    assert [(row.model, row.requests, row.requests_per_second) for row in rows] == [
        ("fast", 1, 0.1),
        ("slow", 1, 0.1),
        ("all together", 2, 0.2),
    ]
    assert rows[0].ttft is None
    assert rows[0].tpot is None


def test_a_single_request_counts_over_its_own_time() -> None:
    (row,) = latencies([_record(0.0, 2000.0, 10)])
    assert row.answer_tokens_per_second == pytest.approx(5.0)


def test_nothing_gives_no_rows() -> None:
    assert latencies([]) == latencies([_record(0.0, 1.0, 1, status="error")]) == []


METRICS = """# HELP sluice_gateway_inter_token_latency_seconds Gaps.
# TYPE sluice_gateway_inter_token_latency_seconds histogram
sluice_gateway_inter_token_latency_seconds_bucket{le="0.01",model="fast"} 0.0
sluice_gateway_inter_token_latency_seconds_bucket{le="0.02",model="fast"} 50.0
sluice_gateway_inter_token_latency_seconds_bucket{le="0.05",model="fast"} 98.0
sluice_gateway_inter_token_latency_seconds_bucket{le="+Inf",model="fast"} 100.0
sluice_gateway_inter_token_latency_seconds_count{model="fast"} 100.0
sluice_gateway_inter_token_latency_seconds_sum{model="fast"} 2.5
sluice_gateway_inter_token_latency_seconds_bucket{le="0.01",model="idle"} 0.0
sluice_gateway_inter_token_latency_seconds_bucket{le="+Inf",model="idle"} 0.0
"""


def test_gaps_between_words_from_the_gateways_histogram() -> None:
    (row,) = gaps_of(METRICS)
    assert (row.model, row.gaps) == ("fast", 100)
    assert row.itl == pytest.approx(
        (20.0, 20 + 30 * 45 / 48, 50.0)
    )  # beyond the last bound nothing is known but that bound
    assert gaps_of("# TYPE other counter\nother_total 1\n") == []
