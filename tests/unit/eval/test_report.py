"""Statistics, and the report in both forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.evals import EvalCounts, EvalItemResult, EvalRun, Outcome, ScorerKind
from sluice_eval.domain.markdown import to_markdown
from sluice_eval.domain.report import make_report
from sluice_eval.domain.statistics import percentile, wilson_interval


def run(total: int, **changes: object) -> EvalRun:
    values: dict[str, object] = {
        "id": "evalrun_1",
        "eval_id": "eval_1",
        "eval_name": "smoke",
        "eval_version": 2,
        "content_hash": "c" * 64,
        "model": "m",
        "status": "completed",
        "concurrency": 1,
        "counts": EvalCounts(total=total, pending=0),
        "created_at": 1,
        "started_at": 10,
        "finished_at": 14,
    }
    return EvalRun.model_validate({**values, **changes})


def result(position: int, outcome: Outcome, scorer: ScorerKind = "exact", **changes: object) -> EvalItemResult:
    values: dict[str, object] = {
        "id": f"i{position}",
        "run_id": "evalrun_1",
        "position": position,
        "scorer": scorer,
        "outcome": outcome,
        "reason": "because",
        "tries": 1,
        "created_at": 1,
    }
    return EvalItemResult.model_validate({**values, **changes})


@pytest.mark.parametrize(
    ("passed", "total", "low", "high"),
    [
        # Computed from the published formula with z = 1.959964, to four places.
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilson_intervals(passed: int, total: int, low: float, high: float) -> None:
    interval = wilson_interval(passed, total)
    assert interval is not None
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(min_value=1, max_value=10_000), st.data())
def test_a_wilson_interval_holds_the_rate(total: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(min_value=0, max_value=total))
    interval = wilson_interval(passed, total)
    assert interval is not None
    assert 0.0 <= interval.low <= passed / total + 1e-12
    assert passed / total - 1e-12 <= interval.high <= 1.0


def test_no_observation_no_interval() -> None:
    assert wilson_interval(0, 0) is None


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([1.0], 0.95, 1.0), ([3.0, 1.0, 2.0, 4.0], 0.5, 2.0), ([float(n) for n in range(1, 101)], 0.95, 95.0)],
)
def test_nearest_rank_percentiles(values: list[float], share: float, found: float) -> None:
    assert percentile(values, share) == found


def test_nothing_is_dropped_from_the_report() -> None:
    results = [
        result(1, "passed", served_model="m", latency_s=1.0, prompt_tokens=10, completion_tokens=5, cost_usd=0.25),
        result(2, "failed", "regex", latency_s=3.0, prompt_tokens=10, completion_tokens=5, cost_usd=0.25),
        result(3, "unparseable", "json_schema", latency_s=2.0, finish_reason="length"),
        result(4, "error", "regex"),
    ]
    report = make_report(run(5), results, {"exact": 1, "regex": 3, "json_schema": 1})
    assert report.counts == EvalCounts(total=5, passed=1, failed=1, unparseable=1, error=1, pending=1)
    assert report.pass_rate == 0.25
    assert not report.complete
    assert [(row.scorer, row.counts.total, row.counts.pending) for row in report.scorers] == [
        ("exact", 1, 0),
        ("regex", 3, 1),
        ("json_schema", 1, 0),
    ]
    assert (report.prompt_tokens, report.completion_tokens, report.cut_answers) == (20, 10, 1)
    assert report.latency is not None
    assert (report.latency.p50_s, report.latency.p95_s, report.latency.mean_s) == (2.0, 3.0, 2.0)
    assert (report.cost_usd, report.duration_s) == (0.5, 4.0)
    assert [failure.id for failure in report.failures] == ["i2", "i3", "i4"]


def test_a_run_without_results_makes_no_numbers_up() -> None:
    report = make_report(run(3, status="queued", started_at=None, finished_at=None), [], {"exact": 3})
    assert (report.pass_rate, report.interval, report.latency, report.cost_usd) == (None, None, None, None)
    assert report.counts.pending == 3
    assert "without a result 3" in to_markdown(report)


def test_long_lists_of_failures_say_how_many_more() -> None:
    report = make_report(run(30), [result(n, "failed", answer="y" * 900) for n in range(1, 31)], {"exact": 30})
    assert (len(report.failures), report.omitted_failures) == (20, 10)
    assert len(report.failures[0].answer or "") == 501
    assert "… and 10 more." in to_markdown(report)


def test_a_models_words_do_not_become_markup() -> None:
    nasty = "a | b\n# Heading <script>alert(1)</script> [x](http://evil) `c`"
    page = to_markdown(make_report(run(1), [result(1, "failed", answer=nasty, reason=nasty)], {"exact": 1}))
    row = next(line for line in page.splitlines() if line.startswith("| i1 |"))
    assert row.replace("\\|", "").count("|") == 5
    assert "<script>" not in page
    assert "\\[x\\](http://evil)" in row


def test_the_page_tells_the_main_figures() -> None:
    results = [result(1, "passed", served_model="other"), result(2, "failed")]
    page = to_markdown(make_report(run(2), results, {"exact": 2}))
    assert page.startswith("# smoke v2: 50.0 % passed\n")
    assert "(answered by `other` 1×)" in page
    assert "| exact | 2 | 1 | 1 | 0 | 0 | 50.0 % |" in page
    assert not math.isnan(float(page.split("interval ")[1].split(" to ")[0]))
