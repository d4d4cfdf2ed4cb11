"""What a number in a table is: the heading of its column says it, and stands lines above it."""

import re

_INSERT = re.compile(r"\binsert\s{1,4}into\s[^()\n]{1,100}\(([^()]{1,1000})\)\s{0,4}values\b", re.IGNORECASE)
_IN_ROWS = re.compile(r"(?:\bvalues|\),)\s{0,4}\Z", re.IGNORECASE)
_LONGEST_SIGN = 12  # of what stands before a row
_SIGNS = "|\t;,"
_LINE = 2_000  # characters of a row before the number
_REACH = 20_000  # characters from the row up to the first one of its table
_FIRST_LINES = 5  # an introduction and the fence of a block may stand before the heading


def heading_of(text: str, at: int) -> str:
    """Return the heading of the column in which text[at] stands, in CSV, TSV or Markdown; nothing outside of a table.

    A table ends at an empty line. Its heading is the first line that has as many columns as the row; cells that hold the sign between
    cells are not understood.
    """
    start = text.rfind("\n", max(0, at - _LINE), at) + 1
    if (column := _of_insert(text, start, at)) is not None:
        return column
    if start == 0:
        return ""
    end = text.find("\n", at, at + _LINE)
    row = text[start : end if end != -1 else at + _LINE]
    sign = max(_SIGNS, key=row.count)
    columns = row.count(sign)
    if columns == 0:
        return ""
    top = text.rfind("\n\n", max(0, start - _REACH), start)
    if top == -1 and start > _REACH:
        return ""
    line = 0 if top == -1 else top + 2
    for _ in range(_FIRST_LINES):
        stop = text.find("\n", line, start)
        if stop == -1:
            return ""
        if text.count(sign, line, stop) == columns:
            return text[line:stop].split(sign)[text.count(sign, start, at)][:200]
        line = stop + 1
    return ""


def _of_insert(text: str, start: int, at: int) -> str | None:
    # The column of a value in `INSERT INTO t (a, b) VALUES (1, 'x')`, of which each row may have a line of its own.
    opened = text.rfind("(", start, at)
    if opened == -1:
        return None
    if _IN_ROWS.search(text, max(0, opened - _LONGEST_SIGN), opened) is None:
        return None
    before = text[max(0, at - _LINE) : opened]
    named = list(_INSERT.finditer(before))[-1:]
    columns = named[0].group(1).split(",") if named else []
    place = text.count(",", opened, at)
    return columns[place].strip() if place < len(columns) else None
