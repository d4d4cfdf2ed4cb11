"""Queries on the gateway's database: splits of requests between versions of a prompt; every query names the tenant."""

from sqlalchemy import func, select

from sluice.contracts.paging import Order
from sluice.contracts.prompts import PromptSplit, PromptSplitChange, PromptSplitState
from sluice.db import Database
from sluice_gateway.domain.errors import PromptNotFound, PromptSplitNotFound
from sluice_gateway.domain.prompt_splits import Reason, change_of, same_versions
from sluice_gateway.domain.prompt_tuning import TUNING, TunedSplit, Verdict
from sluice_gateway.prompt_rows import end_split, named, no_version, note_change, split_of
from sluice_gateway.tables import PromptRow, PromptSplitChangeRow


class PromptSplitStore:
    """Splits; every method raises DependencyUnavailable when the database is away, and PromptNotFound."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str, name: str) -> PromptSplitState:
        """Return the split of a prompt, or raise PromptSplitNotFound."""
        async with self._database.read() as session:
            return _state(await named(session, tenant, name))

    async def set(self, tenant: str, name: str, key_id: str, wanted: PromptSplit, now: float) -> PromptSplitState:
        """Split requests from now on; versions are compared anew unless they are the same as before.

        Raises:
            PromptVersionNotFound: the prompt has no such version.
        """
        async with self._database.write() as session:
            row = await named(session, tenant, name, for_update=True)
            for share in wanted.shares:
                if share.version > row.newest_version:
                    raise no_version(name, share.version)
            before = split_of(row)
            if before is None or not same_versions(before, wanted):
                row.split_began_at = int(now)
            row.split = wanted.model_dump_json()
            row.changed_at = int(now)
            note_change(session, row, "set", key_id, now, wanted.shares)
            return _state(row)

    async def end(self, tenant: str, name: str, key_id: str, now: float) -> PromptSplitState:
        """End the split and return what it was, or raise PromptSplitNotFound; the version in use answers from now on."""
        async with self._database.write() as session:
            row = await named(session, tenant, name, for_update=True)
            shown = _state(row)
            end_split(session, row, "ended", key_id, now)
            row.changed_at = int(now)
            return shown

    async def changes(
        self, tenant: str, name: str, *, limit: int, after: str | None, order: Order
    ) -> list[PromptSplitChange]:
        """Return at most `limit + 1` changes by id, which is by time."""
        change = PromptSplitChangeRow
        async with self._database.read() as session:
            row = await named(session, tenant, name)
            query = select(change).where(change.prompt_id == row.id).limit(limit + 1)
            if order == "asc":
                query = (query.where(change.id > after) if after else query).order_by(change.id.asc())
            else:
                query = (query.where(change.id < after) if after else query).order_by(change.id.desc())
            return [change_of(found.id, found.at, found.content) for found in await session.scalars(query)]

    async def tuned(self) -> list[TunedSplit]:
        """Return all splits that tune themselves, of all tenants."""
        changed = (
            select(func.max(PromptSplitChangeRow.at))
            .where(PromptSplitChangeRow.prompt_id == PromptRow.id)
            .scalar_subquery()
        )
        async with self._database.read() as session:
            found = (await session.execute(select(PromptRow, changed).where(PromptRow.split.is_not(None)))).all()
            splits = [TunedSplit(row.tenant, _state(row), changed_at or 0) for row, changed_at in found]
        return [one for one in splits if one.state.tune is not None]

    async def follow(self, split: TunedSplit, verdict: Verdict, now: float) -> bool:
        """Change a split as its tuning says; tell whether it was, for which it has to be as it was looked at."""
        name, reason = split.state.prompt, Reason(verdict.why, verdict.evidence)
        async with self._database.write() as session:
            try:
                row = await named(session, split.tenant, name, for_update=True)
            except PromptNotFound:
                return False
            current = split_of(row)
            if current is None or (current.shares, current.tune) != (split.state.shares, split.state.tune):
                return False
            row.changed_at = int(now)
            if verdict.winner is not None:
                row.default_version = verdict.winner
                end_split(session, row, "promoted", TUNING, now, reason)
            else:
                row.split = current.model_copy(update={"shares": verdict.shares}).model_dump_json()
                note_change(session, row, "tuned", TUNING, now, verdict.shares, reason)
            return True


def _state(row: PromptRow) -> PromptSplitState:
    split = split_of(row)
    if split is None:
        raise PromptSplitNotFound(
            f"The prompt {row.name} has no split. PUT /v1/prompts/{row.name}/split divides its requests between versions."
        )
    return PromptSplitState(prompt=row.name, began_at=row.split_began_at or 0, **dict(split))
