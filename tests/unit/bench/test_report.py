"""What the benchmark prints and writes."""

import json
from pathlib import Path

import pytest
from tests.bench.bars import hold
from tests.bench.errors import BenchError
from tests.bench.figures import DIRECT, FLOOR, Figure, Run, row_figures
from tests.bench.loadgen import Percentiles
from tests.bench.report import (
    EMPTY,
    JSON_COLUMNS,
    Header,
    Machine,
    into_page,
    markdown,
    number,
    table,
    times,
    with_spread,
    write,
)

HEADER = Header(
    taken_at="2026-11-23 12:00:00 UTC",
    machine=Machine("Some Processor", 2, "6.1", "3.11.7"),
    rounds=1,
    seconds=4,
    gateway_core=0,
    load_core=1,
    load_average=0.25,
    goes_first=False,
    releases=("nginx 1.2.3",),
)
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def one_run(row: str, *, cpu: float | None, complaint: str | None = None) -> Run:
    three = Percentiles(1.0, 2.0, 3.0)
    return Run(row, "json-32", 1, 1000, 12345.6, cpu, None, 0.91, 0.02, 64 * 2**20, three, three, complaint)


def test_number_separates_thousands_and_shows_a_dash_for_nothing() -> None:
    assert number(Figure(12345.6, 0.0), 0) == "12,346"
    assert number(None, 2) == EMPTY


def test_spread_is_shown_to_either_side() -> None:
    assert with_spread(Figure(0.5, 0.2), 3) == "0.500 (±10 %)"


def test_times_shows_a_multiple() -> None:
    assert times(Figure(1.5, 0.0)) == "1.50×"
    assert times(None) == EMPTY


def test_every_line_of_the_table_has_as_many_cells_as_the_heading() -> None:
    runs = [one_run(DIRECT, cpu=None), one_run(FLOOR, cpu=0.06), one_run("sluice", cpu=0.09)]
    lines = table(JSON_COLUMNS, [row_figures(row, runs) for row in (DIRECT, FLOOR, "sluice")]).splitlines()
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {len(JSON_COLUMNS) + 1}
    assert lines[4].startswith("| sluice | 12,346 | 0.090 (±0 %) | 1.50× | – | 91% | 2% |")


def test_a_failed_row_is_named_below_the_tables() -> None:
    runs = [one_run("sluice", cpu=0.1, complaint="7 refused (first: 500 oops)")]
    page = markdown(HEADER, [row_figures("sluice", runs)], hold(runs))
    assert "these figures do not count" in page
    assert "- sluice, json-32, round 1: 7 refused (first: 500 oops)" in page


def test_a_clean_report_speaks_of_no_failure() -> None:
    page = markdown(HEADER, [row_figures("sluice", [one_run("sluice", cpu=0.1)])], [])
    assert "do not count" not in page


def test_the_report_names_the_releases_and_the_bars() -> None:
    runs = [one_run("sluice", cpu=0.1), one_run("nginx", cpu=0.02)]
    page = markdown(HEADER, [row_figures("sluice", runs)], hold(runs))
    assert "Releases: nginx 1.2.3." in page
    assert "| CPU a request (`json-32`) | ≤ 4 × nginx | 5.00× | -25% | **behind** |" in page


def test_marks_of_another_name_enclose_another_text() -> None:
    page = f"{BEGIN}\nold\n{END}\n<!-- stages: begin -->\n<!-- stages: end -->\n"
    assert into_page(page, "new", "stages") == (
        f"{BEGIN}\nold\n{END}\n<!-- stages: begin -->\nnew\n<!-- stages: end -->\n"
    )


def test_figures_replace_what_stands_between_the_marks() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nmore\n"
    once = into_page(page, "new\n")
    assert once == f"# Title\n\n{BEGIN}\nnew\n{END}\n\nmore\n"
    assert into_page(once, "new\n") == once


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(BenchError, match="needs the marks"):
        into_page("# Title\n", "new")


def test_written_json_holds_every_run_and_figure(tmp_path: Path) -> None:
    runs = [one_run("sluice", cpu=0.1)]
    page = write(tmp_path, HEADER, [row_figures("sluice", runs)], runs, hold(runs))
    document = json.loads((tmp_path / "latest.json").read_text())
    assert page.read_text().startswith("Taken 2026-11-23 12:00:00 UTC on Some Processor, 2 cores")
    assert document["header"]["machine"]["cores"] == 2
    assert document["rows"][0]["cpu_per_1000"] == {"median": 0.1, "spread": 0.0}
    assert document["bars"][0]["verdict"] == "not measured"
    assert document["runs"][0]["latency"] == {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    assert (tmp_path / "2026-11-23-120000-UTC.json").exists()
