"""Fine-tuning jobs: OpenAI's /v1/fine_tuning/jobs."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query

from sluice.auth import CallerDep
from sluice.contracts.finetune import FineTuningJob, JobCreate, JobEvent
from sluice.contracts.paging import Cursor, Order, Page, PageQuery, id_of
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_finetune.domain.errors import CursorNotFound, JobHasEnded, JobNotFound, UnknownTrainingFile, UnsuitableFile
from sluice_finetune.domain.submission import created, new_job, shown
from sluice_finetune.wiring import DepsDep

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])

Limit = Annotated[int, Query(ge=1, le=100)]
After = Annotated[Cursor | None, Query(max_length=64)]


@router.post(
    "",
    summary="Create a job",
    responses=problem_responses(Unauthorized, UnknownTrainingFile, UnsuitableFile, DependencyUnavailable),
)
async def create(body: JobCreate, caller: CallerDep, deps: DepsDep) -> FineTuningJob:
    """Copy the files, keep the job and put it into the workers' queue; it is kept also while the queue is away."""
    now = deps.clock.now()
    job = new_job(new_id("ftjob"), caller.tenant, body, secrets.randbelow(2**31), now)
    async with deps.files.copied(job):
        await deps.jobs.add(job, created(job), next_send_at=now + deps.settings.resend_s)
    deps.metrics.created.inc()
    deps.sweep.wake()
    if not await deps.queue.send(job.tenant, job.id):
        await deps.jobs.send_soon(job.id, now)
    return shown(job)


@router.get("", summary="List jobs", responses=problem_responses(Unauthorized))
async def list_jobs(
    caller: CallerDep,
    deps: DepsDep,
    limit: Limit = 20,
    after: Annotated[After, id_of("ftjob")] = None,
    order: Order = "desc",
) -> Page[FineTuningJob]:
    """Return the tenant's jobs, newest first."""
    found = await deps.jobs.list(caller.tenant, PageQuery(limit=limit, after=after, order=order))
    data = tuple(shown(job) for job in found.jobs)
    return Page[FineTuningJob](
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=found.has_more,
    )


@router.get("/{job_id}", summary="Get a job", responses=problem_responses(Unauthorized, JobNotFound))
async def get_job(job_id: str, caller: CallerDep, deps: DepsDep) -> FineTuningJob:
    """Return a job with its reports."""
    return shown(await deps.jobs.get(caller.tenant, job_id))


@router.post(
    "/{job_id}/cancel", summary="Cancel a job", responses=problem_responses(Unauthorized, JobNotFound, JobHasEnded)
)
async def cancel(job_id: str, caller: CallerDep, deps: DepsDep) -> FineTuningJob:
    """End a job that has not ended; its worker stops at its next step."""
    job = await deps.jobs.cancel(caller.tenant, job_id, deps.clock.now())
    await deps.files.forget(job)
    deps.metrics.cancelled.inc()
    return shown(job)


@router.get(
    "/{job_id}/events",
    summary="List a job's events",
    responses=problem_responses(Unauthorized, JobNotFound, CursorNotFound),
)
async def list_events(
    job_id: str, caller: CallerDep, deps: DepsDep, limit: Limit = 20, after: After = None, order: Order = "desc"
) -> Page[JobEvent]:
    """Return what happened to a job, newest first."""
    return await deps.jobs.events(caller.tenant, job_id, PageQuery(limit=limit, after=after, order=order))
