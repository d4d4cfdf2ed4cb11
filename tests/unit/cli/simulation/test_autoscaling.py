"""The autoscaler's arithmetic by hand, and traces whose outcome can be told beforehand."""

import xml.etree.ElementTree as ET

import pytest

from sluice_cli.simulation.autoscaling import Policy, Replica, Slo, desired, replay
from sluice_cli.simulation.chart import stacked_charts
from sluice_cli.simulation.workload import Arrival, drawn

# two requests at once; a prompt of 100 tokens takes 1 s; a step takes 0.1 s whatever its batch
REPLICA = Replica(slots=2, kv_tokens=1000, prefill_tokens_per_s=100.0, step_base_s=0.1, step_each_s=0.0)
SLO = Slo(ttft_s=2.0, tpot_s=0.2)
NONE = {"requests": 0.0, "queue": 0.0, "kv": 0.0, "ttft": 0.0}


def _policy(*targets: tuple[str, float], **bounds: float) -> Policy:
    return Policy(targets, **{"least": 1, "most": 10, "cold_start_s": 30.0, **bounds})  # type: ignore[arg-type]


def test_sums_are_divided_by_their_target() -> None:
    policy = _policy(("queue", 4.0))
    assert desired(policy, 2, 2, {**NONE, "queue": 20.0}) == 5
    assert desired(policy, 2, 2, {**NONE, "queue": 21.0}) == 6
    assert desired(policy, 2, 2, NONE) == 1


def test_means_scale_the_ready_replicas_and_not_those_that_start() -> None:
    policy = _policy(("kv", 0.8))
    assert desired(policy, 4, 4, {**NONE, "kv": 1.0}) == 5
    assert desired(policy, 8, 4, {**NONE, "kv": 1.0}) == 5
    assert desired(_policy(("ttft", 2.0)), 3, 3, {**NONE, "ttft": 5.0}) == 8


def test_within_a_tenth_of_the_target_nothing_changes() -> None:
    policy = _policy(("kv", 0.8))
    assert desired(policy, 4, 4, {**NONE, "kv": 0.87}) == 4
    assert desired(policy, 4, 4, {**NONE, "kv": 0.73}) == 4
    assert desired(policy, 4, 4, {**NONE, "kv": 0.7}) == 4  # the ceiling of 3.5
    assert desired(policy, 4, 4, {**NONE, "kv": 0.6}) == 3


def test_the_largest_wish_wins_within_the_bounds() -> None:
    policy = _policy(("queue", 4.0), ("kv", 0.8))
    assert desired(policy, 2, 2, {**NONE, "queue": 12.0, "kv": 0.9}) == 3
    assert desired(policy, 2, 2, {**NONE, "queue": 400.0}) == 10
    assert desired(_policy(least=2), 3, 3, NONE) == 3


def test_one_request_by_hand() -> None:
    found = replay([Arrival(0.0, 100, 11)], REPLICA, _policy(), SLO)
    # its prompt takes 1 s, then ten more tokens 0.1 s each
    assert (found.ttft_p50, found.tpot_p95, found.attained) == (pytest.approx(1.0), pytest.approx(0.1), 1.0)
    assert found.replica_seconds == pytest.approx(2.0, abs=0.51)
    assert (found.most_replicas, found.changes) == (1, 0)


def test_prompts_are_read_one_after_the_other_and_slots_are_kept_to() -> None:
    found = replay([Arrival(0.0, 100, 11)] * 3, REPLICA, _policy(), SLO)
    # first tokens after 1 and 2 s; the third waits for the first one's end at 2 s, seen at the next tick
    assert found.ttft_p50 == pytest.approx(2.0)
    assert found.ttft_p99 == pytest.approx(3.0, abs=0.51)


def test_what_finds_no_room_in_the_cache_waits() -> None:
    big = [Arrival(0.0, 500, 100), Arrival(0.0, 500, 100)]
    found = replay(big, REPLICA, _policy(), SLO)
    # 5 s of prompt and 99 steps before the second begins
    assert found.ttft_p99 == pytest.approx(5 + 9.9 + 5, abs=0.51)


def test_new_replicas_serve_after_their_cold_start() -> None:
    arrivals = [Arrival(at * 1.0, 100, 11) for at in range(120)] + [Arrival(at * 1.0, 100, 11) for at in range(120)]
    arrivals.sort()
    slow = replay(arrivals, REPLICA, _policy(("queue", 2.0), cold_start_s=60.0), SLO)
    fast = replay(arrivals, REPLICA, _policy(("queue", 2.0), cold_start_s=5.0), SLO)
    fixed = replay(arrivals, REPLICA, _policy(), SLO)
    assert fixed.attained < slow.attained < fast.attained
    assert fast.ttft_p95 < slow.ttft_p95 < fixed.ttft_p95
    first = next(point for point in slow.timeline if point.replicas > 1)
    served = next(point for point in slow.timeline if point.serving > 1)
    assert served.at - first.at >= 45.0  # decisions are 15 s apart


def test_the_largest_count_is_kept_for_the_window() -> None:
    burst = [Arrival(0.0, 100, 11)] * 30 + [Arrival(at * 10.0, 100, 11) for at in range(1, 60)]
    kept = replay(burst, REPLICA, _policy(("queue", 4.0), cold_start_s=1.0, down_window_s=300.0), SLO)
    quick = replay(burst, REPLICA, _policy(("queue", 4.0), cold_start_s=1.0, down_window_s=0.0), SLO)
    assert kept.replica_seconds > quick.replica_seconds
    top = max(point.replicas for point in kept.timeline)
    assert [point.replicas for point in kept.timeline if 60 <= point.at <= 240] == [top] * 13


def test_every_request_is_served_whatever_the_policy() -> None:
    arrivals = drawn(200, 1.0, 80, 10, spread=0.5, wave=0.9, period_s=100, seed=4)
    for targets in ((("requests", 2.0),), (("queue", 1.0),), (("kv", 0.3),), (("ttft", 1.5),)):
        found = replay(arrivals, REPLICA, _policy(*targets, cold_start_s=10.0, down_window_s=20.0), SLO)
        assert found.requests == 200
        assert all(1 <= point.replicas <= 10 for point in found.timeline)


@pytest.mark.parametrize(
    ("arrivals", "policy", "said"),
    [
        ([], _policy(), "no request"),
        ([Arrival(0.0, 900, 200)], _policy(), "does not fit into a KV cache of 1000"),
        ([Arrival(0.0, 1, 1)], _policy(least=3, most=2), "least count"),
        ([Arrival(0.0, 1, 1)], _policy(("kv", 0.0)), "above 0"),
    ],
)
def test_what_cannot_be_replayed_is_refused(arrivals: list[Arrival], policy: Policy, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replay(arrivals, REPLICA, policy, SLO)


def test_the_chart_is_svg_with_a_line_for_each_series() -> None:
    chart = stacked_charts("a <title>", {"up": {"one": [(0, 1), (10, 2)], "two": [(0, 0)]}, "down": {"one": []}})
    root = ET.fromstring(chart)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "a <title>" in texts
    assert sum("stroke" in element.attrib and element.get("stroke") != "black" for element in root.iter()) == 2
