"""Tables in the text of a document (F150): read back from the items that name their columns, with kinds and a description.

A parser writes each row of a table as an item (`- Item: Bolt; Euro: 2`) behind one that has the names (`- Item; Euro`); Markdown has
tables of its own. Reading them from the text gives every row its characters there, so that what is computed can be cited.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple, Protocol

from sluice.contracts.tables import Cell, ColumnKind, TableColumn, TableQuery
from sluice.contracts.tables import Table as Described
from sluice_retrieval.domain.pipe_tables import pipe_tables

_HEADING = re.compile(r"#{1,6} (.+)")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WITH_UNIT = re.compile(r"([€$£¥%]?) ?(-?[\d.,]*\d) ?([€$£¥%]?)")
_DECIMAL_COMMA = re.compile(r"-?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?")
_PLAIN_COMMA = re.compile(r"-?(?:\d{1,3}(?:\.\d{3})+|\d+),(?!\d{3}$)\d+")  # which is no comma between thousands
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T]00:00(?::00)?)?")
_TRUTH: Final = {"true": True, "false": False, "yes": True, "no": False}
_MOST_EXAMPLES = 3
_FEWEST_COLUMNS = 1


class Row(NamedTuple):
    """Cells as they stand in the text, empty ones as None, and the characters of the row."""

    cells: tuple[str | None, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `kinds` say how all its filled cells of a column can be read."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]
    rows: tuple[Row, ...]

    def values(self) -> Iterator[list[Cell | date]]:
        """Yield the rows with their cells read by kind."""
        for row in self.rows:
            yield [
                None if cell is None else value_of(cell, kind) for cell, kind in zip(row.cells, self.kinds, strict=True)
            ]


class Computed(NamedTuple):
    """What a query gave: names, rows, and the numbers (from 0) of the table's rows that it is computed from."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    matched: tuple[int, ...]


class TableEngine(Protocol):
    """Computes over one table.

    It reads nothing but the table, and stops at its limits of time and memory: then it raises `TableQueryTooLarge`.
    """

    async def compute(self, table: Table, query: TableQuery) -> Computed:
        """Return the result; raises `TableQueryInvalid` where a column is missing or a value does not fit its kind."""
        ...


def tables_in(text: str) -> list[Table]:
    """Return the tables of a document's text, in their order."""
    found: list[Table] = []
    name, at = "", 0
    columns: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: list[Row] = []

    def close() -> None:
        if columns and rows:
            found.append(_table(name, columns, rows))

    for line in text.splitlines(keepends=True):
        start, at = at, at + len(line)
        shown = line.rstrip()
        if not shown:
            continue
        if (match := _HEADING.fullmatch(shown)) is not None:
            close()
            name, columns, rows, header = match[1], (), [], ()
        elif shown.startswith("- "):
            cells = _cells(shown[2:], columns) if columns else None
            if cells is None and header and (cells := _cells(shown[2:], header)) is not None:
                close()
                columns, rows = header, []
            if cells is not None:
                rows.append(Row(cells, start, start + len(shown)))
            else:
                close()
                columns, rows, header = (), [], _names(shown[2:])
        else:
            close()
            columns, rows, header = (), [], ()
    close()
    found += (
        _table(one.name, one.header, [Row(tuple(cell or None for cell in cells), *place) for cells, *place in one.rows])
        for one in pipe_tables(text)
    )
    return sorted(found, key=lambda table: table.rows[0].start)


def describe(index: int, table: Table) -> Described:
    """Return a table's columns with their kinds and bounds, and a sentence that says so."""
    values = list(zip(*table.values(), strict=True))
    columns = tuple(
        _column(name, kind, cells) for name, kind, cells in zip(table.columns, table.kinds, values, strict=True)
    )
    told = "; ".join(f"{one.name} ({_told(one)})" for one in columns)
    named = f"Table {table.name}" if table.name else "A table"
    return Described(
        index=index,
        name=table.name,
        rows=len(table.rows),
        start=table.rows[0].start,
        end=table.rows[-1].end,
        columns=columns,
        description=f"{named} of {len(table.rows)} rows. Columns: {told}.",
    )


