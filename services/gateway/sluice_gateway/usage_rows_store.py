"""Writing usage rows: one statement for a whole batch, compiled once and given to the driver as it is."""

from functools import cache, lru_cache
from typing import Any

import orjson
from sqlalchemy import ARRAY, JSON, Dialect, Table, Text, cast, func, insert, select
from sqlalchemy import bindparam as bind
from sqlalchemy import column as named
from sqlalchemy.dialects import postgresql, sqlite

from sluice.db import AsyncSession, Database
from sluice_gateway.domain.usage import day_of
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.tables import UsageRow, UsageTagRow

_TABLE: Table = UsageRow.metadata.tables[UsageRow.__tablename__]
_IDS = bind("ids", type_=Text)
_KNOWN = select(UsageRow.event_id).where(
    UsageRow.event_id.in_(select(func.json_each(_IDS).table_valued("value").c.value))
)


async def add(database: Database, session: AsyncSession, rows: UsageRows) -> UsageRows:
    """Add rows, which are each event once and in the order of their ids, and return those that are new.

    The order lets two writers that bring the same events wait for each other, instead of blocking each other.
    """
    connection = await session.connection()
    if not database.is_sqlite:
        statement = _insert_arrays(database.engine.dialect)
        added = set((await connection.exec_driver_sql(statement, tuple(_columns(rows)))).scalars())
        new = rows.without([event_id for event_id in rows.columns["event_id"] if event_id not in added])
        await _add_tags(session, new)
        return new
    # The transaction has the write lock, so nobody adds one of them in between.
    ids = orjson.dumps(rows.columns["event_id"]).decode()
    new = rows.without(set((await session.execute(_KNOWN, {"ids": ids})).scalars()))
    if len(new):
        names, values = _said(_columns(new))
        statement = _insert_row(database.engine.dialect, names)
        await connection.exec_driver_sql(statement, list(zip(*values, strict=True)))
    await _add_tags(session, new)
    return new


async def _add_tags(session: AsyncSession, new: UsageRows) -> None:
    names = ("tags", "tenant", "at", "event_id")
    found = [
        {"tag": tag, "tenant": tenant, "at": at, "event_id": event_id}
        for tags, tenant, at, event_id in zip(*(new.columns[name] for name in names), strict=True)
        for tag in dict.fromkeys(tags)
    ]
    if found:
        await session.execute(insert(UsageTagRow), found)


def _columns(rows: UsageRows) -> list[Any]:
    # In the order of the table, as the drivers take them.
    given = rows.columns
    made = {
        "day": [day_of(at) for at in given["at"]],
        **{
            name: [orjson.dumps(texts).decode() if texts else "[]" for texts in given[name]]
            for name in ("guard_issues", "tags")
        },
    }
    return [made[one.name] if one.name in made else given[one.name] for one in _TABLE.columns]


def _said(columns: list[Any]) -> tuple[tuple[str, ...], list[Any]]:
    # Without the columns in which no row says anything, and truths as numbers. For every None and every bool that it is given,
    # Python's sqlite3 first looks for somebody who would adapt it, which takes as long as storing ten numbers.
    kept = [
        (one.name, list(map(int, values)) if type(values[0]) is bool else values)
        for one, values in zip(_TABLE.columns, columns, strict=True)
        if not one.nullable or values.count(None) < len(values)
    ]
    return tuple(name for name, _ in kept), [values for _, values in kept]


@lru_cache(256)
def _insert_row(dialect: Dialect, names: tuple[str, ...]) -> str:
    return str(sqlite.insert(_TABLE).compile(dialect=dialect, column_keys=names))


@cache
def _insert_arrays(dialect: Dialect) -> str:
    # One array for each column; the server makes rows of them.
    types = {one.name: Text() if isinstance(one.type, JSON) else one.type for one in _TABLE.columns}
    arrays = [bind(name, type_=ARRAY(kind)) for name, kind in types.items()]
    given = func.unnest(*arrays).table_valued(*(named(name, kind) for name, kind in types.items())).render_derived()
    values = [
        cast(given.c[one.name], JSON) if isinstance(one.type, JSON) else given.c[one.name] for one in _TABLE.columns
    ]
    statement = (
        postgresql.insert(_TABLE)
        .from_select(list(types), select(*values).order_by(given.c.event_id))
        .on_conflict_do_nothing(index_elements=["event_id"])
        .returning(_TABLE.c.event_id)
    )
    return str(statement.compile(dialect=dialect))
