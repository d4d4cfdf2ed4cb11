"""Runs as workers write them. Each write looks first, in its own transaction, whether the run is still the worker's."""

from sqlalchemy import select

from sluice.contracts.evals import EvalItemResult, RunStatus
from sluice.db import AsyncSession, Database
from sluice_eval.domain.runs import OnBehalf, RunKey, Work
from sluice_eval.store.rows import body_of, result_row
from sluice_eval.tables import ResultRow, RunRow, SuiteRow


class SqlRunBook:
    """The run book in the service's database; a run that lost `max_attempts` workers is given up."""

    def __init__(self, database: Database, max_attempts: int) -> None:
        self._db = database
        self._max_attempts = max_attempts

    async def take(self, key: RunKey, owner: str, now: float, lease_s: float) -> Work | None:
        """Take a run that waits or whose worker was lost; None if there is nothing to do for it here."""
        async with self._db.write() as session:
            row = await _locked(session, key)
            if row is None or row.status not in ("queued", "running"):
                return None
            if row.status == "running" and row.look_at > now:
                return None
            if row.attempts >= self._max_attempts:
                _give_up(row, f"The run was given up: {row.attempts} workers were lost over it.", now)
                return None
            if row.api_key_id is None:
                _give_up(
                    row, "The run is from a version that did not note whose API key it asks with. Start it again.", now
                )
                return None
            suite = await session.get(SuiteRow, row.suite_id)
            assert suite is not None  # the foreign key says so
            row.status, row.lease_owner, row.look_at = "running", owner, now + lease_s
            row.attempts += 1
            row.started_at = row.started_at or now
            done = await session.scalars(select(ResultRow.position).where(ResultRow.run_id == row.id))
            on_behalf = OnBehalf(row.tenant, row.api_key_id)
            return Work(on_behalf, row.model, row.concurrency, body_of(suite), frozenset(done), row.started_at)

    async def hold(self, key: RunKey, owner: str, until: float) -> bool:
        """Prolong the lease; False if the run was cancelled, deleted or taken over."""
        async with self._db.write() as session:
            row = await _locked(session, key)
            if not _is_ours(row, owner):
                return False
            assert row is not None
            row.look_at = until
            return True

    async def write(self, key: RunKey, owner: str, result: EvalItemResult) -> bool:
        """Write an item's result, the first one only; False if the run is no longer ours."""
        async with self._db.write() as session:
            if not _is_ours(await _locked(session, key), owner):
                return False
            if await session.get(ResultRow, (key.run_id, result.position)) is None:
                session.add(result_row(key.tenant, result))
            return True

    async def finish(self, key: RunKey, owner: str, status: RunStatus, error: str | None, now: float) -> bool:
        """End a run; False if it is no longer ours."""
        async with self._db.write() as session:
            row = await _locked(session, key)
            if not _is_ours(row, owner):
                return False
            assert row is not None
            row.status, row.error, row.finished_at, row.lease_owner = status, error, now, None
            return True


async def _locked(session: AsyncSession, key: RunKey) -> RunRow | None:
    query = select(RunRow).where(RunRow.id == key.run_id, RunRow.tenant == key.tenant).with_for_update()
    found: RunRow | None = await session.scalar(query)
    return found


def _give_up(row: RunRow, error: str, now: float) -> None:
    row.status, row.error, row.finished_at, row.lease_owner = "failed", error, now, None


def _is_ours(row: RunRow | None, owner: str) -> bool:
    return row is not None and row.status == "running" and row.lease_owner == owner
