"""Schedules of suites: one for a suite, and the runs that they start."""

from sqlalchemy import delete, select, update

from sluice.contracts.evals import EvalSchedule
from sluice.db import AsyncSession, Database, ReadSession
from sluice.ids import new_id
from sluice_eval.domain.errors import ScheduleNotFound, SuiteNotFound
from sluice_eval.domain.runs import RunKey
from sluice_eval.tables import RunRow, ScheduleRow, SuiteRow

MAX_STARTED = 100
"""Runs that one look at the clock starts at most."""


class Schedules:
    """When suites run by themselves; every question but `start_due` is of one tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, tenant: str, wanted: EvalSchedule) -> EvalSchedule:
        """Set the schedule of a suite, in place of the one it had.

        Raises:
            SuiteNotFound: this tenant has no such suite.
        """
        async with self._db.write() as session:
            suite = await session.get(SuiteRow, wanted.eval_id)
            if suite is None or suite.tenant != tenant:
                raise SuiteNotFound(f"There is no suite with the id {wanted.eval_id!r}.")
            row = await session.get(ScheduleRow, wanted.eval_id)
            if row is None:
                row = ScheduleRow(suite_id=wanted.eval_id, tenant=tenant)
                session.add(row)
            row.every_s, row.model, row.api_key_id = wanted.every_s, wanted.model, wanted.api_key_id
            row.concurrency, row.next_at = wanted.concurrency, wanted.next_at
            return _schedule(row)

    async def get(self, tenant: str, suite_id: str) -> EvalSchedule:
        """Return the schedule of a suite.

        Raises:
            ScheduleNotFound: it has none.
        """
        async with self._db.read() as session:
            return _schedule(await _row(session, tenant, suite_id))

    async def remove(self, tenant: str, suite_id: str) -> None:
        """Take the schedule of a suite away.

        Raises:
            ScheduleNotFound: it has none.
        """
        async with self._db.write() as session:
            await _row(session, tenant, suite_id)
            await session.execute(delete(ScheduleRow).where(ScheduleRow.suite_id == suite_id))

    async def start_due(self, now: float, look_at: float) -> list[RunKey]:
        """Store a run for each schedule whose time has come, once for all processes that look; times that were missed are not made up for."""
        started: list[RunKey] = []
        async with self._db.write() as session:
            due = select(ScheduleRow).where(ScheduleRow.next_at <= now).order_by(ScheduleRow.next_at).limit(MAX_STARTED)
            for row in list(await session.scalars(due)):
                missed = int((now - row.next_at) // row.every_s)
                following = row.next_at + (missed + 1) * row.every_s
                run_id = new_id("evalrun")
                taken = await session.execute(
                    update(ScheduleRow)
                    .where(ScheduleRow.suite_id == row.suite_id, ScheduleRow.next_at == row.next_at)
                    .values(next_at=following, last_run_id=run_id)
                    .returning(ScheduleRow.suite_id)
                )
                if taken.first() is None:  # another process was faster
                    continue
                session.add(_run(run_id, row, now, look_at))
                started.append(RunKey(row.tenant, run_id))
        return started


def _run(run_id: str, row: ScheduleRow, now: float, look_at: float) -> RunRow:
    return RunRow(
        id=run_id,
        tenant=row.tenant,
        suite_id=row.suite_id,
        model=row.model,
        api_key_id=row.api_key_id,
        status="queued",
        concurrency=row.concurrency,
        details={"started_by": "schedule"},
        attempts=0,
        look_at=look_at,
        created_at=now,
    )


async def _row(session: ReadSession | AsyncSession, tenant: str, suite_id: str) -> ScheduleRow:
    row = await session.get(ScheduleRow, suite_id)
    if row is None or row.tenant != tenant:
        raise ScheduleNotFound(f"The suite {suite_id!r} has no schedule.")
    return row


def _schedule(row: ScheduleRow) -> EvalSchedule:
    return EvalSchedule(
        eval_id=row.suite_id,
        every_s=row.every_s,
        model=row.model,
        api_key_id=row.api_key_id,
        concurrency=row.concurrency,
        next_at=row.next_at,
        last_run_id=row.last_run_id,
    )
