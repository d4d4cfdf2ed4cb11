"""Runs of suites, their results and their reports."""

import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from sluice.auth import CallerDep
from sluice.contracts.evals import CreateEvalRun, EvalItemQuery, EvalItemResult, EvalReport, EvalRun
from sluice.contracts.paging import Page, PageQuery
from sluice.errors import Unauthorized, Unprocessable, problem_responses
from sluice_eval.domain.errors import (
    QueueAway,
    RunEnded,
    RunKeyForbidden,
    RunKeyMissing,
    RunNotFound,
    SuiteInvalid,
    SuiteNotFound,
)
from sluice_eval.domain.markdown import to_markdown
from sluice_eval.domain.report import make_report
from sluice_eval.domain.runs import RunKey, key_of_run
from sluice_eval.store.library import NewRun
from sluice_eval.wiring import DepsDep

_log = logging.getLogger(__name__)
_SOON_S = 5.0
MARKDOWN = "text/markdown"
router = APIRouter(
    prefix="/v1/evals/{eval_id}/runs",
    tags=["runs"],
    responses=problem_responses(Unauthorized, Unprocessable, SuiteNotFound),
)


@router.post(
    "",
    status_code=201,
    summary="Start a run",
    responses=problem_responses(SuiteInvalid, RunKeyMissing, RunKeyForbidden),
)
async def create_run(eval_id: str, body: CreateEvalRun, caller: CallerDep, deps: DepsDep) -> EvalRun:
    """Run a suite against a model or a route; it is done by a worker, also when the queue is away for a while."""
    suite = await deps.library.suite(caller.tenant, eval_id)
    model = body.model or suite.model
    if model is None:
        raise SuiteInvalid("Say which model to run the suite against: neither the run nor the suite names one.")
    now = deps.clock.now()
    key_id = key_of_run(caller.key_id, body.api_key_id, may_name=caller.role != "member")
    new = NewRun(model, key_id, body.concurrency or deps.settings.concurrency, body.metadata)
    run = await deps.library.add_run(caller.tenant, eval_id, new, now, now + _SOON_S)
    deps.sweep.wake()
    try:
        await deps.queue.send(RunKey(caller.tenant, run.id))
    except QueueAway as exc:
        _log.warning("run %s: %s", run.id, exc.detail)
    return run


@router.get("", summary="List the runs of a suite")
async def list_runs(
    eval_id: str, page: Annotated[PageQuery, Query()], caller: CallerDep, deps: DepsDep
) -> Page[EvalRun]:
    """List a suite's runs, newest first unless asked otherwise."""
    return Page[EvalRun].of(await deps.library.runs(caller.tenant, eval_id, page), page.limit)


@router.get("/{run_id}", summary="Get a run", responses=problem_responses(RunNotFound))
async def get_run(eval_id: str, run_id: str, caller: CallerDep, deps: DepsDep) -> EvalRun:
    """Return one run with how many items have which outcome so far."""
    return await deps.library.run(caller.tenant, eval_id, run_id)


@router.post("/{run_id}/cancel", summary="Cancel a run", responses=problem_responses(RunNotFound, RunEnded))
async def cancel_run(eval_id: str, run_id: str, caller: CallerDep, deps: DepsDep) -> EvalRun:
    """End a run now; the results that it has stay."""
    run = await deps.library.cancel(caller.tenant, eval_id, run_id, deps.clock.now())
    deps.metrics.runs.labels("cancelled").inc()
    return run


@router.get("/{run_id}/items", summary="List the results of a run", responses=problem_responses(RunNotFound))
async def list_items(
    eval_id: str, run_id: str, query: Annotated[EvalItemQuery, Query()], caller: CallerDep, deps: DepsDep
) -> Page[EvalItemResult]:
    """List the results that a run has so far, in the order of the suite."""
    rows = await deps.library.items(caller.tenant, eval_id, run_id, query)
    return Page[EvalItemResult].of(rows, query.limit)


@router.get(
    "/{run_id}/report",
    summary="Get the report of a run",
    response_model=EvalReport,
    responses={
        200: {"content": {MARKDOWN: {"schema": {"type": "string"}}}},
        **problem_responses(RunNotFound),
    },
)
async def get_report(
    request: Request,
    eval_id: str,
    run_id: str,
    caller: CallerDep,
    deps: DepsDep,
    form: Annotated[
        Literal["json", "md"] | None, Query(alias="format", description="without it the Accept header decides")
    ] = None,
) -> EvalReport | Response:
    """Return what the run says about the model, as JSON or as Markdown; of an unfinished run, what it says so far."""
    found = await deps.library.results(caller.tenant, eval_id, run_id)
    report = make_report(found.run, found.results, found.scorers)
    wants_markdown = MARKDOWN in request.headers.get("accept", "")
    if form == "md" or (form is None and wants_markdown):
        return Response(to_markdown(report), media_type=MARKDOWN)
    return report
