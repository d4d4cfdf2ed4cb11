"""The choice of model and deployment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.routing import Deployment, Model, Route, RouteRequest, RoutingSnapshot
from sluice_router.domain.choice import Load, decide
from sluice_router.domain.errors import ContextTooLong, ModelNotFound


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


def test_equal_loads_fall_to_the_order_of_the_file() -> None:
    snapshot = _snapshot(_model("m", _deployment("a"), _deployment("b")))
    assert decide(snapshot, RouteRequest(model="m"), {}).instance == "a"


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


def test_a_prompt_goes_where_it_fits_or_is_refused() -> None:
    snapshot = _snapshot(
        _model("short", _deployment("a"), context=100),
        _model("long", _deployment("b"), context=10_000),
        routes=(Route(name="auto", candidates=("short", "long")),),
    )
    assert decide(snapshot, RouteRequest(model="auto", prompt_tokens=500), {"b": Load(99)}).instance == "b"
    with pytest.raises(ContextTooLong, match="10000"):
        decide(snapshot, RouteRequest(model="auto", prompt_tokens=10_000), {})


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelNotFound, match="Known: m"):
        decide(_snapshot(_model("m", _deployment("a"))), RouteRequest(model="x"), {})


@given(
    healths=st.lists(st.sampled_from(["up", "down", "unknown"]), min_size=1, max_size=6),
    running=st.lists(st.integers(0, 20), min_size=6, max_size=6),
)
def test_a_healthy_deployment_is_always_preferred(healths: list[str], running: list[int]) -> None:
    snapshot = _snapshot(_model("m", *(_deployment(str(n), health) for n, health in enumerate(healths))))
    loads = {str(n): Load(count) for n, count in enumerate(running)}
    chosen = int(decide(snapshot, RouteRequest(model="m"), loads).instance)
    usable = [n for n, health in enumerate(healths) if health != "down"]
    if usable:
        assert chosen in usable
        assert running[chosen] == min(running[n] for n in usable)
    else:
        assert chosen == 0
