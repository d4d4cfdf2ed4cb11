"""Suites, runs and results as the API reads and changes them; every query is of one tenant."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, func, select
from sqlalchemy.exc import IntegrityError

from sluice.contracts.evals import (
    CreateEval,
    EvalCounts,
    EvalItemQuery,
    EvalItemResult,
    EvalRun,
    EvalSuite,
)
from sluice.contracts.paging import PageQuery
from sluice.db import AsyncSession, Database, ReadSession
from sluice.ids import new_id
from sluice_eval.domain.errors import RunEnded, RunNotFound, SuiteBusy, SuiteNotFound
from sluice_eval.domain.runs import RunKey
from sluice_eval.domain.suites import content_hash, scorer_counts
from sluice_eval.store.rows import body_of, result_of, run_of, suite_of
from sluice_eval.tables import ResultRow, RunRow, SuiteRow

_ACTIVE = ("queued", "running")
_VERSION_TRIES = 5


class Stored(NamedTuple):
    """A suite, and whether it is a new version."""

    suite: EvalSuite
    new: bool


class NewRun(NamedTuple):
    """What a run is made of."""

    model: str
    api_key_id: str
    concurrency: int
    metadata: dict[str, str]


class Results(NamedTuple):
    """A run with all its results."""

    run: EvalRun
    results: list[EvalItemResult]
    scorers: dict[str, int]


class Library:
    """The eval service's memory."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def ping(self) -> None:
        """Ask the database whether it is there."""
        await self._db.ping()

    async def add_suite(self, tenant: str, suite: CreateEval, now: float) -> Stored:
        """Store a suite as the next version of its name, unless it equals the newest version."""
        body = suite.model_dump(mode="json")
        for attempt in range(1, _VERSION_TRIES + 1):
            try:
                async with self._db.write() as session:
                    return await _add_version(session, tenant, suite, body, now)
            except IntegrityError:  # another request took this version number at the same time
                if attempt == _VERSION_TRIES:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def suites(self, tenant: str, page: PageQuery) -> Sequence[EvalSuite]:
        """Return a page of suites, all versions, and one more if there are more."""
        query = _paged(select(SuiteRow).where(SuiteRow.tenant == tenant), SuiteRow.id, page)
        async with self._db.read() as session:
            return [suite_of(row) for row in await session.scalars(query)]

    async def suite(self, tenant: str, suite_id: str) -> EvalSuite:
        """Return one suite."""
        async with self._db.read() as session:
            return suite_of(await _suite(session, tenant, suite_id))

    async def suite_body(self, tenant: str, suite_id: str) -> CreateEval:
        """Return the whole of one suite."""
        async with self._db.read() as session:
            return body_of(await _suite(session, tenant, suite_id))

    async def remove_suite(self, tenant: str, suite_id: str) -> None:
        """Delete a suite with its runs and results.

        Raises:
            SuiteBusy: a run has not ended.
        """
        async with self._db.write() as session:
            row = await _suite(session, tenant, suite_id)
            active = select(func.count()).where(RunRow.suite_id == row.id, RunRow.status.in_(_ACTIVE))
            if await session.scalar(active):
                raise SuiteBusy("The suite has runs that have not ended. Cancel them, or wait for their end.")
            await session.execute(delete(SuiteRow).where(SuiteRow.id == row.id))

    async def add_run(self, tenant: str, suite_id: str, new: NewRun, now: float, look_at: float) -> EvalRun:
        """Store a run that waits for a worker; the sweep looks at it at `look_at`."""
        async with self._db.write() as session:
            suite = await _suite(session, tenant, suite_id)
            row = RunRow(
                id=new_id("evalrun"),
                tenant=tenant,
                suite_id=suite.id,
                model=new.model,
                api_key_id=new.api_key_id,
                status="queued",
                concurrency=new.concurrency,
                details=new.metadata,
                attempts=0,
                look_at=look_at,
                created_at=now,
            )
            session.add(row)
            return run_of(row, suite, EvalCounts(total=suite.items, pending=suite.items))

    async def runs(self, tenant: str, suite_id: str, page: PageQuery) -> Sequence[EvalRun]:
        """Return a page of a suite's runs, and one more if there are more."""
        async with self._db.read() as session:
            suite = await _suite(session, tenant, suite_id)
            query = select(RunRow).where(RunRow.tenant == tenant, RunRow.suite_id == suite.id)
            rows = list(await session.scalars(_paged(query, RunRow.id, page)))
            counts = await _counts(session, [row.id for row in rows], suite.items)
            return [run_of(row, suite, counts[row.id]) for row in rows]

    async def run(self, tenant: str, suite_id: str, run_id: str) -> EvalRun:
        """Return one run."""
        async with self._db.read() as session:
            return await _run(session, tenant, suite_id, run_id)

    async def cancel(self, tenant: str, suite_id: str, run_id: str, now: float) -> EvalRun:
        """End a run that has not ended; what its worker still brings is not written.

        Raises:
            RunEnded: it has ended.
        """
        async with self._db.write() as session:
            row = await _run_row(session, tenant, suite_id, run_id, lock=True)
            if row.status not in _ACTIVE:
                raise RunEnded(f"The run is {row.status}; only a run that has not ended can be cancelled.")
            row.status, row.finished_at, row.lease_owner = "cancelled", now, None
            await session.flush()
            return await _run(session, tenant, suite_id, run_id)

    async def items(self, tenant: str, suite_id: str, run_id: str, query: EvalItemQuery) -> Sequence[EvalItemResult]:
        """Return a page of a run's results, and one more if there are more."""
        async with self._db.read() as session:
            row = await _run_row(session, tenant, suite_id, run_id)
            found = select(ResultRow).where(ResultRow.run_id == row.id, ResultRow.tenant == tenant)
            if query.outcome:
                found = found.where(ResultRow.outcome == query.outcome)
            ascending = query.order == "asc"
            if query.after is not None:
                at = select(ResultRow.position).where(ResultRow.run_id == row.id, ResultRow.item_id == query.after)
                position = await session.scalar(at) or 0
                found = found.where(ResultRow.position > position if ascending else ResultRow.position < position)
            order = ResultRow.position.asc() if ascending else ResultRow.position.desc()
            return [result_of(item) for item in await session.scalars(found.order_by(order).limit(query.limit + 1))]

    async def results(self, tenant: str, suite_id: str, run_id: str) -> Results:
        """Return a run with all its results, in the suite's order."""
        async with self._db.read() as session:
            run = await _run(session, tenant, suite_id, run_id)
            suite = await _suite(session, tenant, suite_id)
            query = select(ResultRow).where(ResultRow.run_id == run_id).order_by(ResultRow.position)
            return Results(run, [result_of(row) for row in await session.scalars(query)], suite.scorers)

    async def unfinished(self) -> int:
        """Return how many runs of all tenants have not ended."""
        async with self._db.read() as session:
            return int(await session.scalar(select(func.count(RunRow.id)).where(RunRow.status.in_(_ACTIVE))))

    async def due(self, now: float, next_look: float, limit: int = 50) -> list[RunKey]:
        """Return runs that wait too long or whose worker was lost, and look at them again at `next_look`.

        A lost run becomes queued, so that the worker that lost it, should it live, can write no more.
        """
        async with self._db.write() as session:
            query = (
                select(RunRow)
                .where(RunRow.status.in_(_ACTIVE), RunRow.look_at <= now)
                .order_by(RunRow.look_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            rows = list(await session.scalars(query))
            for row in rows:
                row.status, row.lease_owner, row.look_at = "queued", None, next_look
            return [RunKey(row.tenant, row.id) for row in rows]


async def _add_version(
    session: AsyncSession, tenant: str, suite: CreateEval, body: dict[str, Any], now: float
) -> Stored:
    query = select(SuiteRow).where(SuiteRow.tenant == tenant, SuiteRow.name == suite.name)
    newest = await session.scalar(query.order_by(SuiteRow.version.desc()).limit(1))
    if newest is not None and newest.body == body:
        return Stored(suite_of(newest), new=False)
    row = SuiteRow(
        id=new_id("eval"),
        tenant=tenant,
        name=suite.name,
        version=1 if newest is None else newest.version + 1,
        content_hash=content_hash(suite),
        items=len(suite.items),
        scorers=scorer_counts(suite.items),
        body=body,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    return Stored(suite_of(row), new=True)


async def _suite(session: ReadSession | AsyncSession, tenant: str, suite_id: str) -> SuiteRow:
    found = await session.scalar(select(SuiteRow).where(SuiteRow.id == suite_id, SuiteRow.tenant == tenant))
    if not isinstance(found, SuiteRow):
        raise SuiteNotFound(f"There is no suite {suite_id!r}. GET /v1/evals lists yours.")
    return found


async def _run_row(
    session: ReadSession | AsyncSession, tenant: str, suite_id: str, run_id: str, *, lock: bool = False
) -> RunRow:
    query = select(RunRow).where(RunRow.id == run_id, RunRow.tenant == tenant, RunRow.suite_id == suite_id)
    found = await session.scalar(query.with_for_update() if lock else query)
    if not isinstance(found, RunRow):
        await _suite(session, tenant, suite_id)
        raise RunNotFound(f"The suite has no run {run_id!r}. GET /v1/evals/{suite_id}/runs lists them.")
    return found


async def _run(session: ReadSession | AsyncSession, tenant: str, suite_id: str, run_id: str) -> EvalRun:
    row = await _run_row(session, tenant, suite_id, run_id)
    suite = await _suite(session, tenant, suite_id)
    counts = await _counts(session, [row.id], suite.items)
    return run_of(row, suite, counts[row.id])


async def _counts(session: ReadSession | AsyncSession, run_ids: Sequence[str], total: int) -> dict[str, EvalCounts]:
    query = (
        select(ResultRow.run_id, ResultRow.outcome, func.count())
        .where(ResultRow.run_id.in_(run_ids))
        .group_by(ResultRow.run_id, ResultRow.outcome)
    )
    found: dict[str, dict[str, int]] = {run_id: {} for run_id in run_ids}
    for run_id, outcome, number in await session.execute(query):
        found[run_id][outcome] = number
    return {
        run_id: EvalCounts.model_validate({**outcomes, "total": total, "pending": total - sum(outcomes.values())})
        for run_id, outcomes in found.items()
    }


def _paged(query: Select[Any], column: Any, page: PageQuery) -> Select[Any]:
    ascending = page.order == "asc"
    if page.after is not None:
        query = query.where(column > page.after if ascending else column < page.after)
    return query.order_by(column.asc() if ascending else column.desc()).limit(page.limit + 1)
