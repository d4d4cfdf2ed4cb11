"""Tables that stand in Markdown as lines with pipes (GitHub Flavored Markdown, 4.10), with the characters of their rows."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_DELIMITER = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")
_CELL_END = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6} ")
_MARKS = "*_`"


class Line(NamedTuple):
    """A row's cells, empty ones as "", and its characters."""

    cells: tuple[str, ...]
    start: int
    end: int


class PipeTable(NamedTuple):
    """A table under the heading `name`; `header` has a name for each column."""

    name: str
    header: tuple[str, ...]
    rows: tuple[Line, ...]


def pipe_tables(text: str) -> Iterator[PipeTable]:
    """Yield the tables of a Markdown text that have rows and a different name for each column; code is passed over."""
    name, fence, at = "", "", 0
    before: Line | None = None
    header: tuple[str, ...] = ()
    rows: list[Line] = []
    for line in [*text.splitlines(keepends=True), ""]:
        start, at = at, at + len(line)
        shown = line.rstrip()
        if fence:
            fence = "" if shown.lstrip().startswith(fence) else fence
            continue
        cells = _cells(shown, start) if "|" in shown else None
        if header and cells is not None:
            rows.append(cells._replace(cells=_fitted(cells.cells, len(header))))
            continue
        if rows:
            yield PipeTable(name, header, tuple(rows))
        header, rows = (), []
        if before is not None and _DELIMITER.fullmatch(shown.strip()) and len(_split(shown)) == len(before.cells):
            header = _named(before.cells)
        before = cells
        if (opened := _FENCE.match(shown)) is not None:
            fence = opened[1]
        elif (heading := _HEADING.match(shown)) is not None:
            name = shown[heading.end() :].strip(" #")


def _split(shown: str) -> list[str]:
    inner = shown.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.replace("\\|", "|").strip() for cell in _CELL_END.split(inner)]


def _cells(shown: str, start: int) -> Line:
    indent = len(shown) - len(shown.lstrip())
    plain = tuple(cell.strip(_MARKS).strip() for cell in _split(shown))
    return Line(plain, start + indent, start + len(shown))


def _fitted(cells: tuple[str, ...], columns: int) -> tuple[str, ...]:
    return (*cells, *[""] * columns)[:columns]


def _named(cells: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(cell or f"Column {number}" for number, cell in enumerate(cells, start=1))
    return names if len(set(names)) == len(names) else ()
