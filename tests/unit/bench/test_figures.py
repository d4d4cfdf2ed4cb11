"""The arithmetic behind the benchmark's table."""

import pytest
from tests.bench.figures import DIRECT, FLOOR, Figure, Run, added, figure, ratio, row_figures
from tests.bench.loadgen import Percentiles
from tests.bench.scenarios import ScenarioName


def run(
    row: str,
    number: int,
    *,
    scenario: ScenarioName = "json-32",
    cpu: float | None = None,
    per_second: float = 100.0,
    latency: float = 1.0,
    first_word: float = 1.0,
    complaint: str | None = None,
) -> Run:
    return Run(
        row=row,
        scenario=scenario,
        round=number,
        requests=1000,
        per_second=per_second,
        cpu_per_1000=cpu,
        consumer_cpu_per_1000=None,
        core_share=0.5,
        waited_share=0.0,
        rss_bytes=3 * 2**20,
        latency=Percentiles(latency, 2 * latency, 3 * latency),
        first_word=Percentiles(first_word, 2 * first_word, 3 * first_word),
        complaint=complaint,
    )


def test_figure_is_the_median_and_the_spread_around_it() -> None:
    assert figure([3.0, 1.0, 2.0]) == Figure(2.0, 1.0)
    assert figure([4.0, 2.0, 2.0, 4.0]) == Figure(3.0, 2.0 / 3.0)


def test_figure_leaves_out_what_is_missing() -> None:
    assert figure([None, 5.0, None]) == Figure(5.0, 0.0)
    assert figure([None]) is None
    assert figure([]) is None


def test_figure_of_a_negative_median_has_a_positive_spread() -> None:
    assert figure([-1.0, -2.0, -3.0]) == Figure(-2.0, 1.0)


def test_added_subtracts_each_percentile() -> None:
    assert added(Percentiles(3.0, 5.0, 9.0), Percentiles(1.0, 1.5, 2.0)) == Percentiles(2.0, 3.5, 7.0)


@pytest.mark.parametrize(
    ("own", "base", "expected"), [(3.0, 2.0, 1.5), (None, 2.0, None), (3.0, None, None), (3.0, 0.0, None)]
)
def test_ratio_needs_both_sides(own: float | None, base: float | None, expected: float | None) -> None:
    assert ratio(own, base) == expected


def test_ratio_to_the_floor_is_taken_inside_each_round() -> None:
    # The machine is twice as slow in round 2 for both; across rounds the ratio would be off, inside a round it is not.
    runs = [run(FLOOR, 1, cpu=1.0), run("sluice", 1, cpu=1.5), run(FLOOR, 2, cpu=2.0), run("sluice", 2, cpu=3.0)]
    assert row_figures("sluice", runs).cpu_ratio == Figure(1.5, 0.0)


def test_without_the_floor_there_is_no_ratio() -> None:
    assert row_figures("sluice", [run("sluice", 1, cpu=1.5)]).cpu_ratio is None


def test_added_latency_is_against_direct_of_the_same_round() -> None:
    runs = [
        run(DIRECT, 1, scenario="json-1", latency=1.0),
        run("sluice", 1, scenario="json-1", latency=1.5),
        run(DIRECT, 2, scenario="json-1", latency=10.0),
        run("sluice", 2, scenario="json-1", latency=10.7),
    ]
    found = row_figures("sluice", runs)
    assert found.added_p50_ms is not None
    assert found.added_p50_ms.median == pytest.approx(0.6)
    assert found.added_p99_ms is not None
    assert found.added_p99_ms.median == pytest.approx(1.8)


def test_direct_adds_nothing_to_itself() -> None:
    found = row_figures(DIRECT, [run(DIRECT, 1, scenario="json-1"), run(DIRECT, 1, scenario="stream-paced")])
    assert found.added_p50_ms is None
    assert found.added_first_word_p50_ms is None


def test_a_figure_comes_from_its_own_scenario_only() -> None:
    runs = [
        run("sluice", 1, scenario="json-32", per_second=500.0, cpu=0.1),
        run("sluice", 1, scenario="stream-32", per_second=50.0, cpu=0.2),
        run("sluice", 1, scenario="stream-paced", per_second=5.0, cpu=0.3),
    ]
    found = row_figures("sluice", runs)
    assert found.requests_per_second == Figure(500.0, 0.0)
    assert found.streams_per_second == Figure(50.0, 0.0)
    assert found.cpu_per_1000 == Figure(0.1, 0.0)
    assert found.stream_cpu_per_1000 == Figure(0.2, 0.0)
    assert found.paced_cpu_per_1000 == Figure(0.3, 0.0)
    assert found.rss_mib == Figure(3.0, 0.0)


def test_a_complaint_names_scenario_and_round() -> None:
    runs = [run("sluice", 1), run("sluice", 2, complaint="3 refused"), run("litellm", 2, complaint="other")]
    assert row_figures("sluice", runs).complaints == ("json-32, round 2: 3 refused",)
