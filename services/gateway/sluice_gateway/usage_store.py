"""Queries on the gateway's database: usage."""

import functools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.sql.selectable import Subquery

from sluice.contracts.paging import Order
from sluice.contracts.usage import (
    TrendGroup,
    TrendInterval,
    UsageGroup,
    UsageGroupTotals,
    UsageRecord,
    UsageRecorded,
    UsageSummary,
    UsageTotals,
    UsageTrendPoint,
)
from sluice.db import Database, ReadSession
from sluice_gateway import rollup_store, usage_rows_store
from sluice_gateway.domain.errors import CursorUnknown, UsageNotFound
from sluice_gateway.domain.leases import CounterName, window_of
from sluice_gateway.domain.usage import Counted, Inserted, RowsRefused, UsageFilter, day_name, share, trend
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.tables import ApiKeyRow, OrganizationRow, UsageRow, UsageTagRow

_GROUPS = 1000
_PAGE = 1000
_ROW_ERRORS = ("22", "23")  # SQLSTATE classes "data exception" and "integrity constraint violation"


class UsageStore:
    """Usage rows, one per event id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, *parts: UsageRows) -> int:
        """Add rows and return how many are new; events that are there already change nothing.

        Raises:
            DependencyUnavailable: the database is away; nothing was written.
            RowsRefused: the database refuses one of the rows; nothing was written.
        """
        rows = UsageRows.together(parts)
        with _refusals():
            async with self._database.write() as session:
                new = await usage_rows_store.add(self._database, session, rows)
                await rollup_store.add(self._database, session, new)
                return len(new)

    async def insert_each(self, *parts: UsageRows) -> Inserted:
        """Add rows one by one; those that the database refuses come back."""
        added, refused = 0, []
        for event in UsageRows.together(parts).events():
            try:
                added += await self.insert(UsageRows.of([event]))
            except RowsRefused:
                refused.append(event)
        return Inserted(added, tuple(refused))

    async def page(self, wanted: UsageFilter, *, limit: int, after: str | None, order: Order) -> list[UsageRecord]:
        """Return at most `limit + 1` records by time.

        Raises:
            CursorUnknown: `after` names no record.
        """
        at, event_id = _place(wanted)
        place = tuple_(at, event_id)
        query = _records(wanted).limit(limit + 1)
        async with self._database.read() as session:
            if after is not None:
                mark = await _place_of(session, after)
                query = query.where(place > mark if order == "asc" else place < mark)
            if order == "asc":
                query = query.order_by(at.asc(), event_id.asc())
            else:
                query = query.order_by(at.desc(), event_id.desc())
            return [_record(row) for row in await session.scalars(query)]

    async def pages(self, wanted: UsageFilter, size: int = _PAGE) -> AsyncIterator[list[UsageRecord]]:
        """Yield all matching records by time, oldest first, some at a time; no transaction stays open in between."""
        columns = _place(wanted)
        place = tuple_(*columns)
        query = _records(wanted).order_by(*columns).limit(size)
        following = query
        while True:
            async with self._database.read() as session:
                found = [_record(row) for row in await session.scalars(following)]
            if found:
                yield found
            if len(found) < size:
                return
            following = query.where(place > tuple_(found[-1].at, found[-1].id))

    async def get(self, request_id: str, tenant: str | None) -> UsageRecord:
        """Return the record of one request; with a tenant, only if it is that tenant's."""
        query = select(UsageRow).where(UsageRow.request_id == request_id).order_by(UsageRow.at.desc()).limit(1)
        if tenant is not None:
            query = query.where(UsageRow.tenant == tenant)
        async with self._database.read() as session:
            row = (await session.scalars(query)).first()
            if row is not None:
                return _record(row)
        raise UsageNotFound(
            f"No request {request_id} is recorded. A request is recorded about a second after its answer ends."
        )

    async def totals(self, wanted: UsageFilter) -> UsageTotals:
        """Return the sums of all matching requests."""
        return UsageTotals(**(await self._counted(wanted)).shown())

    async def _counted(self, wanted: UsageFilter) -> Counted:
        rows = rollup_store.source(wanted, raw=_is_raw(wanted, None))
        async with self._database.read() as session:
            return _sums((await session.execute(select(*_totals(rows)))).one())

    async def rebuild(self) -> int:
        """Make the sums of hours and days again from the records; return how many there are."""
        return await rollup_store.rebuild(self._database)

    async def spent(self, names: Sequence[CounterName], life: str | None = None) -> dict[CounterName, dict[str, float]]:
        """Return the dollars spent in the windows of budgets, for each life of a gateway process that spent any, or for one.

        A team's are those of the keys that it has now.
        """
        found: dict[CounterName, dict[str, float]] = {}
        async with self._database.read() as session:
            for alike in _alike(names):
                query = _spent(alike)
                if life is not None:
                    query = query.where(UsageRow.life == life)
                for holder, lived, dollars in (await session.execute(query)).all():
                    found.setdefault(alike[0]._replace(holder=holder), {})[lived] = float(dollars)
        return found

    async def summary(self, wanted: UsageFilter, group_by: UsageGroup) -> UsageSummary:
        """Return the sums of all matching requests and of each group, at most 1,000: days in order, others from the dearest and largest down."""
        found = await self._grouped(wanted, group_by, _GROUPS)
        if (
            group_by == "tag" or len(found) >= _GROUPS
        ):  # a request has several tags or none, and not all groups may be here
            whole = await self._counted(wanted)
        else:
            whole = functools.reduce(Counted.plus, (counted for _, counted in found), Counted())
        groups = (
            UsageGroupTotals(
                group=day_name(int(group)) if group_by == "day" else group,
                cost_share=share(counted.cost_usd, whole.cost_usd),
                token_share=share(counted.total_tokens, whole.total_tokens),
                **counted.shown(),
            )
            for group, counted in found
        )
        return UsageSummary(group_by=group_by, totals=UsageTotals(**whole.shown()), data=tuple(groups))

    async def _grouped(self, wanted: UsageFilter, group_by: UsageGroup, most: int) -> list[tuple[Any, Counted]]:
        rows = rollup_store.source(wanted, raw=_is_raw(wanted, group_by), by_tag=group_by == "tag")
        column, totals = rows.c[_COLUMNS.get(group_by, group_by)], _totals(rows)
        query: Select[Any] = select(column.label("group"), *totals).group_by(column).limit(most)
        if group_by == "day":
            query = query.order_by(column.asc())
        else:
            tokens = func.sum(rows.c.prompt_tokens + rows.c.completion_tokens)
            query = query.order_by(totals[-1].desc(), tokens.desc(), column.asc())
        async with self._database.read() as session:
            return [(row.group, _sums(row)) for row in (await session.execute(query)).all()]

    async def trend(
        self, wanted: UsageFilter, interval: TrendInterval, group_by: TrendGroup | None, most: int
    ) -> list[UsageTrendPoint]:
        """Return the sums of each interval, split into the groups that cost most in the whole period, at most `most`."""
        rows = rollup_store.source(wanted, raw=_is_raw(wanted, group_by), by_tag=group_by == "tag")
        columns = [rows.c.day] if group_by is None else [rows.c.day, rows.c[_COLUMNS.get(group_by, group_by)]]
        query: Select[Any] = select(*columns, *_totals(rows)).group_by(*columns)
        if group_by is not None:
            names = [name for name, _ in await self._grouped(wanted, group_by, most)]
            query = query.where(columns[1].in_(names))
        async with self._database.read() as session:
            found = (await session.execute(query)).all()
        days = ((int(row[0]), None if group_by is None else row[1], _sums(row)) for row in found)
        return [
            UsageTrendPoint(starts=starts.isoformat(), group=group, **counted.shown())
            for starts, group, counted in trend(days, interval)
        ]


