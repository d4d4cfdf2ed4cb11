"""What a run says about a model."""

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from sluice.contracts.evals import (
    EvalCounts,
    EvalItemResult,
    EvalReport,
    EvalRun,
    Latency,
    ScorerKind,
    ScorerReport,
)
from sluice_eval.domain.statistics import percentile, wilson_interval

MAX_FAILURES = 20
_ANSWER_SHOWN = 500


def count(results: Sequence[EvalItemResult], total: int) -> EvalCounts:
    """Count results by outcome; items without one are pending."""
    outcomes = Counter(result.outcome for result in results)
    return EvalCounts(
        total=total,
        passed=outcomes["passed"],
        failed=outcomes["failed"],
        unparseable=outcomes["unparseable"],
        error=outcomes["error"],
        pending=total - len(results),
    )


def make_report(run: EvalRun, results: Sequence[EvalItemResult], scorers: dict[str, int]) -> EvalReport:
    """Sum up a run; `scorers` is how many items of the suite each scorer has."""
    counts = count(results, run.counts.total)
    not_passed = [result for result in results if result.outcome != "passed"]
    costs = [result.cost_usd for result in results if result.cost_usd is not None]
    return EvalReport(
        run_id=run.id,
        eval_id=run.eval_id,
        eval_name=run.eval_name,
        eval_version=run.eval_version,
        content_hash=run.content_hash,
        model=run.model,
        served_models=dict(sorted(Counter(result.served_model for result in results if result.served_model).items())),
        status=run.status,
        error=run.error,
        complete=counts.pending == 0,
        counts=counts,
        pass_rate=_rate(counts.passed, len(results)),
        interval=wilson_interval(counts.passed, len(results)),
        scorers=tuple(_of_scorer(kind, results, scorers[kind]) for kind in get_args(ScorerKind) if kind in scorers),
        prompt_tokens=sum(result.prompt_tokens or 0 for result in results),
        completion_tokens=sum(result.completion_tokens or 0 for result in results),
        cut_answers=sum(result.finish_reason == "length" for result in results),
        latency=_latency([result.latency_s for result in results if result.latency_s is not None]),
        cost_usd=sum(costs) if costs else None,
        duration_s=run.finished_at - run.started_at if run.finished_at and run.started_at else None,
        failures=tuple(_shortened(result) for result in not_passed[:MAX_FAILURES]),
        omitted_failures=max(0, len(not_passed) - MAX_FAILURES),
        created_at=run.created_at,
        finished_at=run.finished_at,
    )


def _of_scorer(kind: ScorerKind, results: Sequence[EvalItemResult], total: int) -> ScorerReport:
    mine = [result for result in results if result.scorer == kind]
    counts = count(mine, total)
    return ScorerReport(
        scorer=kind,
        counts=counts,
        pass_rate=_rate(counts.passed, len(mine)),
        interval=wilson_interval(counts.passed, len(mine)),
    )


def _latency(seconds: list[float]) -> Latency | None:
    if not seconds:
        return None
    return Latency(p50_s=percentile(seconds, 0.50), p95_s=percentile(seconds, 0.95), mean_s=sum(seconds) / len(seconds))


def _rate(passed: int, of: int) -> float | None:
    return passed / of if of else None


def _shortened(result: EvalItemResult) -> EvalItemResult:
    if result.answer is None or len(result.answer) <= _ANSWER_SHOWN:
        return result
    return result.model_copy(update={"answer": result.answer[:_ANSWER_SHOWN] + "…"})
