"""How commands print: tables for people, JSON for programs."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
_FOLDED_CELLS = 40
# control characters, and marks that turn the direction of writing
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def visible(text: str) -> str:
    """Return a text that a terminal shows and does not obey: callers and models write names and answers that hold its commands."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)


@contextmanager
def progress(doing: str) -> Iterator[Callable[[], float]]:
    """Say on a terminal what is being done and for how long, until it ends; yields what returns the seconds so far."""
    began = time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        shown.add_task(doing, total=None)
        yield lambda: time.monotonic() - began


def show_json(value: Any) -> None:
    """Print JSON."""
    print(visible(json.dumps(value, indent=2, ensure_ascii=False)))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, folded: str | None = None) -> None:
    """Print a table; empty cells for None.

    Cells stay whole, so that ids and addresses can be copied and each row can be found with grep, however narrow the
    terminal is. Only the column `folded`, for texts, is broken into lines where there is a terminal.
    """
    folded = folded if console.is_terminal else None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column != folded, overflow="fold")
    cells = [[_shown(cell, column == folded) for cell, column in zip(row, columns, strict=True)] for row in rows]
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    needed = sum(
        2 + max(cell_len(text) for text in (name, *texts))
        for name, *texts in zip(columns, *cells, strict=True)
        if name != folded
    )
    width = needed if folded is None else max(console.width, needed + _FOLDED_CELLS)
    # A console prints nothing wider than itself, so the table gets one of its own; a terminal wraps what is too long.
    Console(highlight=False, width=width).print(table, crop=False)


def _shown(cell: object, may_break: bool) -> str:
    if cell is None:
        return ""
    text = format(cell, ".6g") if isinstance(cell, float) else visible(str(cell))
    return text if may_break else text.translate(_BREAKS)