_COLUMNS: dict[UsageGroup | TrendGroup, str] = {"key": "key_id", "organization": "organization_id", "team": "team_id"}


def _is_raw(wanted: UsageFilter, group_by: UsageGroup | TrendGroup | None) -> bool:
    # The sums do not tell these apart.
    narrowed = wanted.end_user is not None or wanted.prompt is not None
    return narrowed or group_by in ("end_user", "endpoint", "prompt")


def _totals(rows: Subquery) -> list[Any]:
    return [func.coalesce(func.sum(rows.c[name]), 0).label(name) for name in Counted._fields]


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (DataError, IntegrityError, ProgrammingError) as exc:
        raise RowsRefused(type(exc).__name__) from exc
    except DBAPIError as exc:
        state = str(getattr(exc.orig, "sqlstate", None) or "")
        if state[:2] in _ROW_ERRORS:
            raise RowsRefused(state) from exc
        raise


def _sums(row: Any) -> Counted:
    counts = (int(getattr(row, name)) for name in Counted._fields[:-1])
    return Counted._make((*counts, float(row.cost_usd)))


def _records(wanted: UsageFilter) -> Select[Any]:
    query = select(UsageRow).where(*_conditions(wanted))
    if wanted.tag is None:
        return query
    return query.join(UsageTagRow, UsageTagRow.event_id == UsageRow.event_id)


