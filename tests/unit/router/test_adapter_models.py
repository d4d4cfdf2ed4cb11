"""Adapters that engines hold are models for the router and for callers."""

import pytest

from sluice.contracts.engine import EngineList, EngineStatus
from sluice.contracts.routing import Deployment, Model, Route, RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice_router.adapters.loads import Loads
from sluice_router.domain.adapters import with_adapters
from sluice_router.domain.config import parse
from sluice_router.domain.errors import ModelsFileError
from sluice_router.domain.publication import snapshot

ONE, TWO, LOCAL = "http://e1:8000/v1", "http://e2:8000/v1", "http://127.0.0.1:8000/v1"


def place(name: str, url: str) -> Deployment:
    return Deployment(id=name, base_url=url, upstream_model="base", provider="vllm", weight=2.0)


def held(url: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, url)


BASE = Model(
    name="base",
    context_tokens=512,
    policy="guarded",
    fallbacks=("other",),
    deployments=(place("a", ONE), place("b", TWO)),
)
SNAPSHOT = RoutingSnapshot(
    version=1, published_at=0.0, models=(BASE,), routes=(Route(name="auto", candidates=("base",)),)
)


def test_an_adapter_is_a_model_on_the_engines_that_hold_it() -> None:
    found = with_adapters(SNAPSHOT, {ONE: held(ONE, "tuned", "auto", "base"), TWO: held(TWO, "tuned", "second")})
    assert [model.name for model in found.models] == ["base", "second", "tuned"]
    second, tuned = found.models[1:]
    assert [(one.id, one.upstream_model, one.base_url) for one in tuned.deployments] == [
        ("a/tuned", "tuned", ONE),
        ("b/tuned", "tuned", TWO),
    ]
    assert [one.id for one in second.deployments] == ["b/second"]
    assert (tuned.context_tokens, tuned.policy, tuned.fallbacks) == (512, "guarded", ())
    assert with_adapters(SNAPSHOT, {}) is SNAPSHOT


def test_a_deployment_that_names_an_adapter_is_up_while_its_engine_holds_it() -> None:
    def tuned(url: str) -> Deployment:
        return place(f"t-{url}", url).model_copy(update={"upstream_model": "tuned", "adapter": "tuned", "health": "up"})

    careful = BASE.model_copy(
        update={"name": "careful", "policy": "strict", "deployments": (tuned(ONE), tuned("http://elsewhere/v1"))}
    )
    declared = SNAPSHOT.model_copy(update={"models": (careful, BASE)})

    def seen(*names: str) -> tuple[list[str], list[str], str | None]:
        found = with_adapters(declared, {ONE: held(ONE, *names)})
        first, other = found.models[0].deployments
        return [model.name for model in found.models], [first.health, other.health], first.health_reason

    assert seen("tuned", "more") == (["careful", "base", "more"], ["up", "up"], None), (
        "not by its own name, past the policy"
    )
    assert seen("more") == (["careful", "base", "more"], ["down", "up"], "its engine does not hold the adapter 'tuned'")
    assert (
        next(one for one in with_adapters(declared, {ONE: held(ONE, "more")}).models if one.name == "more").policy
        == "guarded"
    )


def test_an_adapter_with_an_engine_of_its_own_is_asked_there() -> None:
    own = "http://e1:8001/v1"
    declared = BASE.model_copy(
        update={
            "name": "careful",
            "deployments": (place("t", ONE).model_copy(update={"adapter": "declared", "upstream_model": "declared"}),),
        }
    )
    found = with_adapters(
        SNAPSHOT.model_copy(update={"models": (declared, BASE)}), {ONE: {"declared": own, "tuned": own}}
    )
    assert [(model.name, model.deployments[0].base_url) for model in found.models] == [
        ("careful", own),
        ("base", ONE),
        ("tuned", own),
    ]


def test_models_yaml_names_the_adapter_instead_of_the_model_over_there() -> None:
    def file(**deployment: object) -> object:
        return {"models": [{"name": "careful", "deployments": [{"base_url": ONE, "provider": "vllm", **deployment}]}]}

    config = parse(file(adapter="tuned"), "f")
    published = snapshot(config, {}, version=1, now=0.0, catalogue=lambda _, __: None).models[0].deployments[0]
    assert (published.upstream_model, published.adapter) == ("tuned", "tuned")
    with pytest.raises(ModelsFileError, match="leave upstream_model out"):
        parse(file(adapter="tuned", upstream_model="other"), "f")


class Inference:
    """The inference service as its client sees it."""

    def __init__(self) -> None:
        self.held: tuple[str, ...] | None = None
        self.urls: dict[str, str] = {}
        self.away = False

    async def engines(self, *, tenant: str = "default", timeout_s: float | None = None) -> EngineList:
        if self.away:
            raise DependencyUnavailable("away")
        engine = EngineStatus(
            id="e", backend="vllm", state="ready", base_url=LOCAL, public_url=ONE + "/", model="base", adapters=self.held,
            adapter_urls=self.urls, slots_busy=1,
        )  # fmt: skip
        return EngineList(data=(engine,))


async def test_changes_are_told_once_and_survive_an_inference_service_that_is_away() -> None:
    inference, told = Inference(), []
    held: dict[str, dict[str, str]] = {}

    async def changed() -> None:
        told.append(dict(held))

    loads = Loads(inference, lambda: SNAPSHOT, 1.0, held, changed)  # type: ignore[arg-type]
    await loads.round()
    assert (loads.now()["a"].running, held) == (1, {}), "it is known by its public address"
    inference.held = ()
    assert await loads.round() is True, "one that takes them is asked every second"
    inference.held = ("tuned",)
    await loads.round()
    await loads.round()
    inference.urls = {"tuned": TWO}
    await loads.round()
    inference.away = True
    await loads.round()
    assert told == [{ONE: {}}, {ONE: {"tuned": ONE}}, {ONE: {"tuned": TWO}}]
    assert held == {ONE: {"tuned": TWO}}
