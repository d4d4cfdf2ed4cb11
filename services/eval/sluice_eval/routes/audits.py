"""Bias audits and schedules of suites."""

import asyncio

from fastapi import APIRouter, Response

from sluice.auth import CallerDep
from sluice.contracts.evals import (
    BiasReport,
    CreateBiasAudit,
    EvalSchedule,
    EvalSuite,
    ScheduleDeleted,
    SetSchedule,
)
from sluice.errors import Unauthorized, Unprocessable, problem_responses
from sluice_eval.domain.bias import bias_report
from sluice_eval.domain.bias_prompts import bias_suite, prompt_of
from sluice_eval.domain.errors import (
    NoBiasAudit,
    RunKeyForbidden,
    RunKeyMissing,
    RunNotFound,
    ScheduleNotFound,
    SuiteInvalid,
    SuiteNotFound,
)
from sluice_eval.domain.runs import key_of_run
from sluice_eval.domain.suites import finished
from sluice_eval.wiring import DepsDep

router = APIRouter(prefix="/v1/evals", tags=["audits"], responses=problem_responses(Unauthorized, Unprocessable))


@router.post(
    "/bias",
    status_code=201,
    summary="Make a bias audit",
    responses={200: {"model": EvalSuite, "description": "The newest version is equal to it"}},
)
async def create_bias_audit(body: CreateBiasAudit, response: Response, caller: CallerDep, deps: DepsDep) -> EvalSuite:
    """Store a suite of prompts for people who differ in one attribute; run it, or give it a schedule, as any other suite."""
    stored = await deps.library.add_suite(caller.tenant, finished(bias_suite(body)), deps.clock.now())
    response.status_code = 201 if stored.new else 200
    return stored.suite


@router.get(
    "/{eval_id}/runs/{run_id}/bias",
    summary="Get what a bias audit found",
    responses=problem_responses(SuiteNotFound, RunNotFound, NoBiasAudit),
)
async def get_bias_report(eval_id: str, run_id: str, caller: CallerDep, deps: DepsDep) -> BiasReport:
    """Return how answers differ between groups, and which differences chance seldom makes; of an unfinished run, what it says so far."""
    found = await deps.library.results(caller.tenant, eval_id, run_id)
    if found.results and all(prompt_of(result.id) is None for result in found.results):
        raise NoBiasAudit("The suite of this run is no bias audit. Make one with POST /v1/evals/bias.")
    return await asyncio.to_thread(bias_report, found.run, found.results)


@router.put(
    "/{eval_id}/schedule",
    summary="Run a suite again and again",
    responses=problem_responses(SuiteNotFound, SuiteInvalid, RunKeyMissing, RunKeyForbidden),
)
async def set_schedule(eval_id: str, body: SetSchedule, caller: CallerDep, deps: DepsDep) -> EvalSchedule:
    """Set when the suite runs by itself, in place of what was set before."""
    suite = await deps.library.suite(caller.tenant, eval_id)
    model = body.model or suite.model
    if model is None:
        raise SuiteInvalid("Say which model to run the suite against: neither the schedule nor the suite names one.")
    wanted = EvalSchedule(
        eval_id=eval_id,
        every_s=body.every_s,
        model=model,
        api_key_id=key_of_run(caller.key_id, body.api_key_id, may_name=caller.role != "member"),
        concurrency=body.concurrency or deps.settings.concurrency,
        next_at=deps.clock.now() if body.start_at is None else body.start_at,
    )
    stored = await deps.schedules.put(caller.tenant, wanted)
    deps.sweep.wake()
    return stored


@router.get("/{eval_id}/schedule", summary="Get a suite's schedule", responses=problem_responses(ScheduleNotFound))
async def get_schedule(eval_id: str, caller: CallerDep, deps: DepsDep) -> EvalSchedule:
    """Return when the suite runs next, and the last run that the schedule started."""
    return await deps.schedules.get(caller.tenant, eval_id)


@router.delete(
    "/{eval_id}/schedule", summary="Delete a suite's schedule", responses=problem_responses(ScheduleNotFound)
)
async def delete_schedule(eval_id: str, caller: CallerDep, deps: DepsDep) -> ScheduleDeleted:
    """Let the suite run no more by itself; runs that began go on."""
    await deps.schedules.remove(caller.tenant, eval_id)
    return ScheduleDeleted(eval_id=eval_id)
