"""Batching by hand with a step that costs 1 second for its weights and nothing, or something, for each token."""

import json

import pytest

from sluice_cli.simulation.batching import Limits, simulate
from sluice_cli.simulation.workload import Arrival, BadTrace, drawn, read_trace


def _second(tokens: float, pairs: float, held: float) -> float:
    return 1.0


def _by_token(tokens: float, pairs: float, held: float) -> float:
    return 1.0 + 0.01 * tokens


TWO = [Arrival(0.0, 10, 2), Arrival(0.0, 10, 4)]


def test_one_by_one() -> None:
    found = simulate(TWO, "single", Limits(8), _second)
    # 2 steps, then 4
    assert (found.seconds, found.latency_p50, found.latency_p99) == (6.0, 2.0, 6.0)
    assert (found.ttft_p50, found.ttft_p95) == (1.0, 3.0)
    assert (found.tokens_per_second, found.mean_batch, found.waste) == (1.0, 1.0, 0.0)


def test_a_dynamic_batch_runs_until_its_longest_answer_ends() -> None:
    found = simulate(TWO, "dynamic", Limits(8), _second)
    assert (found.seconds, found.latency_p50, found.mean_batch) == (4.0, 4.0, 2.0)
    # 2 * (10 + 4) positions, of which 12 + 14 were needed
    assert found.waste == pytest.approx(1 - 26 / 28)


def test_a_continuous_batch_lets_go_of_what_has_ended() -> None:
    found = simulate(TWO, "continuous", Limits(8), _second)
    assert (found.seconds, found.latency_p50, found.latency_p99, found.waste) == (4.0, 2.0, 4.0, 0.0)
    assert found.mean_batch == pytest.approx(6 / 4)


def test_a_dynamic_batch_waits_for_more_but_not_longer_than_it_may() -> None:
    late = [Arrival(0.0, 10, 1), Arrival(0.4, 10, 1), Arrival(5.0, 10, 1)]
    patient = simulate(late, "dynamic", Limits(8, wait_s=0.5), _second)
    # leaves at 0.5 with two; the third has nobody to wait for
    assert (patient.ttft_p50, patient.seconds, patient.mean_batch) == (1.1, 6.0, 1.5)
    hasty = simulate(late, "dynamic", Limits(8, wait_s=0.1), _second)
    assert (hasty.mean_batch, hasty.latency_p50) == (1.0, 1.1)


def test_a_full_batch_does_not_wait() -> None:
    found = simulate(
        [Arrival(0.0, 10, 1), Arrival(0.2, 10, 1), Arrival(9.0, 1, 1)], "dynamic", Limits(2, wait_s=5.0), _second
    )
    assert found.latency_p50 == pytest.approx(1.0)


def test_groups_of_like_lengths_pad_less() -> None:
    mixed = [Arrival(0.0, size, 1) for size in (10, 500, 12, 510, 11, 490)]
    plain = simulate(mixed, "dynamic", Limits(3), _by_token)
    grouped = simulate(mixed, "grouped", Limits(3), _by_token)
    assert grouped.waste < 0.05 < 0.4 < plain.waste
    assert grouped.seconds < plain.seconds


def test_the_oldest_is_never_passed_over() -> None:
    odd = [Arrival(0.0, 1000, 1), *(Arrival(0.0, 10, 1) for _ in range(8))]
    found = simulate(odd, "grouped", Limits(2), _second)
    assert found.latency_p50 == 3.0
    assert found.requests == 9


def test_continuous_steps_keep_to_their_tokens() -> None:
    seen: list[float] = []

    def noted(tokens: float, pairs: float, held: float) -> float:
        seen.append(tokens)
        return 1.0

    found = simulate([Arrival(0.0, 25, 3), Arrival(0.0, 8, 3)], "continuous", Limits(2, step_tokens=10), noted)
    assert max(seen) == 10
    # 33 prompt tokens and 4 answer tokens that were fed back
    assert sum(seen) == 37
    assert found.requests == 2


def test_pairs_of_a_prompt_read_in_pieces_are_those_of_the_whole() -> None:
    counted: list[float] = []

    def noted(tokens: float, pairs: float, held: float) -> float:
        counted.append(pairs)
        return 1.0

    simulate([Arrival(0.0, 25, 1)], "continuous", Limits(2, step_tokens=10), noted)
    assert sum(counted) == 25 * 26 / 2


def test_continuous_beats_dynamic_beats_single_under_load() -> None:
    arrivals = drawn(120, 4.0, 200, 40, seed=3)
    found = {
        policy: simulate(arrivals, policy, Limits(16), _by_token) for policy in ("single", "dynamic", "continuous")
    }
    assert (
        found["single"].tokens_per_second < found["dynamic"].tokens_per_second < found["continuous"].tokens_per_second
    )
    assert found["continuous"].latency_p50 < found["dynamic"].latency_p50 < found["single"].latency_p50
    assert found["continuous"].waste == 0 < found["dynamic"].waste


@pytest.mark.parametrize(("arrivals", "limits"), [([], Limits(1)), (TWO, Limits(0)), (TWO, Limits(8, step_tokens=4))])
def test_what_cannot_be_simulated_is_refused(arrivals: list[Arrival], limits: Limits) -> None:
    with pytest.raises(ValueError, match=r"no request|at least"):
        simulate(arrivals, "continuous", limits, _second)


def test_drawn_requests_have_the_asked_rate_and_lengths() -> None:
    arrivals = drawn(4000, 5.0, 300, 100, spread=0.7, seed=1)
    assert len(arrivals) / arrivals[-1].at == pytest.approx(5.0, rel=0.05)
    assert sum(one.prompt for one in arrivals) / 4000 == pytest.approx(300, rel=0.05)
    assert drawn(5, 1.0, 7, 3, spread=0)[0][1:] == (7, 3)
    assert arrivals == drawn(4000, 5.0, 300, 100, spread=0.7, seed=1)


def test_a_wave_is_low_first_and_high_in_its_middle() -> None:
    arrivals = drawn(3000, 10.0, 10, 10, wave=0.8, period_s=300, seed=2)
    low = sum(one.at % 300 < 50 or one.at % 300 > 250 for one in arrivals)
    high = sum(100 < one.at % 300 < 200 for one in arrivals)
    # over these parts cos has the means ±0.827: rates of 1 ∓ 0.66
    assert high / low == pytest.approx(1.66 / 0.34, rel=0.25)


def test_a_trace_is_what_usage_export_writes() -> None:
    rows = [
        {"at": 105.5, "prompt_tokens": 7, "completion_tokens": 2, "model": "fast"},
        {"at": 100.0, "prompt_tokens": 5, "completion_tokens": 3},
        {"at": 101.0, "prompt_tokens": 5, "completion_tokens": 0},
    ]
    assert read_trace([*map(json.dumps, rows), ""]) == [Arrival(0.0, 5, 3), Arrival(5.5, 7, 2)]


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[1]",
        "nonsense",
        '{"at": 1, "prompt_tokens": -1, "completion_tokens": 1}',
        '{"at": NaN, "prompt_tokens": 1, "completion_tokens": 1}',
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    good = '{"at": 1, "prompt_tokens": 1, "completion_tokens": 1}'
    with pytest.raises(BadTrace, match="line 2"):
        read_trace([good, line])


def test_an_empty_trace_is_refused() -> None:
    with pytest.raises(BadTrace, match="no request"):
        read_trace([])
