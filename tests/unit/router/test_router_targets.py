"""What a route's answers should cost and take: who misses a target comes last, and what nobody knows misses none."""

from typing import Any

import pytest

from sluice.contracts.routing import Deployment, Model, Price, Route, RouteRequest, RoutingSnapshot, Rule
from sluice.contracts.targets import Targets
from sluice_router.domain.choice import Choice, Load, decide
from sluice_router.domain.config import parse
from sluice_router.domain.errors import ModelsFileError

SLOW, QUICK = Load(latency_s=3.0), Load(latency_s=0.4)


def snapshot(health: str = "up", **route: Any) -> RoutingSnapshot:
    def model(name: str, dollars: float) -> Model:
        place = Deployment(
            id=name, base_url="http://h/v1", upstream_model=name, health="up" if name == "dear" else health
        )
        return Model(name=name, price=Price(input=dollars, output=dollars), deployments=(place,))

    models = (model("cheap", 1.0), model("middle", 10.0), model("dear", 100.0))
    made = Route(name="auto", **({"candidates": ("cheap", "middle", "dear")} | route))
    return RoutingSnapshot(version=1, published_at=0.0, models=models, routes=(made,))


def choice(routing: RoutingSnapshot, loads: dict[str, Load]) -> Choice:
    return decide(routing, RouteRequest(model="auto", prompt_tokens=500, explain=True), loads)


def why(found: Choice) -> dict[str, str]:
    return {one.deployment: one.reason for one in found.decision.candidates or ()}


def test_what_is_too_slow_comes_after_what_is_not_even_when_it_is_cheaper_and_idle() -> None:
    routing = snapshot(prefer="cheapest", targets=Targets(latency_s=1.0))
    found = choice(routing, {"cheap": SLOW, "middle": Load(running=8, latency_s=0.4), "dear": QUICK})
    assert found.decision.model == "middle"
    assert why(found)["cheap"] == "it is slower than the route's target of 1 s (nine in ten within 3.00 s)"
    assert found.against == ("latency",)
    assert found.decision.fallbacks == ("dear", "cheap"), "what misses a target is tried last"
    values = {one.signal: one.value for one in (found.decision.candidates or ())[1].signals}
    assert values["latency"] == "nine in ten within 0.40 s"


def test_what_costs_too_much_comes_after_what_does_not() -> None:
    found = choice(snapshot(targets=Targets(cost=0.02)), {"cheap": Load(running=9), "middle": Load(running=5)})
    assert found.decision.model == "middle"
    assert why(found)["dear"] == "it costs more than the route's target of $0.02 (about $0.100000)"


def test_targets_reach_over_rules_and_fallbacks_but_never_refuse() -> None:
    both = Targets(cost=0.02, latency_s=1.0)
    ruled = snapshot(targets=both, candidates=("middle",), rules=(Rule(longer_than=1, use=("cheap",)),))
    assert choice(ruled, {"cheap": SLOW}).decision.model == "middle"
    spare = snapshot(targets=both, candidates=("cheap",), fallbacks=("middle",))
    assert (choice(spare, {"cheap": SLOW}).outcome, choice(spare, {"cheap": SLOW}).decision.model) == (
        "fallback",
        "middle",
    )
    assert choice(spare, {"cheap": SLOW}).decision.reason == "targets: no deployment before middle keeps to them"
    nobody = choice(snapshot(targets=both), {"cheap": SLOW, "middle": SLOW})
    assert nobody.decision.model == "cheap"
    assert nobody.decision.reason.endswith("; nothing that can answer keeps to the route's targets")
    only = choice(snapshot("down", targets=both), {})
    assert only.decision.model == "dear", "what is up beats what keeps to the target and is down"


def test_a_latency_that_nobody_knows_misses_no_target() -> None:
    found = choice(snapshot(targets=Targets(latency_s=0.01)), {})
    assert (found.decision.model, found.against) == ("cheap", ())


def test_a_price_that_nobody_knows_misses_no_target() -> None:
    routing = snapshot(targets=Targets(cost=0.02))
    unpriced = routing.models[0].model_copy(update={"price": None})
    found = choice(routing.model_copy(update={"models": (unpriced, *routing.models[1:])}), {"middle": Load(running=5)})
    assert (found.decision.model, found.against) == ("cheap", ("cost",)), "only what is known to be dear is"


def test_a_full_kv_cache_is_load() -> None:
    found = choice(snapshot(), {"cheap": Load(running=1, kv_cache=0.97), "middle": Load(running=6, kv_cache=0.2)})
    assert found.decision.model == "dear"
    assert (
        choice(snapshot(), {"cheap": Load(kv_cache=0.97), "middle": Load(running=6), "dear": Load(60)}).decision.model
        == "middle"
    )


def test_a_model_of_a_rule_is_looked_at_once() -> None:
    found = choice(snapshot(rules=(Rule(longer_than=1, use=("dear",)),)), {})
    assert [one.deployment for one in found.decision.candidates or ()] == ["dear", "cheap", "middle"]


@pytest.mark.parametrize("said", [{}, {"cost": 0}, {"latency_s": -1}, {"ttft": 1}])
def test_targets_that_say_nothing_are_refused(said: dict[str, float]) -> None:
    models = [{"name": "m", "deployments": [{"base_url": "http://h/v1"}]}]
    with pytest.raises(ModelsFileError, match="targets"):
        parse({"models": models, "routes": [{"name": "r", "candidates": ["m"], "targets": said}]}, "f")


def test_what_nobody_knows_the_price_of_says_so_and_misses_no_target() -> None:
    routing = snapshot(targets=Targets(cost=0.000001))
    dear = routing.models[2].model_copy(update={"price": None})
    found = choice(routing.model_copy(update={"models": (*routing.models[:2], dear)}), {})
    values = [{one.signal: one.value for one in each.signals} for each in found.decision.candidates or ()]
    assert values[2]["cost"] == "not known: the model has no price"
    assert found.decision.model == "dear", "what is not known misses no target"
