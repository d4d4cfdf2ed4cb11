"""Writes the figures as Markdown and JSON."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import bars
from tests.bench.bars import Held
from tests.bench.errors import BenchError
from tests.bench.figures import Figure, RowFigures, Run

EMPTY = "–"
FIGURES = "figures"


class Machine(NamedTuple):
    """Where the figures were taken, in words."""

    processor: str
    cores: int
    kernel: str
    python: str


class Header(NamedTuple):
    """When and how the figures were taken."""

    taken_at: str
    machine: Machine
    rounds: int
    seconds: int
    gateway_core: int
    load_core: int
    load_average: float
    goes_first: bool
    releases: tuple[str, ...]


class Column(NamedTuple):
    """One column: its heading and the cell of a row."""

    heading: str
    cell: Callable[[RowFigures], str]


def number(found: Figure | None, decimals: int) -> str:
    """Write a figure's median, with thousands separated; a dash when there is none."""
    return EMPTY if found is None else f"{found.median:,.{decimals}f}"


def with_spread(found: Figure | None, decimals: int) -> str:
    """Write a median and how far apart the rounds were, in per cent of it."""
    return EMPTY if found is None else f"{found.median:,.{decimals}f} (±{found.spread * 50:.0f} %)"


def times(found: Figure | None) -> str:
    """Write a ratio as a multiple."""
    return EMPTY if found is None else f"{found.median:.2f}×"


def share(found: Figure | None) -> str:
    """Write a share in per cent."""
    return EMPTY if found is None else f"{found.median:.0%}"


def triple(first: Figure | None, second: Figure | None, third: Figure | None) -> str:
    """Write three percentiles in one cell."""
    return EMPTY if first is None else " / ".join(number(found, 2) for found in (first, second, third))


JSON_COLUMNS = (
    Column("row", lambda row: row.row),
    Column("requests/s at 32", lambda row: number(row.requests_per_second, 0)),
    Column("CPU s per 1,000", lambda row: with_spread(row.cpu_per_1000, 3)),
    Column("× floor/f4", lambda row: times(row.cpu_ratio)),
    Column("usage consumer, CPU s per 1,000", lambda row: number(row.consumer_cpu_per_1000, 3)),
    Column("share of its core", lambda row: share(row.core_share)),
    Column("kept waiting by others", lambda row: share(row.waited_share)),
    Column(
        "added ms at 1, p50 / p95 / p99",
        lambda row: triple(row.added_p50_ms, row.added_p95_ms, row.added_p99_ms),
    ),
    Column("34 KB prompt: CPU s per 1,000", lambda row: with_spread(row.long_prompt_cpu_per_1000, 3)),
    Column("RSS MiB", lambda row: number(row.rss_mib, 0)),
)

STREAM_COLUMNS = (
    Column("row", lambda row: row.row),
    Column("streams/s at 32", lambda row: number(row.streams_per_second, 0)),
    Column("CPU s per 1,000 streams", lambda row: with_spread(row.stream_cpu_per_1000, 2)),
    Column("× floor/f4", lambda row: times(row.stream_cpu_ratio)),
    Column("paced: CPU s per 1,000 streams", lambda row: with_spread(row.paced_cpu_per_1000, 2)),
    Column("paced: × floor/f4", lambda row: times(row.paced_cpu_ratio)),
    Column(
        "paced: added ms to the first word, p50 / p95",
        lambda row: (
            EMPTY
            if row.added_first_word_p50_ms is None
            else f"{number(row.added_first_word_p50_ms, 2)} / {number(row.added_first_word_p95_ms, 2)}"
        ),
    ),
)

HIT_COLUMNS = (
    Column("row", lambda row: row.row),
    Column("answers from the cache a second at 32", lambda row: number(row.hits_per_second, 0)),
    Column("CPU s per 1,000 of them", lambda row: with_spread(row.hit_cpu_per_1000, 3)),
)


def table(columns: Sequence[Column], rows: Sequence[RowFigures]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(column.heading for column in columns) + " |"]
    lines.append("| " + " | ".join(["---"] + ["---:"] * (len(columns) - 1)) + " |")
    lines += ["| " + " | ".join(column.cell(row) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def markdown(header: Header, rows: Sequence[RowFigures], held: Sequence[Held]) -> str:
    """Return the whole report: the tables, the bars, then what went wrong, if anything."""
    machine = header.machine
    introduction = (
        f"Taken {header.taken_at} on {machine.processor}, {machine.cores} cores, Linux {machine.kernel}, Python "
        f"{machine.python}; {header.rounds} rounds of {header.seconds} s each, in turns; gateway on core "
        f"{header.gateway_core}, mock upstream and load on core {header.load_core}; load average before: "
        f"{header.load_average:.2f}; "
        f"the benchmark's processes {'went before others' if header.goes_first else 'had the usual priority'}."
    )
    if header.releases:
        introduction += f" Releases: {', '.join(header.releases)}."
    parts = [introduction, table(JSON_COLUMNS, rows), table(STREAM_COLUMNS, rows)]
    caching = [row for row in rows if row.hits_per_second is not None]
    if caching:
        parts.append(table(HIT_COLUMNS, caching))
    parts.append(bars.table(held))
    complaints = [f"- {row.row}, {complaint}" for row in rows for complaint in row.complaints]
    if complaints:
        parts.append("Failed, so these figures do not count:\n\n" + "\n".join(complaints))
    return "\n\n".join(parts) + "\n"


def into_page(page: str, text: str, name: str = FIGURES) -> str:
    """Return a documentation page with what stands between the two marks of this name replaced.

    Raises:
        BenchError: the page has not exactly one pair of the marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise BenchError(f"The page needs the marks {begin} and {end} once each, around the {name}.")
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text.strip()}\n{end}{rest.split(end)[1]}"


def write(folder: Path, header: Header, rows: Sequence[RowFigures], runs: Sequence[Run], held: Sequence[Held]) -> Path:
    """Write latest.md and latest.json, and keep a dated copy of the JSON; returns the Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "header": {**header._asdict(), "machine": header.machine._asdict()},
        "rows": [_plain(row) for row in rows],
        "bars": [_plain_bar(one) for one in held],
        "runs": [_plain(run) for run in runs],
    }
    text = json.dumps(document, indent=1)
    stamp = header.taken_at.replace(":", "").replace(" ", "-")
    (folder / f"{stamp}.json").write_text(text)
    (folder / "latest.json").write_text(text)
    page = folder / "latest.md"
    page.write_text(markdown(header, rows, held))
    return page


def _plain(record: RowFigures | Run) -> dict[str, object]:
    return {name: value._asdict() if hasattr(value, "_asdict") else value for name, value in record._asdict().items()}


def _plain_bar(held: Held) -> dict[str, object]:
    bar = held.bar
    return {
        "bar": bar.title,
        "scenario": bar.scenario,
        "limit": bar.wording,
        "measured": held.value,
        "margin": held.margin,
        "verdict": held.verdict,
    }
