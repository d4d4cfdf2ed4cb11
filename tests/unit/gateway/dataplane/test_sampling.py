"""Presets and limits of sampling: what a request leaves open is filled in, what is outside is refused."""

from typing import Any

import pytest

from sluice.contracts.routing import Policy
from sluice.contracts.sampling import SamplingPolicy
from sluice_gateway.dataplane.body import parse
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.plan import stricter
from sluice_gateway.dataplane.sampling import PRESETS, sampled
from sluice_gateway.domain.sampling import tighter


@pytest.mark.parametrize("preset", ["greedy", "factual", "creative"])
def test_a_preset_fills_in_what_the_request_leaves_open(preset: Any) -> None:
    assert sampled({}, SamplingPolicy(preset=preset), None) == PRESETS[preset]
    assert sampled({}, None, preset) == PRESETS[preset]
    assert sampled({"temperature": 0.5}, None, preset)["temperature"] == 0.5


def test_presets_are_in_the_order_of_their_names() -> None:
    assert PRESETS["greedy"]["temperature"] == 0
    assert PRESETS["factual"]["temperature"] < PRESETS["creative"]["temperature"]
    assert 0.7 <= PRESETS["factual"]["top_p"] < PRESETS["creative"]["top_p"] <= 0.95


def test_the_callers_preset_goes_before_the_policys_and_stays_in_its_limits() -> None:
    policy = SamplingPolicy(preset="creative", max_temperature=0.7, min_temperature=0.1)
    assert sampled({}, policy, None)["temperature"] == 0.7
    assert sampled({}, policy, "greedy")["temperature"] == 0.1


def test_where_a_provider_takes_only_one_of_both_it_gets_the_temperature() -> None:
    assert sampled({}, None, "factual", alone=True) == {"temperature": PRESETS["factual"]["temperature"]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": 0.05}, "temperature"),
        ({"top_p": 0.99}, "top_p"),
        ({"top_k": 200}, "top_k"),
        ({"top_k": 0}, "top_k"),
        ({"max_tokens": 501}, "max_tokens"),
        ({"max_completion_tokens": 501}, "max_completion_tokens"),
    ],
)
def test_what_is_outside_of_the_limits_is_refused(fields: dict[str, Any], param: str) -> None:
    limits = SamplingPolicy(min_temperature=0.1, max_temperature=1.0, max_top_p=0.95, max_top_k=100, max_tokens=500)
    with pytest.raises(InvalidRequest) as refused:
        sampled(fields, limits, None)
    assert refused.value.param == param
    inside = {"temperature": 1.0, "top_p": 0.95, "top_k": 100, "max_tokens": 500}
    assert sampled(inside, limits, None) == inside
    assert sampled({}, limits, None) == {"max_tokens": 500}


def test_values_of_a_policy_replace_its_presets_and_stay_in_its_limits() -> None:
    policy = SamplingPolicy(preset="factual", temperature=0.9, max_temperature=0.8)
    assert sampled({}, policy, None) == {"temperature": 0.8, "top_p": PRESETS["factual"]["top_p"]}
    assert sampled({"temperature": 0.1}, policy, None)["temperature"] == 0.1
    assert sampled({}, policy, "greedy") == {"temperature": 0.0}
    assert sampled({}, SamplingPolicy(top_p=0.4), None, alone=True) == {"top_p": 0.4}
    assert sampled({"temperature": 1.0}, SamplingPolicy(top_p=0.4), None, alone=True) == {"temperature": 1.0}


def test_of_two_the_first_that_says_something_fills_in_and_the_tighter_limits_count() -> None:
    key = SamplingPolicy(preset="greedy", max_tokens=900)
    team = SamplingPolicy(temperature=0.6, max_temperature=0.5, max_tokens=300)
    assert tighter(key, team) == SamplingPolicy(preset="greedy", max_temperature=0.5, max_tokens=300)
    assert tighter(SamplingPolicy(max_tokens=900), team) == team
    assert tighter(None, team) is team


def test_two_policies_together_leave_what_both_leave() -> None:
    one = Policy(name="a", sampling=SamplingPolicy(preset="factual", max_temperature=1.0, max_top_k=50))
    other = Policy(name="b", sampling=SamplingPolicy(max_temperature=0.8, min_top_p=0.5, max_tokens=100))
    both = stricter(one, other)
    assert both is not None
    assert both.sampling == SamplingPolicy(
        preset="factual", max_temperature=0.8, min_top_p=0.5, max_top_k=50, max_tokens=100
    )


@pytest.mark.parametrize("value", [0.5, "40", -2, True, 10**9])
def test_top_k_is_a_whole_number(value: object) -> None:
    import json

    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "top_k": value}
    with pytest.raises(InvalidRequest, match="top_k"):
        parse(json.dumps(body).encode(), "chat")
