"""The choice of model and deployment."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.routing import Alias, Deployment, Model, Route, RouteDecision, RouteRequest, RoutingSnapshot
from sluice_router.domain.choice import Load
from sluice_router.domain.choice import decide as choose
from sluice_router.domain.errors import ModelNotFound, NoDeployment


def decide(snapshot: RoutingSnapshot, request: RouteRequest, loads: Mapping[str, Load]) -> RouteDecision:
    return choose(snapshot, request, loads).decision


def _deployment(name: str, health: str = "up", weight: float = 1.0) -> Deployment:
    return Deployment(id=name, base_url=f"http://{name}/v1", upstream_model="m", health=health, weight=weight)


def _snapshot(*models: Model, routes: tuple[Route, ...] = ()) -> RoutingSnapshot:
    return RoutingSnapshot(version=7, published_at=0, models=models, routes=routes)


def _model(name: str, *deployments: Deployment, context: int = 1000, fallbacks: tuple[str, ...] = ()) -> Model:
    return Model(name=name, context_tokens=context, deployments=deployments, fallbacks=fallbacks, policy=f"p-{name}")


def test_the_least_loaded_by_slots_and_weight_wins() -> None:
    snapshot = _snapshot(_model("m", _deployment("a"), _deployment("b"), _deployment("c", weight=2.0)))
    loads = {"a": Load(3, 0, 4), "b": Load(2, 2, 4), "c": Load(5, 0, 4)}
    assert decide(snapshot, RouteRequest(model="m"), loads).instance == "c"
    assert decide(snapshot, RouteRequest(model="m"), {**loads, "c": Load(8, 0, 4)}).instance == "a"


def test_an_alias_is_decided_like_what_it_stands_for() -> None:
    route = Route(name="auto", candidates=("m",))
    aliases = (Alias(name="gpt-4o", model="m"), Alias(name="best", model="auto"))
    snapshot = _snapshot(_model("m", _deployment("a")), routes=(route,)).model_copy(update={"aliases": aliases})
    assert decide(snapshot, RouteRequest(model="gpt-4o"), {}).model == "m"
    assert decide(snapshot, RouteRequest(model="best"), {}).route == "auto"


def test_equal_loads_fall_to_the_order_of_the_file() -> None:
    snapshot = _snapshot(_model("m", _deployment("a"), _deployment("b")))
    found = decide(snapshot, RouteRequest(model="m", explain=True), {"b": Load(1, 0, 4)})
    assert (found.instance, found.candidates[1].reason) == ("a", "its load of 0.25 is not lower than 0.00")
    found = decide(snapshot, RouteRequest(model="m", explain=True), {})
    assert (found.instance, found.candidates[1].reason) == ("a", "as loaded (0.00), and named later")


def test_a_route_pools_its_candidates_and_names_what_to_try_next() -> None:
    snapshot = _snapshot(
        _model("small", _deployment("s"), fallbacks=("spare",)),
        _model("large", _deployment("l")),
        _model("spare", _deployment("x")),
        _model("last", _deployment("y")),
        routes=(Route(name="auto", candidates=("small", "large"), fallbacks=("last",), policy="guarded"),),
    )
    found = decide(snapshot, RouteRequest(model="auto", explain=True), {"s": Load(5), "l": Load(1)})
    assert (found.model, found.instance, found.route, found.policy) == ("large", "l", "auto", "guarded")
    assert found.fallbacks == ("small", "last")
    assert [(c.deployment, c.chosen) for c in found.candidates or ()] == [("s", False), ("l", True), ("y", False)]
    assert decide(snapshot, RouteRequest(model="auto"), {}).fallbacks == ("large", "last", "spare")


def test_down_deployments_are_passed_over_then_fallbacks_then_the_last_resort() -> None:
    models = [_model("m", _deployment("a", "down"), _deployment("b"), fallbacks=("f",)), _model("f", _deployment("c"))]
    assert decide(_snapshot(*models), RouteRequest(model="m"), {"b": Load(50)}).instance == "b"
    models[0] = _model("m", _deployment("a", "down"), _deployment("b", "down"), fallbacks=("f",))
    found = decide(_snapshot(*models), RouteRequest(model="m"), {})
    assert (found.model, found.reason.split(":")[0]) == ("f", "fallback")
    models[1] = _model("f", _deployment("c", "down"))
    found = decide(_snapshot(*models), RouteRequest(model="m"), {})
    assert (found.instance, found.reason.split(":")[0]) == ("a", "last resort")


def test_a_prompt_goes_where_it_fits_or_to_the_longest_healthy_context() -> None:
    route = Route(name="auto", candidates=("short", "long"))
    short, long = _model("short", _deployment("a"), context=100), _model("long", _deployment("b"), context=10_000)
    snapshot = _snapshot(short, long, routes=(route,))
    assert decide(snapshot, RouteRequest(model="auto", prompt_tokens=500), {"b": Load(99)}).instance == "b"
    found = choose(snapshot, RouteRequest(model="auto", prompt_tokens=10_000), {})
    assert (found.decision.instance, found.outcome) == ("b", "largest_context")
    assert "about 10000 tokens" in found.decision.reason
    down = _model("long", _deployment("b", "down"), context=10_000)
    found = choose(_snapshot(short, down, routes=(route,)), RouteRequest(model="auto", prompt_tokens=500), {})
    assert (found.decision.instance, found.outcome) == ("a", "largest_context")


def test_an_unknown_name_is_refused_without_echoing_a_book() -> None:
    with pytest.raises(ModelNotFound, match="no model or route named 'x'"):
        decide(_snapshot(_model("m", _deployment("a"))), RouteRequest(model="x"), {})


def test_without_slots_the_load_is_a_share_of_what_may_be_in_flight() -> None:
    engine = _deployment("engine")
    provider = Deployment(id="provider", base_url="http://p/v1", upstream_model="m", health="up", max_in_flight=100)
    snapshot = _snapshot(_model("m", engine, provider))
    loads = {"engine": Load(1, 0, 2), "provider": Load(30)}
    assert decide(snapshot, RouteRequest(model="m"), loads).instance == "provider"
    assert decide(snapshot, RouteRequest(model="m"), {**loads, "provider": Load(60)}).instance == "engine"


def test_a_probed_deployment_comes_before_one_that_was_not_probed_yet() -> None:
    snapshot = _snapshot(_model("m", _deployment("new", "unknown"), _deployment("old")))
    found = decide(snapshot, RouteRequest(model="m", explain=True), {"old": Load(9)})
    assert found.instance == "old"
    assert found.candidates
    assert found.candidates[0].reason == "it was not probed yet"


def test_a_route_may_refuse_when_all_is_down() -> None:
    models = (_model("m", _deployment("a", "down")), _model("f", _deployment("b", "down")))
    route = Route(name="auto", candidates=("m",), fallbacks=("f",), when_all_down="refuse")
    with pytest.raises(NoDeployment, match=r"'auto' is healthy \(models: m, f\)") as refused:
        decide(_snapshot(*models, routes=(route,)), RouteRequest(model="auto"), {})
    assert refused.value.headers == {"Retry-After": "5"}


def test_what_can_answer_now_is_tried_next_before_what_is_down() -> None:
    snapshot = _snapshot(
        *(_model(name, _deployment(name, health)) for name, health in (("a", "down"), ("b", "up"), ("c", "up"))),
        _model("d", _deployment("d", "up")),
        routes=(Route(name="auto", candidates=("a", "b", "c"), fallbacks=("d",)),),
    )
    found = decide(snapshot, RouteRequest(model="auto"), {"b": Load(1)})
    assert (found.model, found.fallbacks) == ("c", ("b", "d", "a"))


_NAMES = ("a", "b", "c", "d")
_models = st.fixed_dictionaries(
    {
        name: st.tuples(
            st.lists(st.tuples(st.sampled_from(["up", "down", "unknown"]), st.integers(0, 9)), min_size=1, max_size=3),
            st.integers(1, 50),
        )
        for name in _NAMES
    }
)


@given(models=_models, candidates=st.lists(st.sampled_from(_NAMES), min_size=1, unique=True), tokens=st.integers(0, 60))
def test_whatever_the_state_the_answer_is_a_deployment_of_the_route_and_the_reason_is_true(
    models: dict[str, tuple[list[tuple[str, int]], int]], candidates: list[str], tokens: int
) -> None:
    fallbacks = tuple(name for name in _NAMES if name not in candidates)
    loads = {f"{name}-{n}": Load(load) for name, (places, _) in models.items() for n, (_, load) in enumerate(places)}
    snapshot = _snapshot(
        *(
            _model(name, *(_deployment(f"{name}-{n}", health) for n, (health, _) in enumerate(places)), context=context)
            for name, (places, context) in models.items()
        ),
        routes=(Route(name="auto", candidates=tuple(candidates), fallbacks=fallbacks),),
    )
    found, outcome, *_ = choose(snapshot, RouteRequest(model="auto", prompt_tokens=tokens, explain=True), loads)
    by_id = {d.id: (model, d) for model in snapshot.models for d in model.deployments}
    model, deployment = by_id[found.instance]
    assert model.name == found.model
    assert sum(candidate.chosen for candidate in found.candidates or ()) == 1
    assert len(found.candidates or ()) == len(by_id)
    assert found.model not in found.fallbacks
    assert {found.model, *found.fallbacks} == set(_NAMES)
    can = {m.name for m, d in by_id.values() if d.health != "down" and tokens < m.context_tokens}
    expected = "candidate" if can & set(candidates) else "fallback" if can else None
    if expected:
        assert outcome == expected
        assert found.model in can
    elif any(d.health != "down" for _, d in by_id.values()):
        assert (outcome, deployment.health != "down") == ("largest_context", True)
    else:
        assert outcome == "last_resort"


@given(
    healths=st.lists(st.sampled_from(["up", "down", "unknown"]), min_size=1, max_size=6),
    running=st.lists(st.integers(0, 20), min_size=6, max_size=6),
)
def test_a_healthy_deployment_is_always_preferred(healths: list[str], running: list[int]) -> None:
    snapshot = _snapshot(_model("m", *(_deployment(str(n), health) for n, health in enumerate(healths))))
    loads = {str(n): Load(count) for n, count in enumerate(running)}
    chosen = int(decide(snapshot, RouteRequest(model="m"), loads).instance)
    up = [n for n, health in enumerate(healths) if health == "up"]
    usable = up or [n for n, health in enumerate(healths) if health == "unknown"]
    if usable:
        assert chosen in usable
        assert running[chosen] == min(running[n] for n in usable)
    else:
        assert chosen == 0
