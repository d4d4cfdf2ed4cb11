"""Queries on the gateway's database: kept answers, and what of them counts no more."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, true
from sqlalchemy.dialects import postgresql, sqlite

from sluice.db import AsyncSession, Database
from sluice_gateway.domain.cached import EVERYTHING, Entry, packed, unpacked
from sluice_gateway.tables import AnswerRow, ForgottenAnswersRow

_BATCH = 500
_KEPT_S = 604_800  # nothing is kept for longer, so an older invalidation says nothing any more


class AnswerStore:
    """Kept answers. Every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the entries of these keys, as far as there are any, also those that have expired."""
        found: dict[bytes, Entry] = {}
        async with self._database.read() as session:
            for start in range(0, len(keys), _BATCH):
                wanted = AnswerRow.key.in_(keys[start : start + _BATCH])
                for key, body in await session.execute(select(AnswerRow.key, AnswerRow.body).where(wanted)):
                    entry = unpacked(body)
                    if entry is not None:
                        found[key] = entry
        return found

    async def put(self, entries: Sequence[tuple[bytes, Entry]]) -> None:
        """Keep entries, in one transaction; of two with the same key the later one counts."""
        statement: Any = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(AnswerRow)
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={name: new[name] for name in ("tenant", "model", "key_id", "stored_at", "ends", "size", "body")},
            where=new.stored_at >= AnswerRow.stored_at,
        )
        async with self._database.write() as session:
            await session.execute(statement, [_values(key, entry) for key, entry in entries])

    async def forget(self, scope: str, at: float) -> None:
        """Delete what is of this scope and not younger than `at`, and keep in mind that it counts no more."""
        statement: Any = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(ForgottenAnswersRow)
        statement = statement.values(scope=scope, at=at).on_conflict_do_update(
            index_elements=["scope"], set_={"at": at}, where=ForgottenAnswersRow.at < at
        )
        async with self._database.write() as session:
            await session.execute(statement)
            await session.execute(delete(AnswerRow).where(_of(scope), AnswerRow.stored_at <= at))

    async def forgotten(self) -> Mapping[str, float]:
        """Return until when (unix seconds) what is of a scope counts no more."""
        async with self._database.read() as session:
            rows = await session.execute(select(ForgottenAnswersRow.scope, ForgottenAnswersRow.at))
            return {row.scope: row.at for row in rows}

    async def clean(self, now: float, most_bytes: int) -> int:
        """Delete what has expired, what counts no more, and the oldest beyond `most_bytes`; return how many bytes are left."""
        forgotten = await self.forgotten()
        dead = [AnswerRow.ends <= now]
        dead += [_of(scope) & (AnswerRow.stored_at <= at) for scope, at in forgotten.items()]
        while await self._delete(or_(*dead)) == _BATCH:
            pass
        async with self._database.write() as session:
            await session.execute(delete(ForgottenAnswersRow).where(ForgottenAnswersRow.at < now - _KEPT_S))
        while (left := await self._bytes()) > most_bytes:
            await self._delete(true(), left - most_bytes)
        return left

    async def _bytes(self) -> int:
        async with self._database.read() as session:
            return int(await session.scalar(select(func.coalesce(func.sum(AnswerRow.size), 0))))

    async def _delete(self, which: ColumnElement[bool], enough: int | None = None) -> int:
        # The oldest first, in small transactions: nobody waits long for a lock.
        chosen = select(AnswerRow.key, AnswerRow.size).where(which).order_by(AnswerRow.stored_at).limit(_BATCH)
        async with self._database.write() as session:
            keys: list[bytes] = []
            gone = 0
            for key, size in await session.execute(chosen):
                if enough is not None and gone >= enough:
                    break
                keys.append(key)
                gone += size
            await _delete_keys(session, keys)
        return len(keys)


async def _delete_keys(session: AsyncSession, keys: Sequence[bytes]) -> None:
    if keys:
        await session.execute(delete(AnswerRow).where(AnswerRow.key.in_(keys)))


def _values(key: bytes, entry: Entry) -> dict[str, object]:
    body = packed(entry)
    return {
        "key": key,
        "tenant": entry.tenant,
        "model": entry.model,
        "key_id": entry.key_id,
        "stored_at": entry.stored_at,
        "ends": entry.ends,
        "size": len(body),
        "body": body,
    }


def _of(scope: str) -> ColumnElement[bool]:
    if scope == EVERYTHING:
        return true()
    kind, _, name = scope.partition(":")
    column = {"tenant": AnswerRow.tenant, "model": AnswerRow.model, "key": AnswerRow.key_id}[kind]
    return column == name