def value_of(cell: str, kind: ColumnKind) -> str | float | int | bool | date:
    """Return a cell read as its column's kind."""
    if kind == "number":
        plain = cell.replace(",", "")
        return int(plain) if plain.lstrip("+-").isdigit() and len(plain) < 19 else float(plain)
    if kind == "date":
        return date.fromisoformat(cell[:10])
    return _TRUTH[cell.lower()] if kind == "boolean" else cell


def _names(item: str) -> tuple[str, ...]:
    names = tuple(item.split("; "))
    return names if len(names) >= _FEWEST_COLUMNS and len(set(names)) == len(names) and all(names) else ()


def _cells(item: str, columns: Sequence[str]) -> tuple[str | None, ...] | None:
    """Return the cells of an item whose parts name columns in their order; None if it does not begin with one."""
    cells: list[str | None] = [None] * len(columns)
    place, at = -1, 0
    while at < len(item):
        following = next((n for n in range(place + 1, len(columns)) if item.startswith(f"{columns[n]}: ", at)), None)
        if following is None:
            return None
        place, begin = following, at + len(columns[following]) + 2
        ends = (item.find(f"; {columns[n]}: ", begin) for n in range(place + 1, len(columns)))
        end = min((one for one in ends if one >= 0), default=len(item))
        cells[place], at = item[begin:end], end + 2
    return tuple(cells) if place >= 0 else None


def _table(name: str, columns: tuple[str, ...], rows: Sequence[Row]) -> Table:
    cells = [list(column) for column in zip(*(row.cells for row in rows), strict=True)]
    kinds = []
    for at, column in enumerate(cells):
        filled = [cell for cell in column if cell is not None]
        plain = _plain_numbers(filled)
        if plain is not None:
            found = iter(plain)
            cells[at] = [None if cell is None else next(found) for cell in column]
        kinds.append(_kind(plain or filled))
    read = (row._replace(cells=values) for row, values in zip(rows, zip(*cells, strict=True), strict=True))
    return Table(name, columns, tuple(kinds), tuple(read))


def _plain_numbers(cells: Sequence[str]) -> list[str] | None:
    """Return the numbers of a column as they are written plainly, where all have one unit beside them or a decimal comma."""
    parts = [_WITH_UNIT.fullmatch(cell) for cell in cells]
    if not parts or not all(parts) or len({(one[1], one[3]) for one in parts if one}) != 1:
        return None
    numbers = [one[2] for one in parts if one]
    if all(_DECIMAL_COMMA.fullmatch(one) for one in numbers) and any(_PLAIN_COMMA.fullmatch(one) for one in numbers):
        return [one.replace(".", "").replace(",", ".") for one in numbers]
    return numbers if all(_NUMBER.fullmatch(one) for one in numbers) else None


def _kind(cells: Sequence[str]) -> ColumnKind:
    if not cells:
        return "text"
    if all(_NUMBER.fullmatch(cell) for cell in cells):
        return "number"
    if all(_is_date(cell) for cell in cells):
        return "date"
    return "boolean" if all(cell.lower() in _TRUTH for cell in cells) else "text"


def _is_date(cell: str) -> bool:
    match = _DATE.fullmatch(cell)
    if match is None:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def _column(name: str, kind: ColumnKind, cells: Sequence[Cell | date]) -> TableColumn:
    filled = [cell for cell in cells if cell is not None]
    distinct = list(dict.fromkeys(filled))
    ordered = kind in ("number", "date") and bool(filled)
    return TableColumn(
        name=name,
        kind=kind,
        empty=len(cells) - len(filled),
        distinct=len(distinct),
        least=_shown(min(filled, key=_place)) if ordered else None,
        most=_shown(max(filled, key=_place)) if ordered else None,
        examples=tuple(str(one) for one in distinct[:_MOST_EXAMPLES]),
    )


def _place(value: Cell | date) -> float:
    return value.toordinal() if isinstance(value, date) else float(value or 0)


def _shown(value: Cell | date) -> Cell:
    return value.isoformat() if isinstance(value, date) else value


def _told(column: TableColumn) -> str:
    if column.least is not None:
        return f"{column.kind}, {column.least} to {column.most}"
    return f"{column.kind}, such as {', '.join(column.examples)}" if column.examples else column.kind
