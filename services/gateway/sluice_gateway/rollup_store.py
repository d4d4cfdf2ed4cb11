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
from sluice_gateway.domain.rollups import (
    SECONDS,
    Grain,
    RollupKey,
    RollupSums,
    Span,
    rolled_up,
    rolled_up_by_tag,
    spans,
)
from sluice_gateway.domain.usage import UsageFilter, day_of
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.tables import UsageRollupRow, UsageRow, UsageTagRollupRow, UsageTagRow

_KEYS = RollupKey._fields
_TEXTS = _KEYS[2:]
_ADDED = RollupSums._fields[2:]
_AT_ONCE = 1000
_LOCK = text("LOCK TABLE usage_rollups, usage_tag_rollups IN EXCLUSIVE MODE")
_Sums = type[UsageRollupRow] | type[UsageTagRollupRow]


async def add(database: Database, session: AsyncSession, new: UsageRows) -> None:
    """Add new records to the sums of their hours and days, in the transaction that stores them."""
    rows = [_row(key, sums) for key, sums in rolled_up(new)]
    tagged = [{"tag": tag, **_row(key, sums)} for tag, key, sums in rolled_up_by_tag(new)]
    await _grow(database, session, UsageRollupRow, rows)
    await _grow(database, session, UsageTagRollupRow, tagged)


def _row(key: RollupKey, sums: RollupSums) -> dict[str, Any]:
    return {**key._asdict(), **sums._asdict(), "day": day_of(key.starts)}


async def _grow(database: Database, session: AsyncSession, table: _Sums, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    statement: Any = (sqlite.insert if database.is_sqlite else postgresql.insert)(table)
    grown = {name: getattr(table, name) + statement.excluded[name] for name in RollupSums._fields}
    keys = [*_KEYS, "tag"] if table is UsageTagRollupRow else list(_KEYS)
    statement = statement.on_conflict_do_update(index_elements=keys, set_=grown)
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
        for table in (UsageRollupRow, UsageTagRollupRow):
            await session.execute(delete(table).where(table.starts >= begins))
            for grain in SECONDS:
                await session.execute(_from_records(table, grain, begins, floor=not database.is_sqlite))
        return await session.scalar(select(func.count()).select_from(UsageRollupRow)) or 0


def source(wanted: UsageFilter, *, raw: bool, by_tag: bool = False) -> Subquery:
    """Return the rows that are summed up for a filter: of sums where they cover the period, else of the records.

    With `by_tag` a record, and what it is part of, is there once for each of its tags.
    """
    by_tag = by_tag or wanted.tag is not None
    if raw:
        return _records(wanted, Span(None, wanted.since, wanted.until), by_tag=by_tag).subquery()
    parts = [
        _records(wanted, span, by_tag=by_tag) if span.grain is None else _sums(wanted, span, by_tag=by_tag)
        for span in spans(wanted.since, wanted.until)
    ]
    return (parts[0] if len(parts) == 1 else union_all(*parts)).subquery()


def _sums(wanted: UsageFilter, span: Span, *, by_tag: bool) -> Select[Any]:
    row: _Sums = UsageTagRollupRow if by_tag else UsageRollupRow
    columns = [getattr(row, name) for name in (*_TEXTS, "day", *RollupSums._fields)]
    query = select(
        *columns,
        literal("").label("end_user"),
        literal("").label("endpoint"),
        literal("").label("prompt"),
        UsageTagRollupRow.tag if by_tag else literal("").label("tag"),
    ).where(row.grain == span.grain)
    if wanted.tag is not None:
        query = query.where(UsageTagRollupRow.tag == wanted.tag)
    return _narrowed(query, row, wanted, span, row.starts)


def _records(wanted: UsageFilter, span: Span, *, by_tag: bool) -> Select[Any]:
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
        func.coalesce(row.prompt + "@" + cast(row.prompt_version, String), "").label("prompt"),
        UsageTagRow.tag if by_tag else literal("").label("tag"),
    )
    if by_tag:
        query = query.join(UsageTagRow, UsageTagRow.event_id == row.event_id)
    if wanted.tag is not None:
        query = query.where(UsageTagRow.tag == wanted.tag)
    for name in ("end_user", "prompt", "prompt_version"):
        if getattr(wanted, name) is not None:
            query = query.where(getattr(row, name) == getattr(wanted, name))
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


def _from_records(table: _Sums, grain: Grain, begins: int, *, floor: bool) -> Any:
    row, seconds = UsageRow, SECONDS[grain]
    keys: list[Any] = [UsageTagRow.tag] if table is UsageTagRollupRow else []
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
            *keys,
        )
        .where(row.at >= begins)
        .group_by(starts, *texts, *keys)
    )
    if keys:
        query = query.join(UsageTagRow, UsageTagRow.event_id == row.event_id)
    return insert(table).from_select([*_KEYS, "day", *RollupSums._fields, *(key.key for key in keys)], query)