def _place(wanted: UsageFilter) -> tuple[Any, Any]:
    # Where a record stands in a list: with a tag in the table that finds its records in this order.
    row: Any = UsageRow if wanted.tag is None else UsageTagRow
    return row.at, row.event_id


def _conditions(wanted: UsageFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for column, value in (
        (UsageRow.tenant, wanted.tenant),
        (UsageRow.key_id, wanted.key_id),
        (UsageRow.model, wanted.model),
        (UsageRow.status, wanted.status),
        (UsageRow.organization_id, wanted.organization_id),
        (UsageRow.team_id, wanted.team_id),
        (UsageRow.end_user, wanted.end_user),
        (UsageRow.user_type, wanted.user_type),
        (UsageRow.prompt, wanted.prompt),
        (UsageRow.prompt_version, wanted.prompt_version),
    ):
        if value is not None:
            found.append(column == value)
    at = _place(wanted)[0]
    if wanted.tag is not None:
        found.append(UsageTagRow.tag == wanted.tag)
        found += [] if wanted.tenant is None else [UsageTagRow.tenant == wanted.tenant]
    if wanted.since is not None:
        found.append(at >= wanted.since)
    if wanted.until is not None:
        found.append(at < wanted.until)
    return found


def _alike(names: Iterable[CounterName]) -> list[list[CounterName]]:
    # Budgets of one level and window, which one query can sum up.
    found: dict[CounterName, list[CounterName]] = {}
    for name in names:
        found.setdefault(name._replace(holder=""), []).append(name)
    return list(found.values())


def _spent(alike: Sequence[CounterName]) -> Select[Any]:
    level, window, holders = alike[0].level, window_of(alike[0]), [name.holder for name in alike]
    holder: Any = {"key": UsageRow.key_id, "team": ApiKeyRow.team_id, "organization": OrganizationRow.id}[level]
    query = select(holder, UsageRow.life, func.coalesce(func.sum(UsageRow.cost_usd), 0.0))
    if level == "team":
        query = query.join(ApiKeyRow, ApiKeyRow.id == UsageRow.key_id)
    elif level == "organization":
        query = query.join(OrganizationRow, OrganizationRow.tenant == UsageRow.tenant)
    query = query.where(holder.in_(holders), UsageRow.at >= window.begins, UsageRow.at < window.ends)
    return query.group_by(holder, UsageRow.life)


async def _place_of(session: ReadSession, event_id: str) -> Any:
    row = await session.get(UsageRow, event_id)
    if row is None:
        raise CursorUnknown(f"`after` is {event_id}, which names no record; use `last_id` of the page before.")
    return tuple_(row.at, row.event_id)


def _record(row: UsageRow) -> UsageRecord:
    fields = {name: getattr(row, name) for name in UsageRecorded.model_fields if name != "v"}
    return UsageRecord(id=row.event_id, total_tokens=row.prompt_tokens + row.completion_tokens, **fields)
