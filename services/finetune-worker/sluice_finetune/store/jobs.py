"""Queries for fine-tuning jobs: the owner's side, the worker's side (leases), and the sweep."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sluice.contracts.base import Reply
from sluice.contracts.finetune import (
    DatasetReport,
    EventLevel,
    JobCreate,
    JobError,
    JobEvent,
    JobStatus,
    Preflight,
)
from sluice.contracts.paging import Page, PageQuery
from sluice.db import Database
from sluice.ids import new_id
from sluice_finetune.domain.errors import CursorNotFound, JobHasEnded, JobLost, JobNotFound
from sluice_finetune.domain.jobs import ENDED, Change, Event, Job
from sluice_finetune.tables import EventRow, JobRow

_RAREST_SEND_S = 600.0


class WaitingJob(NamedTuple):
    """A job that no worker holds."""

    tenant: str
    job_id: str


class JobPage(NamedTuple):
    """Jobs of one page, and whether more follow."""

    jobs: Sequence[Job]
    has_more: bool


class Jobs:
    """Jobs of all tenants; implements `JobRecord`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job, created: Event, next_send_at: float) -> None:
        """Keep a new job."""
        async with self._database.write() as session:
            session.add(
                JobRow(
                    id=job.id,
                    tenant=job.tenant,
                    status=job.status,
                    training_file=job.wish.training_file,
                    validation_file=job.wish.validation_file,
                    wish=job.wish.model_dump(mode="json"),
                    seed=job.seed,
                    created_at=job.created_at,
                    attempts=0,
                    lease_until=0.0,
                    next_send_at=next_send_at,
                )
            )
            await session.flush()
            await _tell(session, job.id, [created], job.created_at)

    async def get(self, tenant: str, job_id: str) -> Job:
        """Return a job.

        Raises:
            JobNotFound: this tenant has none of this id.
        """
        async with self._database.read() as session:
            return _job(_found(await session.scalar(_one(tenant, job_id)), job_id))

    async def list(self, tenant: str, page: PageQuery) -> JobPage:
        """Return one page of a tenant's jobs."""
        newest_first = page.order == "desc"
        query = select(JobRow).where(JobRow.tenant == tenant).limit(page.limit + 1)
        if page.after is not None:
            query = query.where(JobRow.id < page.after if newest_first else JobRow.id > page.after)
        query = query.order_by(JobRow.id.desc() if newest_first else JobRow.id)
        async with self._database.read() as session:
            jobs = [_job(row) for row in await session.scalars(query)]
        return JobPage(jobs[: page.limit], len(jobs) > page.limit)

    async def events(self, tenant: str, job_id: str, page: PageQuery) -> Page[JobEvent]:
        """Return one page of a job's events.

        Raises:
            JobNotFound: this tenant has no such job.
            CursorNotFound: `after` is no event of it.
        """
        newest_first = page.order == "desc"
        query = select(EventRow).where(EventRow.job_id == job_id).limit(page.limit + 1)
        async with self._database.read() as session:
            _found(await session.scalar(_one(tenant, job_id)), job_id)
            if page.after is not None:
                at = await session.scalar(
                    select(EventRow.number).where(EventRow.job_id == job_id, EventRow.id == page.after)
                )
                if at is None:
                    raise CursorNotFound(f"`after`: the job has no event {page.after!r}.")
                query = query.where(EventRow.number < at if newest_first else EventRow.number > at)
            query = query.order_by(EventRow.number.desc() if newest_first else EventRow.number)
            events = [_event(row) for row in await session.scalars(query)]
        return Page[JobEvent].of(events, page.limit)

    async def cancel(self, tenant: str, job_id: str, now: float) -> Job:
        """End a job at once; a worker that has it notices at its next step.

        Raises:
            JobNotFound: this tenant has no such job.
            JobHasEnded: there is nothing left to cancel.
        """
        async with self._database.write() as session:
            row = _found(await session.scalar(_one(tenant, job_id).with_for_update()), job_id)
            if row.status in ENDED:
                raise JobHasEnded(f"The job {job_id} has already ended: {row.status}.")
            row.status, row.finished_at, row.lease_owner = "cancelled", int(now), None
            await _tell(session, job_id, [Event("cancelled", "info", "The job was cancelled")], int(now))
            return _job(row)

    async def claim(self, tenant: str, job_id: str, owner: str, now: float, lease_s: float) -> Job | None:
        """Take the lease and return the job, or None if it has ended, is gone, or another worker holds it."""
        async with self._database.write() as session:
            row = await session.scalar(_one(tenant, job_id).with_for_update())
            if row is None or row.status in ENDED or (row.lease_owner is not None and row.lease_until > now):
                return None
            row.lease_owner, row.lease_until, row.attempts = owner, now + lease_s, row.attempts + 1
            return _job(row)

    async def renew(self, job_id: str, owner: str, now: float, lease_s: float) -> bool:
        """Keep the lease; False if the job has ended or is no longer ours."""
        async with self._database.write() as session:
            row = await session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
            if row is None or row.lease_owner != owner or row.status in ENDED:
                return False
            row.lease_until = now + lease_s
            return True

    async def advance(self, job_id: str, owner: str, change: Change, now: float) -> Job:
        """Make a step of a job that we hold: state, reports and events in one transaction.

        Raises:
            JobLost: the job has ended (cancelled) or is no longer ours; nothing was changed.
        """
        async with self._database.write() as session:
            row = await session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
            if row is None or row.lease_owner != owner or row.status in ENDED:
                raise JobLost(f"The job {job_id} was cancelled or taken over.")
            for name in ("error", "dataset", "validation_dataset", "preflight"):
                value: Reply | None = getattr(change, name)
                if value is not None:
                    setattr(row, name, value.model_dump(mode="json"))
            if change.status is not None:
                row.status = change.status
                if change.status in ENDED:
                    row.finished_at, row.lease_owner = int(now), None
            await _tell(session, job_id, change.events, int(now))
            return _job(row)

    async def take_waiting(self, now: float, resend_s: float, limit: int = 100) -> Sequence[WaitingJob]:
        """Return jobs that no worker holds and that are due, and put off their next turn by `resend_s`."""
        async with self._database.write() as session:
            rows = (
                await session.scalars(
                    select(JobRow)
                    .where(JobRow.status.not_in(ENDED), JobRow.next_send_at <= now)
                    .where(or_(JobRow.lease_owner.is_(None), JobRow.lease_until <= now))
                    .order_by(JobRow.next_send_at)
                    .limit(limit)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            for row in rows:
                # A job that no worker ever took is in the queue already: it is sent more and more rarely.
                age = now - row.created_at if row.attempts == 0 else 0.0
                row.next_send_at = now + max(resend_s, min(age / 2, _RAREST_SEND_S))
            return [WaitingJob(row.tenant, row.id) for row in rows]

    async def send_soon(self, job_id: str, now: float) -> None:
        """Let the next sweep send a job that could not be put into the queue."""
        async with self._database.write() as session:
            await session.execute(update(JobRow).where(JobRow.id == job_id).values(next_send_at=now))

    async def open_ids(self) -> set[str]:
        """Return the ids of all jobs that have not ended."""
        async with self._database.read() as session:
            return set(await session.scalars(select(JobRow.id).where(JobRow.status.not_in(ENDED))))

    async def count_open(self) -> int:
        """Return how many jobs have not ended."""
        async with self._database.read() as session:
            return int(await session.scalar(select(func.count()).where(JobRow.status.not_in(ENDED))))


async def _tell(session: AsyncSession, job_id: str, events: Sequence[Event], now: int) -> None:
    if not events:
        return
    told = set((await session.scalars(select(EventRow.key).where(EventRow.job_id == job_id))).all())
    number = len(told)  # events are never removed, so the count is the last number
    for event in events:
        if event.key in told:
            continue
        number += 1
        session.add(
            EventRow(
                job_id=job_id,
                number=number,
                id=new_id("ftevent"),
                key=event.key,
                level=event.level,
                message=event.message,
                data=dict(event.data) if event.data is not None else None,
                created_at=now,
            )
        )


def _one(tenant: str, job_id: str) -> Select[Any]:
    return select(JobRow).where(JobRow.id == job_id, JobRow.tenant == tenant)


def _found(row: JobRow | None, job_id: str) -> JobRow:
    if row is None:
        raise JobNotFound(f"There is no fine-tuning job {job_id!r}.")
    return row


def _job(row: JobRow) -> Job:
    status: JobStatus = row.status  # type: ignore[assignment] # only our own values are written
    return Job(
        id=row.id,
        tenant=row.tenant,
        status=status,
        wish=JobCreate.model_validate(row.wish),
        seed=row.seed,
        created_at=row.created_at,
        finished_at=row.finished_at,
        error=JobError.model_validate(row.error) if row.error else None,
        dataset=DatasetReport.model_validate(row.dataset) if row.dataset else None,
        validation_dataset=DatasetReport.model_validate(row.validation_dataset) if row.validation_dataset else None,
        preflight=Preflight.model_validate(row.preflight) if row.preflight else None,
        attempts=row.attempts,
    )


def _event(row: EventRow) -> JobEvent:
    level: EventLevel = row.level  # type: ignore[assignment] # only our own values are written
    return JobEvent(id=row.id, created_at=row.created_at, level=level, message=row.message, data=row.data)
