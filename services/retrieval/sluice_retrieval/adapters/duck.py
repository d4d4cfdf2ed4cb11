"""Filtering and aggregation with DuckDB, in memory: no files, no network, no extensions, one thread, and limits."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from sluice.contracts.tables import Aggregate, Cell, ColumnKind, TableFilter, TableQuery, Value
from sluice_retrieval.domain.errors import TableQueryInvalid, TableQueryTooLarge
from sluice_retrieval.domain.tables import Computed, Table

_TYPES: Final[dict[ColumnKind, str]] = {"number": "DOUBLE", "text": "VARCHAR", "date": "DATE", "boolean": "BOOLEAN"}
_COMPARISONS: Final = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_FUNCTIONS: Final = {"sum": "sum", "average": "avg", "min": "min", "max": "max", "median": "median"}
_NUMBERS_ONLY: Final = frozenset({"sum", "average", "median"})
_ROW = "place"
_EXACT = 2**53


class DuckTables:
    """The `TableEngine` port: each query has a database of its own, gone with the answer; `at_once` run beside each other."""

    def __init__(self, memory_mb: int, timeout_s: float, at_once: int = 2) -> None:
        self._memory_mb = memory_mb
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(at_once)

    async def compute(self, table: Table, query: TableQuery) -> Computed:
        """Return the result and the rows that it is computed from."""
        async with self._slots:
            return await asyncio.to_thread(self._compute, table, query)

    def _compute(self, table: Table, query: TableQuery) -> Computed:
        import duckdb  # noqa: PLC0415 - most processes never need it

        where, values = _where(table, query.filters)
        select = _selected(table, query)
        with duckdb.connect(":memory:", config={"threads": 1, "memory_limit": f"{self._memory_mb}MB"}) as engine:
            engine.execute("SET temp_directory = ''")
            _load(engine, table)
            engine.execute("SET enable_external_access = false")
            engine.execute("SET lock_configuration = true")
            late = threading.Event()

            def stop() -> None:
                late.set()
                engine.interrupt()

            timer = threading.Timer(self._timeout_s, stop)
            timer.start()
            try:
                matched = engine.execute(f"SELECT {_ROW} FROM asked{where} ORDER BY {_ROW}", values).fetchall()  # noqa: S608  no word of the user stands in it
                rows = engine.execute(f"{select.head}{where}{select.tail}", values).fetchall()
                if late.is_set():
                    raise self._too_large()  # it ended between two steps
            except (duckdb.InterruptException, duckdb.OutOfMemoryException) as exc:
                raise self._too_large() from exc
            except duckdb.Error as exc:
                raise TableQueryInvalid(
                    "The query does not fit the table: compare each column with values of its kind."
                ) from exc
            finally:
                timer.cancel()
        return Computed(select.names, tuple(tuple(map(_cell, row)) for row in rows), tuple(row[0] for row in matched))

    def _too_large(self) -> TableQueryTooLarge:
        return TableQueryTooLarge(
            f"The query takes more than {self._timeout_s:g} s or {self._memory_mb} MiB. Filter more, or group by less."
        )


class _Selected:
    def __init__(self, names: Sequence[str], head: str, tail: str) -> None:
        self.names, self.head, self.tail = tuple(names), head, tail


def _load(engine: Any, table: Table) -> None:
    columns = ", ".join(f"c{at} {_TYPES[kind]}" for at, kind in enumerate(table.kinds))
    engine.execute(f"CREATE TABLE asked ({_ROW} BIGINT, {columns})")
    cells = [list(column) for column in zip(*table.values(), strict=True)]
    marks = ", ".join(f"unnest(CAST(? AS {_TYPES[kind]}[]))" for kind in table.kinds)
    engine.execute(f"INSERT INTO asked SELECT unnest(?::BIGINT[]), {marks}", [list(range(len(table.rows))), *cells])


def _where(table: Table, filters: Sequence[TableFilter]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for one in filters:
        name, kind = _column(table, one.column)
        if one.type in ("is_empty", "not_empty"):
            parts.append(f"{name} IS {'NOT ' if one.type == 'not_empty' else ''}NULL")
        elif one.type == "contains":
            parts.append(f"contains(lower(CAST({name} AS VARCHAR)), lower(?))")
            values.append(str(one.value))
        elif isinstance(one.value, tuple):
            marks = ", ".join("?" for _ in one.value)
            parts.append(f"{name} {'NOT ' if one.type == 'nin' else ''}IN ({marks})")
            values += [_given(value, kind, one.column) for value in one.value]
        elif one.value is not None:
            parts.append(f"{name} {_COMPARISONS[one.type]} ?")
            values.append(_given(one.value, kind, one.column))
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _given(value: Value, kind: ColumnKind, column: str) -> Value | date:
    fits = {
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "text": isinstance(value, str),
        "date": isinstance(value, str),
    }[kind]
    if fits and kind == "date":
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            fits = False
    if not fits:
        raise TableQueryInvalid(
            f"Column {column!r} holds values of kind {kind}: {value!r} is none (dates are YYYY-MM-DD)."
        )
    return value


def _selected(table: Table, query: TableQuery) -> _Selected:
    if query.aggregates:
        groups = [_column(table, name)[0] for name in query.group_by]
        shown = [*groups, *(_aggregate(table, one) for one in query.aggregates)]
        names = [*query.group_by, *(f"{one.function}({one.column or '*'})" for one in query.aggregates)]
        tail = f" GROUP BY {', '.join(groups)}" if groups else ""
        order = _order(query, names) or (f" ORDER BY {', '.join(groups)}" if groups else "")
    else:
        names = list(query.columns or table.columns)
        shown = [_column(table, name)[0] for name in names]
        tail, order = "", _order(query, names) or f" ORDER BY {_ROW}"
    return _Selected(names, f"SELECT {', '.join(shown)} FROM asked", f"{tail}{order} LIMIT {query.limit}")  # noqa: S608  no word of the user stands in it


def _aggregate(table: Table, one: Aggregate) -> str:
    if one.column is None:
        return "count(*)"
    name, kind = _column(table, one.column)
    if one.function in ("count", "count_distinct"):
        return f"count({'DISTINCT ' if one.function == 'count_distinct' else ''}{name})"
    if one.function in _NUMBERS_ONLY and kind != "number":
        raise TableQueryInvalid(f"Column {one.column!r} holds values of kind {kind}: `{one.function}` needs numbers.")
    return f"{_FUNCTIONS[one.function]}({name})"


def _order(query: TableQuery, names: Sequence[str]) -> str:
    parts = []
    for one in query.order_by:
        if one.column not in names:
            raise TableQueryInvalid(f"The result has no column {one.column!r}. It has {', '.join(map(repr, names))}.")
        parts.append(f"{names.index(one.column) + 1} {'DESC' if one.descending else 'ASC'} NULLS LAST")
    return f" ORDER BY {', '.join(parts)}" if parts else ""


def _column(table: Table, column: str) -> tuple[str, ColumnKind]:
    """Return what a column is called in the query, where no name of the user stands, and its kind."""
    if column not in table.columns:
        raise TableQueryInvalid(f"The table has no column {column!r}. It has {', '.join(map(repr, table.columns))}.")
    at = table.columns.index(column)
    return f"c{at}", table.kinds[at]


def _cell(value: Any) -> Cell:  # whatever DuckDB gives
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
