"""When an engine counts as failed, and how long it is left alone."""

from hypothesis import given
from hypothesis import strategies as st

from sluice_inference.domain import lifecycle
from sluice_inference.domain.lifecycle import Life, RestartPolicy

POLICY = RestartPolicy(first_pause_s=1.0, longest_pause_s=16.0, crash_limit=4, crash_window_s=100.0, probe_limit=3)


def fail(life: Life, now: float, *, lasting: bool = False) -> Life:
    return lifecycle.failed(life, "it crashed", now, POLICY, lasting=lasting)


def test_pauses_double_and_then_it_is_a_crash_loop() -> None:
    life, seen = Life(), []
    for now in (0.0, 10.0, 20.0, 30.0):
        life = fail(life, now)
        assert life.retry_at is not None
        seen.append((life.state, life.retry_at - now))
    assert seen == [("restarting", 1.0), ("restarting", 2.0), ("restarting", 4.0), ("crash_loop", 16.0)]
    assert life.restarts == 4


def test_failures_far_apart_are_no_crash_loop() -> None:
    life = Life()
    for now in (0.0, 101.0, 202.0, 303.0, 404.0, 505.0):
        life = fail(life, now)
        assert (life.state, life.retry_at) == ("restarting", now + 1.0)


def test_a_lasting_cause_is_a_crash_loop_at_once() -> None:
    life = fail(Life(), 5.0, lasting=True)
    assert (life.state, life.retry_at) == ("crash_loop", 21.0)


def test_a_crash_loop_is_over_only_when_it_is_ready() -> None:
    life = lifecycle.started(fail(Life(), 5.0, lasting=True), 21.0)
    assert (life.state, life.reason) == ("crash_loop", "it crashed")
    ready = lifecycle.became_ready(life, 22.0)
    assert (ready.state, ready.reason, ready.ready_at) == ("ready", None, 22.0)


def test_an_operators_restart_forgets_failures_but_not_their_count() -> None:
    life = Life()
    for now in (0.0, 1.0, 2.0, 3.0):
        life = fail(life, now)
    fresh = lifecycle.asked_to_restart(life)
    assert (fresh.state, fresh.failures, fresh.restarts) == ("starting", (), 4)
    assert fail(fresh, 4.0).state == "restarting"


def test_it_is_hung_after_three_missed_probes_in_a_row() -> None:
    life = lifecycle.became_ready(Life(), 0.0)
    for missed in (1, 2):
        life = lifecycle.probe_missed(life, "no answer")
        assert life.missed_probes == missed
        assert not lifecycle.is_hung(life, POLICY)
    answered = lifecycle.probe_answered(life)
    assert (answered.missed_probes, answered.reason, answered.state) == (0, None, "ready")
    assert lifecycle.is_hung(lifecycle.probe_missed(life, "no answer"), POLICY)


@given(st.integers(min_value=0, max_value=10_000))
def test_a_pause_never_leaves_its_bounds(failures: int) -> None:
    pause = lifecycle.pause_after(min(failures, 900), POLICY)
    assert POLICY.first_pause_s <= pause <= POLICY.longest_pause_s


@given(st.lists(st.floats(min_value=0, max_value=50), max_size=60))
def test_memory_of_failures_is_bounded(steps: list[float]) -> None:
    life, now = Life(), 0.0
    for step in steps:
        now += step
        life = fail(life, now)
        assert len(life.failures) <= POLICY.crash_limit
    assert life.restarts == len(steps)
