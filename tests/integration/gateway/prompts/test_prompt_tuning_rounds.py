"""A split that tunes itself: a worker's rounds over a real database, and what is shown of them."""

import time

import pytest
from tests.integration.gateway.control_plane import Gateway
from tests.integration.gateway.prompts.calls import GREET, ask, key, usage

from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import FakeClock
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.prompt_split_store import PromptSplitStore
from sluice_gateway.prompt_tuning import PromptTuner

pytestmark = pytest.mark.integration


def tuned(objective: str) -> dict[str, object]:
    shares = [{"version": 1, "weight": 50}, {"version": 2, "weight": 50}]
    return {"shares": shares, "tune": {"objective": objective, "min_samples": 30, "every_s": 60}}


async def test_weights_follow_what_answers_cost_until_one_version_is_left(gateway: Gateway) -> None:
    own, now = await key(gateway), time.time()
    clock, registry = FakeClock(now), MetricRegistry()
    tuner = PromptTuner(gateway.deps.prompt_splits, gateway.deps.prompt_judge, clock, registry, every_s=60)

    async def spend(round_: int, **costs: float) -> None:
        rows = [
            usage(
                f"req_{round_}_{name}_{number}",
                int(name[1:]),
                at=now + 30,  # after the split is made, however slow the machine
                deployment="mock-1",
                cost_usd=cost * (1 + number % 5),
                duration_ms=5.0,
            )
            for name, cost in costs.items()
            for number in range(40)
        ]
        cached = [usage(f"hit_{round_}", 2, at=now + 30, cost_usd=0.0, duration_ms=1.0)]
        await gateway.deps.usage.insert(UsageRows.of([*rows, *cached]))

    await ask(gateway, own, "POST", "", 201, GREET)
    await ask(gateway, own, "POST", "/greet/versions", 201, {"sections": {"task": "Hi"}})
    made = await ask(gateway, own, "PUT", "/greet/split", 200, tuned("cost"))
    assert made["tune"]["confidence"] == 0.95
    await spend(1, v1=0.0012, v2=0.001)
    await tuner.look()
    assert (await ask(gateway, own, "GET", "/greet/split", 200))["shares"] == made["shares"], "not due yet"
    clock.advance(120)  # the split was made later than `now`, and nobody knows how much
    stale = await PromptSplitStore.tuned(gateway.deps.prompt_splits)
    await tuner.look()
    moved = await ask(gateway, own, "GET", "/greet/split", 200)
    assert [share["weight"] for share in moved["shares"]] == [40, 60]
    assert moved["began_at"] == made["began_at"]
    assert [one["outcomes"] for one in (await seen(gateway, own, clock))] == [40, 40]
    verdict = await gateway.deps.prompt_judge.verdict("acme", stale[0].state, clock.now())
    assert verdict is not None
    assert not await gateway.deps.prompt_splits.follow(stale[0], verdict, clock.now()), "changed meanwhile"
    await spend(2, v1=0.01, v2=0.001)
    await tuner.look()
    assert (await ask(gateway, own, "GET", "/greet", 200))["split"] is not None, "not due again"
    clock.advance(61)
    await tuner.look()
    ended = await ask(gateway, own, "GET", "/greet", 200)
    assert (ended["split"], ended["default_version"]) == (None, 2)
    changes = (await ask(gateway, own, "GET", "/greet/split/changes", 200))["data"]
    assert [(row["action"], row["by"]) for row in changes[:2]] == [("promoted", "tuning"), ("tuned", "tuning")]
    assert changes[0]["why"] == "Version 2 is the only one left at 95.0% confidence."
    assert changes[0]["evidence"][0]["dropped"] == "It is worse than version 2."
    assert changes[1]["evidence"][1]["mean"] == pytest.approx(0.003)
    text = registry.render()[0].decode()
    assert 'sluice_gateway_prompt_tuning_total{outcome="tune"} 1.0' in text
    assert 'sluice_gateway_prompt_tuning_total{outcome="promote"} 1.0' in text


async def seen(gateway: Gateway, own: dict[str, str], clock: FakeClock) -> list[dict[str, object]]:
    state = await gateway.deps.prompt_splits.get("acme", "greet")
    shown = await gateway.deps.prompt_judge.shown("acme", state, clock.now())
    assert shown.tuning is not None
    return [one.model_dump() for one in shown.tuning.versions]


async def test_a_split_that_follows_feedback_says_when_there_is_none_to_ask(gateway: Gateway) -> None:
    own = await key(gateway)
    await ask(gateway, own, "POST", "", 201, GREET)
    await ask(gateway, own, "POST", "/greet/versions", 201, {"sections": {"task": "Hi"}})
    await ask(gateway, own, "PUT", "/greet/split", 200, tuned("feedback"))
    shown = await ask(gateway, own, "GET", "/greet/split", 200)
    assert shown["tuning"]["why"].startswith("Nothing is known of the outcomes: The feedback service")
    wrong = tuned("validity") | {"shares": [{"version": 1, "weight": 0}, {"version": 2, "weight": 1}]}
    refused = await ask(gateway, own, "PUT", "/greet/split", 400, wrong)
    assert "more than 0" in refused["error"]["message"]
