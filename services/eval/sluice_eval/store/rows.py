"""From table rows to the shapes of the contract and back."""

from sluice.contracts.evals import CreateEval, EvalCounts, EvalItemResult, EvalRun, EvalSuite
from sluice_eval.tables import ResultRow, RunRow, SuiteRow


def suite_of(row: SuiteRow) -> EvalSuite:
    """Return a suite without its items."""
    return EvalSuite.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "version": row.version,
            "content_hash": row.content_hash,
            "description": row.body.get("description", ""),
            "model": row.body.get("model"),
            "items": row.items,
            "scorers": row.scorers,
            "metadata": row.body.get("metadata", {}),
            "created_at": int(row.created_at),
        }
    )


def body_of(row: SuiteRow) -> CreateEval:
    """Return the whole suite."""
    return CreateEval.model_validate(row.body)


def run_of(row: RunRow, suite: SuiteRow, counts: EvalCounts) -> EvalRun:
    """Return a run with the name of its suite."""
    return EvalRun.model_validate(
        {
            "id": row.id,
            "eval_id": suite.id,
            "eval_name": suite.name,
            "eval_version": suite.version,
            "content_hash": suite.content_hash,
            "model": row.model,
            "api_key_id": row.api_key_id,
            "status": row.status,
            "error": row.error,
            "concurrency": row.concurrency,
            "counts": counts,
            "metadata": row.details,
            "created_at": int(row.created_at),
            "started_at": None if row.started_at is None else int(row.started_at),
            "finished_at": None if row.finished_at is None else int(row.finished_at),
        }
    )


def result_of(row: ResultRow) -> EvalItemResult:
    """Return an item's result."""
    return EvalItemResult.model_validate(
        {
            "id": row.item_id,
            "run_id": row.run_id,
            "position": row.position,
            "scorer": row.scorer,
            "outcome": row.outcome,
            "reason": row.reason,
            "answer": row.answer,
            "served_model": row.served_model,
            "finish_reason": row.finish_reason,
            "request_id": row.request_id,
            "prompt_tokens": row.prompt_tokens,
            "completion_tokens": row.completion_tokens,
            "latency_s": row.latency_s,
            "cost_usd": row.cost_usd,
            "tries": row.tries,
            "created_at": int(row.created_at),
        }
    )


def result_row(tenant: str, result: EvalItemResult) -> ResultRow:
    """Return the row that holds an item's result."""
    return ResultRow(
        run_id=result.run_id,
        position=result.position,
        tenant=tenant,
        item_id=result.id,
        scorer=result.scorer,
        outcome=result.outcome,
        reason=result.reason.replace("\x00", "\ufffd"),
        answer=result.answer,
        served_model=result.served_model,
        finish_reason=result.finish_reason,
        request_id=result.request_id,
        prompt_tokens=result.prompt_tokens,
        completion_tokens=result.completion_tokens,
        latency_s=result.latency_s,
        cost_usd=result.cost_usd,
        tries=result.tries,
        created_at=float(result.created_at),
    )
