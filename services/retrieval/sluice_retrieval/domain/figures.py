"""Questions that plainly ask for a figure over a table, read by rules onto its columns (F150); English only.

The rules are strict, since a wrong figure is worse than none: every word of the question that means something must name
the function, a column, a value in a column, or the table itself. Otherwise nothing is computed.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from sluice.contracts.tables import TableFilter, TableFunction
from sluice_retrieval.domain.bm25 import STOP_WORDS, terms
from sluice_retrieval.domain.tables import Table

_FUNCTIONS: Final[dict[TableFunction, str]] = {
    "count": r"how many|number of|count(?: of)?",
    "average": r"(?:on )?average|mean",
    "median": r"median",
    "max": r"highest|maximum|largest|greatest",
    "min": r"lowest|minimum|smallest|least",
    "sum": r"(?:in )?total|sum(?: of)?|altogether",
}
_ASKED = {name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in _FUNCTIONS.items()}
_OTHERWISE = re.compile(
    r"\b(?:not|no|nor|never|without|except|excluding|or|by|per|each|every|over|under|above|below|between|before|after|since|until|"
    r"more|less|fewer|than|both|why|different|distinct)\b|n't\b",
    re.IGNORECASE,
)  # words by which a question asks for something else than equal values and one figure
_EMPTY = frozenset(terms(" ".join(sorted(STOP_WORDS)))) | frozenset(
    terms("row entry record table value list give tell show sheet")
)
_MOST_VALUES = 5000
_BOTH = 2  # a number and who holds it
_NAMES = {
    "count": "number",
    "count_distinct": "number of different values",
    "average": "average",
    "median": "median",
    "max": "highest",
    "min": "lowest",
    "sum": "sum",
}


class Figure(NamedTuple):
    """What is to be computed: over which of the tables, what, of which column (None counts rows), among which rows.

    `holder` is the column that a question asks for the holder of a highest or lowest value in: the city with the highest rent.
    """

    table: int
    function: TableFunction
    column: str | None
    filters: tuple[TableFilter, ...]
    holder: str | None = None


def function_in(question: str) -> TableFunction | None:
    """Return the one function that a question asks for; None if it names none, or several."""
    if _OTHERWISE.search(question):
        return None
    named = [name for name, pattern in _ASKED.items() if pattern.search(question)]
    return named[0] if len(named) == 1 else None


def figure_in(question: str, source: str, tables: Sequence[Table]) -> Figure | None:
    """Return the figure that a question asks for over one of a document's tables; None unless exactly one can be meant."""
    function = function_in(question)
    if function is None:
        return None
    stem = source.rpartition(".")[0] or source
    # "in orders.csv" names the table as "in orders" does
    rest = terms(_ASKED[function].sub(" ", re.sub(re.escape(source), lambda _: stem, question, flags=re.IGNORECASE)))
    named = set(terms(stem))
    found = [
        figure
        for at, table in enumerate(tables)
        if (figure := _read(function, rest, at, table, named | set(terms(table.name)))) is not None
    ]
    return found[0] if len(found) == 1 else None


def statement(figure: Figure, value: object, rows: int, source: str, held_by: Sequence[str] = ()) -> str:
    """Return a figure as a sentence that names everything it rests on, and who holds it if that was asked."""
    of = f" of {figure.column}" if figure.column else " of rows"
    where = " and ".join(f"{one.column} is {one.value}" for one in figure.filters)
    told = f"{_NAMES[figure.function]}{of}{f' where {where}' if where else ''}: {value}"
    if held_by:
        told += f", where {figure.holder} is {' and '.join(held_by)}"
    return f"{told[0].upper()}{told[1:]} (computed from {rows} row{'' if rows == 1 else 's'} of {source})."


def _read(function: TableFunction, rest: Sequence[str], at: int, table: Table, named: set[str]) -> Figure | None:
    filters, taken = _filters(rest, table)
    if filters is None:
        return None
    left = {term for index, term in enumerate(rest) if index not in taken and term not in _EMPTY}
    if not (left or filters):
        return None
    said = {name: frozenset(terms(name)) for name in table.columns}
    kinds = dict(zip(table.columns, table.kinds, strict=True))
    about = [name for name in table.columns if said[name] and said[name] <= left - named]
    about = [name for name in about if name not in {one.column for one in filters}]
    if function != "count" and not about:
        about = [name for name in table.columns if kinds[name] == "number"]  # the only number need not be named
        left -= named
    if any(term not in named.union(*said.values()) for term in left):
        return None
    if len(about) == _BOTH and function in ("max", "min"):
        return _held(function, at, table, about, filters)
    if len(about) > 1:
        return None
    if function == "count":
        if not about:
            return Figure(at, "count", None, filters)
        return Figure(at, "count_distinct", about[0], filters) if kinds[about[0]] == "text" else None
    return Figure(at, function, about[0], filters) if about and kinds[about[0]] == "number" else None


def _held(
    function: TableFunction, at: int, table: Table, about: Sequence[str], filters: tuple[TableFilter, ...]
) -> Figure | None:
    """Return the highest or lowest number and who holds it; None where two rows share a name: theirs together may be meant."""
    kinds = dict(zip(table.columns, table.kinds, strict=True))
    numbers, names = ([name for name in about if kinds[name] == kind] for kind in ("number", "text"))
    if not (numbers and names):
        return None
    place = list(table.columns).index(names[0])
    cells = [row.cells[place] for row in table.rows]
    if not all(cells) or len(set(cells)) < len(cells):
        return None
    return Figure(at, function, numbers[0], filters, names[0])


def _filters(rest: Sequence[str], table: Table) -> tuple[tuple[TableFilter, ...] | None, set[int]]:
    """Return the values that a question names, each the one of its column, and the places of their words; None if they clash."""
    found: list[tuple[str, str, range]] = []
    for name, kind, cells in zip(
        table.columns, table.kinds, zip(*(row.cells for row in table.rows), strict=True), strict=True
    ):
        values = {cell for cell in cells if cell}
        if kind != "text" or len(values) > _MOST_VALUES:
            continue
        for value in values:
            place = _place(terms(value), rest)
            if place is not None:
                found.append((name, value, place))
    found.sort(key=lambda one: -len(one[2]))
    taken: set[int] = set()
    chosen: dict[str, str] = {}
    for name, value, place in found:
        if taken.intersection(place):
            if any(
                len(place) == len(other[2]) and set(place) == set(other[2]) and other[:2] != (name, value)
                for other in found
            ):
                return None, set()  # the same words name two values
            continue
        if name in chosen:
            return None, set()
        chosen[name] = value
        taken.update(place)
    return tuple(TableFilter(column=name, type="eq", value=value) for name, value in chosen.items()), taken


def _place(value: Sequence[str], rest: Sequence[str]) -> range | None:
    if not value or all(term in _EMPTY for term in value):
        return None
    for start in range(len(rest) - len(value) + 1):
        if list(rest[start : start + len(value)]) == list(value):
            return range(start, start + len(value))
    return None
