"""What speaks for and against a deployment; splits."""

from collections import Counter
from typing import Any

import pytest

from sluice.contracts.routing import Deployment, Model, Price, Route, RouteRequest, RoutingSnapshot, Share
from sluice_router.domain.choice import Choice, Load, decide
from sluice_router.domain.errors import NothingSuits


def _model(name: str, health: str = "up", region: str | None = None, **fields: Any) -> Model:
    place = Deployment(id=f"{name}-1", base_url="http://a/v1", upstream_model="m", health=health, region=region)
    return Model(name=name, deployments=(place,), **fields)


def _auto(*models: Model, fallbacks: tuple[Model, ...] = (), **route: Any) -> RoutingSnapshot:
    names = {"candidates": tuple(m.name for m in models), "fallbacks": tuple(m.name for m in fallbacks)}
    made = Route(name="auto", **(names | route))
    return RoutingSnapshot(version=1, published_at=0, models=(*models, *fallbacks), routes=(made,))


def _ask(snapshot: RoutingSnapshot, loads: dict[str, Load] | None = None, **request: Any) -> Choice:
    return decide(snapshot, RouteRequest(model="auto", explain=True, **request), loads or {})


@pytest.mark.parametrize(
    ("needs", "signal", "said"),
    [
        ({"modalities": ("image",)}, "modality", "it does not take image"),
        ({"capabilities": ("tools", "logprobs")}, "capability", "it has no tools, logprobs"),
        ({"regions": ("eu",)}, "residency", "it is in us, allowed is eu"),
    ],
)
def test_what_a_model_may_not_or_cannot_take_goes_elsewhere_even_when_that_is_down(
    needs: dict[str, Any], signal: str, said: str
) -> None:
    plain = _model("plain", region="us", input_modalities=("text",), capabilities=("json_schema",), fallbacks=("odd",))
    odd = _model("odd", region="us", input_modalities=("text",), capabilities=())
    able = _model("able", "down", region="eu", input_modalities=("text", "image"), capabilities=("tools", "logprobs"))
    found = _ask(_auto(plain, fallbacks=(able, odd)), **needs)
    assert (found.decision.model, found.outcome, found.decision.fallbacks) == ("able", "last_resort", ())
    assert found.against == (signal, signal)
    refused = (found.decision.candidates or ())[0]
    assert (refused.model, refused.chosen, refused.reason) == ("plain", False, said)
    assert {value.signal: value.against for value in refused.signals}[signal]
    assert [value.signal for value in refused.signals] == [
        *("residency", "modality", "capability", "health", "context", "load", "cost", "latency")
    ]
    with pytest.raises(NothingSuits, match=f"plain: {said}"):
        _ask(_auto(plain), **needs)


def test_a_model_that_says_nothing_of_itself_is_asked_for_anything_but_not_without_a_region() -> None:
    silent = _auto(_model("silent"))
    assert _ask(silent, modalities=("image",), capabilities=("tools",)).decision.model == "silent"
    with pytest.raises(NothingSuits, match="it does not say where it is, allowed is eu"):
        _ask(silent, regions=("eu",))
    with pytest.raises(NothingSuits, match="allowed is none"):
        _ask(silent, regions=())


def test_the_cheapest_is_taken_until_its_places_are_full() -> None:
    dear = _model("dear", price=Price(input=10, output=30))
    cheap = _model("cheap", price=Price(input=1, output=2))
    snapshot = _auto(dear, cheap, prefer="cheapest")
    found = _ask(snapshot, {"cheap-1": Load(5)}, prompt_tokens=1000).decision
    assert (found.model, found.reason) == ("cheap", "cheapest of 2 (about $0.002000, load 0.08)")
    assert (found.candidates or ())[0].reason == "it costs more (about $0.025000)"
    assert _ask(snapshot, {"cheap-1": Load(64)}).decision.model == "dear"
    assert _ask(_auto(dear, cheap)).decision.model == "dear", "without the wish, equal loads fall to the order"


def test_a_split_keeps_its_callers_and_passes_over_what_is_down() -> None:
    shares = (Share(model="old", weight=9), Share(model="new", weight=1))
    snapshot = _auto(_model("old"), _model("new"), split=shares)
    subjects = [f"s{number}" for number in range(400)]
    first = {name: _ask(snapshot, subject=name).decision.model for name in subjects}
    assert first == {name: _ask(snapshot, {"old-1": Load(9)}, subject=name).decision.model for name in subjects}
    assert 15 <= Counter(first.values())["new"] <= 70
    mine = next(name for name, model in first.items() if model == "new")
    broken = _auto(_model("old"), _model("new", "down"), split=shares)
    found = _ask(broken, subject=mine)
    assert (found.decision.model, found.assigned, found.outcome) == ("old", "new", "fallback")
    assert _ask(snapshot, subject=mine).decision.reason == "split: new is assigned to this caller"
    assert _ask(snapshot, subject=mine).decision.fallbacks == ("old",)
