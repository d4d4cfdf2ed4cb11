"""Queries on the sums of usage: adding to them, reading them for a period, and making them again."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    String,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.selectable import Subquery

from sluice.db import AsyncSession, Database
from sluice_gateway.domain.rollups import SECONDS, Grain, RollupKey, RollupSums, Span, rolled_up, spans
from sluice_gateway.domain.usage import UsageFilter, day_of
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.tables import UsageRollupRow, UsageRow

_KEYS = RollupKey._fields
_TEXTS = _KEYS[2:]
_ADDED = RollupSums._fields[2:]
_AT_ONCE = 1000
_LOCK = text("LOCK TABLE usage_rollups IN EXCLUSIVE MODE")


async def add(database: Database, session: AsyncSession, new: UsageRows) -> None:
    """Add new records to the sums of their hours and days, in the transaction that stores them."""
    statement: Any = (sqlite.insert if database.is_sqlite else postgresql.insert)(UsageRollupRow)
    grown = {name: getattr(UsageRollupRow, name) + statement.excluded[name] for name in RollupSums._fields}
    statement = statement.on_conflict_do_update(index_elements=list(_KEYS), set_=grown)
    rows = [{**key._asdict(), **sums._asdict(), "day": day_of(key.starts)} for key, sums in rolled_up(new)]
    for start in range(0, len(rows), _AT_ONCE):
        await session.execute(statement, rows[start : start + _AT_ONCE])


async def rebuild(database: Database) -> int:
    """Make the sums again from the records, from the first whole day that has records on; return how many sums there are.

    The records of earlier days may be deleted already: their sums stay as they are. Writers wait until it is done.
    """
    async with database.write() as session:
        if not database.is_sqlite:
            await session.execute(_LOCK)
        oldest = await session.scalar(select(func.min(UsageRow.at)))
        if oldest is None:
            return 0
        begins = (day_of(oldest) + 1 if await _has_sums_before(session, oldest) else day_of(oldest)) * SECONDS["day"]
        await session.execute(delete(UsageRollupRow).where(UsageRollupRow.starts >= begins))
        for grain in SECONDS:
            await session.execute(_from_records(grain, begins, floor=not database.is_sqlite))
        return await session.scalar(select(func.count()).select_from(UsageRollupRow)) or 0


def source(wanted: UsageFilter, *, raw: bool) -> Subquery:
    """Return the rows that are summed up for a filter: of sums where they cover the period, else of the records."""
    if raw:
        return _records(wanted, Span(None, wanted.since, wanted.until)).subquery()
    parts = [
        _records(wanted, span) if span.grain is None else _sums(wanted, span)
        for span in spans(wanted.since, wanted.until)
    ]
    return (parts[0] if len(parts) == 1 else union_all(*parts)).subquery()


def _sums(wanted: UsageFilter, span: Span) -> Select[Any]:
    row = UsageRollupRow
    columns = [getattr(row, name) for name in (*_TEXTS, "day", *RollupSums._fields)]
    query = select(*columns, literal("").label("end_user"), literal("").label("endpoint")).where(
        row.grain == span.grain
    )
    return _narrowed(query, row, wanted, span, row.starts)


def _records(wanted: UsageFilter, span: Span) -> Select[Any]:
    row = UsageRow
    texts = [func.coalesce(getattr(row, name), "").label(name) for name in _TEXTS]
    failed = case((row.status == "ok", 0), else_=1)
    query = select(
        *texts,
        row.day,
        cast(literal(1), BigInteger).label("requests"),
        cast(failed, BigInteger).label("errors"),
        *(func.coalesce(getattr(row, name), 0).label(name) for name in _ADDED),
        func.coalesce(row.end_user, "").label("end_user"),
        row.endpoint,
    )
    if wanted.end_user is not None:
        query = query.where(row.end_user == wanted.end_user)
    return _narrowed(query, row, wanted, span, row.at)


def _narrowed(query: Select[Any], row: Any, wanted: UsageFilter, span: Span, time: Any) -> Select[Any]:
    for name in ("tenant", "organization_id", "team_id", "key_id", "user_type", "model", "status"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(row, name) == value)
    if span.since is not None:
        query = query.where(time >= span.since)
    if span.until is not None:
        query = query.where(time < span.until)
    return query


async def _has_sums_before(session: AsyncSession, oldest: float) -> bool:
    found = await session.scalar(select(func.min(UsageRollupRow.starts)))
    return found is not None and found < day_of(oldest) * SECONDS["day"]


def _from_records(grain: Grain, begins: int, *, floor: bool) -> Any:
    row, seconds = UsageRow, SECONDS[grain]
    number = row.at / seconds
    starts = cast(func.floor(number) if floor else number, BigInteger) * seconds
    texts = [func.coalesce(getattr(row, name), "") for name in _TEXTS]
    query = (
        select(
            cast(literal(grain), String),
            starts,
            *texts,
            cast(func.min(row.day), Integer),
            func.count(),
            func.sum(case((row.status == "ok", 0), else_=1)),
            *(func.coalesce(func.sum(getattr(row, name)), 0) for name in _ADDED),
        )
        .where(row.at >= begins)
        .group_by(starts, *texts)
    )
    return insert(UsageRollupRow).from_select([*_KEYS, "day", *RollupSums._fields], query)
