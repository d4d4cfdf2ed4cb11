"""How the weights of a split follow outcomes, within their bounds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice.contracts.prompts import PromptShare, PromptSplit, PromptSplitState, PromptTuning
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import FakeClock
from sluice_gateway.domain.prompt_tuning import Measured, Seen, TunedSplit, Verdict, judged, of_scores, of_sums
from sluice_gateway.prompt_tuning import PromptJudge, PromptTuner


def split(*weights: float, **tune: Any) -> PromptSplit:
    shares = tuple(PromptShare(version=place + 1, weight=weight) for place, weight in enumerate(weights))
    return PromptSplit(shares=shares, tune=PromptTuning(**{"objective": "feedback", **tune}))


def judge(tuned: PromptSplit, form: dict[int, Seen] | None = None, **seen: Seen) -> Verdict:
    assert tuned.tune is not None
    objective = {int(name.removeprefix("v")): one for name, one in seen.items()}
    return judged(tuned, tuned.tune, Measured(objective, form or {}))


def test_nothing_moves_before_every_version_has_enough_outcomes() -> None:
    found = judge(split(50, 50), v1=of_scores(400, 390), v2=of_scores(99, 1))
    assert (found.does, found.why) == ("wait", "100 outcomes of every version are needed; version 2 has 99.")
    assert found.evidence[1].outcomes == 99
    assert judge(split(50, 50)).does == "wait"
    assert judge(split(50, 50), v1=of_scores(400, 300)).why.endswith("version 2 has 0.")


def test_what_cannot_be_counted_is_said() -> None:
    tuned = split(50, 50)
    assert tuned.tune is not None
    found = judged(tuned, tuned.tune, Measured({}, {}, "The feedback service is off."))
    assert (found.does, found.why) == ("wait", "Nothing is known of the outcomes: The feedback service is off.")


def test_weights_move_towards_the_better_version_one_step_at_a_time() -> None:
    found = judge(split(3, 1), v1=of_scores(150, 105), v2=of_scores(150, 117))
    assert found.does == "tune"
    assert [share.weight for share in found.shares] == [65, 35]
    assert found.evidence[1].best == pytest.approx(0.94, abs=0.02)
    assert "Version 2 is the best with a probability of 9" in found.why
    assert [one.dropped for one in found.evidence] == [None, None]


def test_a_version_that_is_known_to_be_better_is_put_in_use() -> None:
    found = judge(split(50, 50), v1=of_scores(500, 300), v2=of_scores(500, 450))
    assert (found.does, found.winner) == ("promote", 2)
    assert found.evidence[0].dropped == "It is worse than version 2."
    assert found.evidence[0].high is not None
    assert found.evidence[1].low is not None
    assert found.evidence[0].high < found.evidence[1].low
    kept = judge(split(50, 50, promote=False), v1=of_scores(500, 300), v2=of_scores(500, 450))
    assert (kept.does, [share.weight for share in kept.shares]) == ("tune", [40, 60])
    at_the_floor = judge(split(5, 95, promote=False), v1=of_scores(500, 300), v2=of_scores(500, 450))
    assert (at_the_floor.does, at_the_floor.shares) == ("hold", ())


def test_less_is_better_of_cost_and_latency() -> None:
    spent = of_sums(200, 200 * 3.0, 200 * (9.0 + 0.25)), of_sums(200, 200 * 2.0, 200 * (4.0 + 0.25))
    found = judge(split(50, 50, objective="cost"), v1=spent[0], v2=spent[1])
    assert (found.does, found.winner) == ("promote", 2)
    cheap = found.evidence[1]
    assert cheap.mean == 2.0
    assert cheap.low is not None
    assert cheap.high is not None
    assert 1.7 < cheap.low < 2.0 < cheap.high < 2.3


def test_a_cheaper_version_whose_answers_are_wrong_in_form_loses() -> None:
    form = {1: of_scores(500, 499), 2: of_scores(500, 350)}
    spent = {"v1": of_sums(200, 600.0, 1900.0), "v2": of_sums(200, 200.0, 220.0)}
    found = judge(split(50, 50, objective="cost"), form, **spent)
    assert (found.does, found.winner) == ("promote", 1)
    assert found.evidence[1].dropped == "Its answers have the demanded form less often than those of version 1."


def test_equal_costs_without_any_spread_are_no_difference() -> None:
    same = of_sums(300, 300.0, 300.0)
    found = judge(split(50, 50, objective="cost"), v1=same, v2=same)
    assert found.does == "hold"
    assert [one.best for one in found.evidence] == [0.5, 0.5]


@given(
    weights=st.lists(st.floats(1, 100), min_size=2, max_size=5),
    good=st.lists(st.integers(0, 200), min_size=5, max_size=5),
    step=st.floats(0.01, 0.5),
    floor=st.floats(0.01, 0.2),
)
def test_no_step_is_longer_and_no_share_smaller_than_allowed(
    weights: list[float], good: list[int], step: float, floor: float
) -> None:
    tuned = split(*weights, max_step=step, floor=floor, promote=False)
    seen = {f"v{place + 1}": of_scores(200, good[place]) for place in range(len(weights))}
    found = judge(tuned, **seen)
    assert found.does in ("tune", "hold")
    whole = sum(weights)
    for before, after in zip(weights, found.shares, strict=False):
        moved = after.weight / 100 - before / whole
        assert abs(moved) <= step + 1e-4
        assert after.weight / 100 >= min(floor, before / whole) - 1e-4
    if found.shares:
        assert sum(share.weight for share in found.shares) == pytest.approx(100, abs=0.1)


def test_a_split_that_cannot_tune_itself_is_refused() -> None:
    with pytest.raises(ValidationError, match="every weight has to be more than 0"):
        split(0, 1)
    with pytest.raises(ValidationError, match=r"`tune.floor` is at most 0.25 with 4 versions"):
        split(1, 1, 1, 1, floor=0.3)


class Prompts:
    """Splits, and usage that says nothing yet; counts how often it is read."""

    def __init__(self, *splits: TunedSplit) -> None:
        self.splits = splits
        self.read: list[str] = []

    async def tuned(self) -> list[TunedSplit]:
        return list(self.splits)

    async def follow(self, split: TunedSplit, verdict: Verdict, now: float) -> bool:
        raise AssertionError("nothing follows")

    async def outcomes(self, tenant: str, prompt: str, *_: object) -> tuple[dict[int, Seen], dict[int, Seen]]:
        self.read.append(f"{tenant}/{prompt}")
        return {}, {}


async def test_usage_is_counted_no_more_often_than_a_split_can_move() -> None:
    """A split that waits for outcomes, or holds, changes nothing, so its last change says nothing of when it was looked at."""
    state = split(1, 1, objective="cost", every_s=3600).model_dump()
    shared = [
        TunedSplit(tenant, PromptSplitState(**state, prompt="greet", began_at=0), changed_at=0) for tenant in ("a", "b")
    ]
    prompts, clock = Prompts(*shared), FakeClock(10_000.0)
    tuner = PromptTuner(prompts, PromptJudge(prompts, prompts), clock, MetricRegistry(), every_s=60)  # type: ignore[arg-type] # feedback is not asked
    for _ in range(59):
        await tuner.look()
        clock.advance(60)
    assert prompts.read == ["a/greet", "b/greet"]
    clock.advance(60)
    await tuner.look()
    assert prompts.read == ["a/greet", "b/greet"] * 2
