"""The load generator's report and the command line."""

import json
from pathlib import Path

import pytest
from tests.bench.errors import BenchError
from tests.bench.loadgen import LoadReport, Percentiles, parse_report
from tests.bench.run import chosen_rows, chosen_scenarios, parse_arguments
from tests.bench.scenarios import SCENARIOS, write_bodies
from tests.bench.toolchain import build


def report_with(**changes: int | str) -> LoadReport:
    three = {"p50": 1.0, "p95": 2.5, "p99": 4.0, "max": 9.0}
    line: dict[str, object] = {
        "ok": 10,
        "bad_status": 0,
        "wrong_words": 0,
        "broken": 0,
        "elapsed_s": 2.0,
        "rps": 5.0,
        "latency_ms": three,
        "first_word_ms": three,
        "first_bad_status": 0,
        "first_bad_body": "",
    }
    return parse_report(json.dumps({**line, **changes}))


def test_a_clean_report_has_no_complaint() -> None:
    report = report_with()
    assert report.complaint is None
    assert report.latency == Percentiles(1.0, 2.5, 4.0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bad_status": 2, "first_bad_status": 503, "first_bad_body": "busy"}, "2 refused (first: 503 busy)"),
        ({"wrong_words": 1}, "1 without all 64 words"),
        ({"broken": 4}, "4 cut off, malformed or too late"),
        ({"ok": 0}, "0 right answers"),
    ],
)
def test_every_kind_of_wrong_answer_is_a_complaint(changes: dict[str, int | str], sentence: str) -> None:
    complaint = report_with(**changes).complaint
    assert complaint is not None
    assert sentence in complaint


def test_floor_comes_from_the_environment_unless_named(tmp_path: Path) -> None:
    environment = {"SLUICE_BENCH_FLOOR": "/from/environment"}
    assert parse_arguments([], {}).floor is None
    assert parse_arguments([], environment).floor == Path("/from/environment")
    assert parse_arguments(["--floor", str(tmp_path)], environment).floor == tmp_path


def test_rows_keep_the_order_of_the_table() -> None:
    assert [row.name for row in chosen_rows("floor/f4, direct")] == ["direct", "floor/f4"]
    assert "sluice" in [row.name for row in chosen_rows("")]


def test_an_unknown_row_or_scenario_is_named() -> None:
    with pytest.raises(BenchError, match="no row apache"):
        chosen_rows("direct,apache")
    with pytest.raises(BenchError, match="no scenario json-64"):
        chosen_scenarios("json-64")


def test_bodies_differ_only_in_streaming_and_in_length(tmp_path: Path) -> None:
    bodies = write_bodies(tmp_path)
    plain, long, streamed, hit = (json.loads(path.read_text()) for path in bodies)
    assert streamed == {**plain, "stream": True}
    assert hit == {**plain, "model": "bench-cached", "temperature": 0}
    evidence = long["messages"].pop(1)
    assert long == plain
    assert len(evidence["content"]) == 34 * 1024
    lines = evidence["content"].splitlines()
    assert len(set(lines)) == len(lines)
    assert {bodies.of(scenario) for scenario in SCENARIOS} == set(bodies)


def test_without_a_compiler_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"needs a C compiler .* apt-get install gcc"):
        build(tmp_path, find=lambda: None)
