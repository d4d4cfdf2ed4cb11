"""The bars: what they compare, when they are kept, and what becomes of one that cannot be measured."""

from pathlib import Path

import pytest
from tests.bench.bars import BARS, Bar, behind, hold, table
from tests.bench.figures import DIRECT, Run, row_figures
from tests.bench.loadgen import Percentiles
from tests.bench.run import conclude
from tests.bench.scenarios import ScenarioName

USUAL = Percentiles(1.0, 2.0, 3.0)


def run(
    row: str,
    scenario: ScenarioName = "json-32",
    number: int = 1,
    *,
    cpu: float | None = 1.0,
    per_second: float = 100.0,
    latency: Percentiles = USUAL,
    first_word: float = 1.0,
    complaint: str | None = None,
) -> Run:
    words = Percentiles(first_word, first_word, first_word)
    return Run(row, scenario, number, 9, per_second, cpu, None, 0.9, 0.0, 2**20, latency, words, complaint)


def bar(title: str, other: str) -> Bar:
    (found,) = [one for one in BARS if one.title == title and one.other == other]
    return found


def verdict(one: Bar, *runs: Run) -> tuple[str, float | None, float | None]:
    (held,) = hold(runs, [one])
    return held.verdict, held.value, held.margin


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [(0.05, 0.1, ("kept", 0.5, 0.5)), (0.1, 0.1, ("kept", 1.0, 0.0)), (0.2, 0.1, ("behind", 2.0, -1.0))],
)
def test_cpu_may_be_at_most_the_compiled_routers(own: float, other: float, expected: tuple[str, float, float]) -> None:
    one = bar("CPU a request", "vllm-router")
    assert verdict(one, run("sluice", cpu=own), run("vllm-router", cpu=other)) == expected


def test_cpu_may_be_four_times_that_of_nginx() -> None:
    one = bar("CPU a request", "nginx")
    assert verdict(one, run("sluice", cpu=0.06), run("nginx", cpu=0.02)) == (
        "kept",
        pytest.approx(3.0),
        pytest.approx(0.25),
    )
    assert verdict(one, run("sluice", cpu=0.1), run("nginx", cpu=0.02))[0] == "behind"


@pytest.mark.parametrize(("other", "times"), [("vllm-router", 1), ("portkey", 10), ("litellm", 150)])
def test_requests_a_second_must_be_a_multiple(other: str, times: int) -> None:
    one = bar("requests a second, 32 connections", other)
    enough, too_few = run("sluice", per_second=100.0 * times), run("sluice", per_second=99.0 * times)
    assert verdict(one, enough, run(other)) == ("kept", times, 0.0)
    assert verdict(one, too_few, run(other)) == ("behind", 0.99 * times, pytest.approx(-0.01))


@pytest.mark.parametrize(("title", "at"), [("latency p50, 1 connection", 0), ("latency p99, 1 connection", 2)])
def test_added_latency_may_be_a_tenth_of_a_millisecond_more(title: str, at: int) -> None:
    one, usual = bar(title, "vllm-router"), [0.3, 0.4, 0.5]
    for more, expected in ((0.05, "kept"), (0.2, "behind")):
        own = usual.copy()
        own[at] += more
        runs = (
            run("sluice", "json-1", latency=Percentiles(*own)),
            run("vllm-router", "json-1", latency=Percentiles(*usual)),
        )
        assert verdict(one, *runs) == (expected, pytest.approx(more), pytest.approx(0.1 - more))


def test_the_first_word_is_compared_with_the_upstream_alone() -> None:
    one = bar("time to the first word p50", DIRECT)
    direct = run(DIRECT, "stream-paced", first_word=20.0)
    assert verdict(one, run("sluice", "stream-paced", first_word=20.75), direct) == ("kept", 0.75, 0.25)
    assert verdict(one, run("sluice", "stream-paced", first_word=21.5), direct)[0] == "behind"


@pytest.mark.parametrize(
    ("title", "scenario"), [("CPU a paced stream", "stream-paced"), ("CPU a request, 34 KB prompt", "json-34k")]
)
def test_streams_and_long_prompts_are_held_against_the_compiled_router(title: str, scenario: ScenarioName) -> None:
    one = bar(title, "vllm-router")
    assert verdict(one, run("sluice", scenario, cpu=1.5), run("vllm-router", scenario, cpu=2.0)) == ("kept", 0.75, 0.25)
    assert verdict(one, run("sluice", "json-1", cpu=9.0), run("vllm-router", "json-1", cpu=1.0))[0] == "not measured"


def test_a_ratio_is_taken_inside_each_round() -> None:
    # The machine is ten times as slow in round 2 for both, and round 3 has no partner.
    runs = [
        run("sluice", cpu=0.5),
        run("vllm-router", cpu=1.0),
        run("sluice", number=2, cpu=6.0),
        run("vllm-router", number=2, cpu=10.0),
        run("sluice", number=3, cpu=99.0),
    ]
    assert verdict(bar("CPU a request", "vllm-router"), *runs)[1] == pytest.approx(0.55)


def test_a_row_that_is_missing_or_answered_wrong_is_said_and_not_failed() -> None:
    wrong = run("nginx", cpu=0.001, complaint="3 refused")
    held = hold([run("sluice"), wrong])
    assert behind(held) == []
    text = table(held)
    assert "| CPU a request (`json-32`) | ≤ 4 × nginx | – | – | not measured: no figure of nginx |" in text
    assert "no figure of sluice and vllm-router" in text


def test_the_table_shows_limit_figure_and_room_in_their_units() -> None:
    runs = [
        run("sluice", cpu=0.5),
        run("vllm-router", cpu=1.0),
        run("sluice", "json-1", latency=Percentiles(1.25, 2.0, 3.0)),
        run("vllm-router", "json-1"),
    ]
    text = table(hold(runs))
    assert "| CPU a request (`json-32`) | ≤ 1 × vllm-router | 0.50× | +50% | kept |" in text
    assert "| latency p50, 1 connection (`json-1`) | ≤ vllm-router + 0.1 ms | 0.25 ms | -0.15 ms | **behind** |" in text


@pytest.mark.parametrize(
    ("cpu", "status", "said"), [(0.5, 0, ""), (2.0, 1, "Behind the bar: CPU a request in json-32")]
)
def test_the_command_fails_when_a_bar_is_not_kept(
    cpu: float, status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run("sluice", cpu=cpu), run("vllm-router", cpu=1.0)]
    figures = [row_figures(row, runs) for row in ("sluice", "vllm-router")]
    assert conclude([], figures, hold(runs), tmp_path, write_docs=False) == status
    assert capsys.readouterr().err.startswith(said)


def test_the_command_fails_when_an_answer_was_wrong(tmp_path: Path) -> None:
    runs = [run("sluice", complaint="3 refused")]
    assert conclude([], [row_figures("sluice", runs)], hold(runs), tmp_path, write_docs=True) == 1


def test_answers_from_the_cache_are_held_against_a_number_of_their_own() -> None:
    one = bar("answers from the cache a second, 32 connections", "sluice")
    assert verdict(one, run("sluice", "cache-hit", per_second=12_500.0)) == ("kept", 12_500.0, 0.25)
    assert verdict(one, run("sluice", "cache-hit", per_second=9_000.0)) == ("behind", 9_000.0, pytest.approx(-0.1))
    assert "| ≥ 10,000 | 9,000.00 | -10% | **behind** |" in table(hold([run("sluice", "cache-hit", per_second=9e3)]))
    (missing,) = hold([run("sluice")], [one])
    assert missing.missing == ("sluice",)
