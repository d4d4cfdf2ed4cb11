"""Adapters that engines hold are models for the router and for callers."""

from sluice.contracts.engine import EngineList, EngineStatus
from sluice.contracts.routing import Deployment, Model, Route, RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice_router.adapters.loads import Loads
from sluice_router.domain.adapters import with_adapters

ONE, TWO = "http://e1:8000/v1", "http://e2:8000/v1"


def place(name: str, url: str) -> Deployment:
    return Deployment(id=name, base_url=url, upstream_model="base", provider="vllm", weight=2.0)


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
    found = with_adapters(SNAPSHOT, {ONE: ("tuned", "auto", "base"), TWO: ("tuned", "second")})
    assert [model.name for model in found.models] == ["base", "second", "tuned"]
    second, tuned = found.models[1:]
    assert [(one.id, one.upstream_model, one.base_url) for one in tuned.deployments] == [
        ("a/tuned", "tuned", ONE),
        ("b/tuned", "tuned", TWO),
    ]
    assert [one.id for one in second.deployments] == ["b/second"]
    assert (tuned.context_tokens, tuned.policy, tuned.fallbacks) == (512, "guarded", ())
    assert with_adapters(SNAPSHOT, {}) is SNAPSHOT


class Inference:
    """The inference service as its client sees it."""

    def __init__(self) -> None:
        self.held: tuple[str, ...] | None = None
        self.away = False

    async def engines(self, *, tenant: str = "default", timeout_s: float | None = None) -> EngineList:
        if self.away:
            raise DependencyUnavailable("away")
        engine = EngineStatus(
            id="e", backend="vllm", state="ready", base_url=ONE + "/", model="base", adapters=self.held
        )
        return EngineList(data=(engine,))


async def test_changes_are_told_once_and_survive_an_inference_service_that_is_away() -> None:
    inference, told = Inference(), []
    held: dict[str, tuple[str, ...]] = {}

    async def changed() -> None:
        told.append(dict(held))

    loads = Loads(inference, lambda: SNAPSHOT, 1.0, held, changed)  # type: ignore[arg-type]
    assert await loads.round() is False, "an engine without adapters is asked seldom"
    inference.held = ()
    assert await loads.round() is True, "one that takes them is asked every second"
    inference.held = ("tuned",)
    await loads.round()
    await loads.round()
    inference.away = True
    await loads.round()
    assert told == [{ONE: ()}, {ONE: ("tuned",)}]
    assert held == {ONE: ("tuned",)}
