"""Rules, domains and the predicted gain of a stronger model: which models come first, and that the asked share is met."""

import io
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.contracts.routing import Deployment, Model, Price, Quality, Route, RouteRequest, RoutingSnapshot, Rule
from sluice_router.adapters.arrays import packed, unpacked
from sluice_router.domain.choice import decide
from sluice_router.domain.classify.gain import GainExamples, apgr, train_gain
from sluice_router.domain.classify.pace import Pace
from sluice_router.domain.classify.reading import BROKEN, Difficulty, Reading, Signs
from sluice_router.domain.config import parse
from sluice_router.domain.errors import ModelsFileError

GERMAN = Reading("recognised", "de", 0.99)
LAW = Reading("recognised", "law", 0.9)


def snapshot(**route: Any) -> RoutingSnapshot:
    def model(name: str, *domains: str) -> Model:
        place = Deployment(id=name, base_url="http://h/v1", upstream_model=name, health="up")
        return Model(name=name, domains=domains, deployments=(place,))

    models = (model("small"), model("big"), model("lawyer", "law"))
    made = Route(name="auto", candidates=("small", "big", "lawyer"), **route)
    return RoutingSnapshot(version=1, published_at=0.0, models=models, routes=(made,))


def asked(**fields: Any) -> RouteRequest:
    return RouteRequest(model="auto", text="x", explain=True, **fields)


@pytest.mark.parametrize(
    ("rule", "fields", "signs", "why"),
    [
        ({"languages": ("de",)}, {}, Signs(language=GERMAN), "de"),
        ({"domains": ("law",), "languages": ("de", "fr")}, {}, Signs(domain=LAW, language=GERMAN), "law, de"),
        ({"longer_than": 100}, {"prompt_tokens": 101}, Signs(), "more than 100 tokens"),
        ({"modalities": ("image",)}, {"modalities": ("image",)}, Signs(), "image"),
        ({"asks_for": ("table", "code")}, {}, Signs(asks_for="table"), "a question for table"),
    ],
)
def test_a_rule_fits_when_all_its_conditions_hold(
    rule: dict[str, Any], fields: dict[str, Any], signs: Signs, why: str
) -> None:
    routing = snapshot(rules=(Rule(use=("big",), **rule),))
    found = decide(routing, asked(**fields), {}, signs).decision
    assert (found.model, found.reason) == ("big", f"rule: big answers {why}")
    for other in (Signs(), Signs(language=Reading("not_confident", "de", 0.5), domain=BROKEN)):
        assert decide(routing, asked(), {}, other).decision.model == "small", "what was not recognised fits no rule"


def test_a_prompt_is_counted_by_its_language_for_models_that_say_how() -> None:
    routing = snapshot(prefer="cheapest")
    small = routing.models[0].model_copy(
        update={"context_tokens": 1000, "token_scale": {"de": 1.5}, "price": Price(input=1.0)}
    )
    others = [one.model_copy(update={"price": Price(input=1.2)}) for one in routing.models[1:]]
    routing = routing.model_copy(update={"models": (small, *others)})
    english, german = Signs(), Signs(language=GERMAN)
    assert decide(routing, asked(prompt_tokens=700), {}, english).decision.model == "small"
    found = decide(routing, asked(prompt_tokens=700), {}, german).decision
    assert found.model == "big"
    assert found.candidates is not None
    assert found.candidates[0].reason == (
        "its context of 1000 does not hold the prompt of about 1050 tokens (de: 1.5 times the usual)"
    )
    assert decide(routing, asked(prompt_tokens=100), {}, german).decision.model == "big", (
        "150 tokens cost more than 100"
    )
    with pytest.raises(ModelsFileError, match="token_scale"):
        parse(
            {"models": [{"name": "m", "token_scale": {"German": 2}, "deployments": [{"base_url": "http://h/v1"}]}]}, "f"
        )


def test_models_for_the_recognised_domain_come_first() -> None:
    found = decide(snapshot(by_domain=True), asked(), {}, Signs(domain=LAW)).decision
    assert (found.model, found.reason) == ("lawyer", "models for law come first; the only candidate")
    assert found.fallbacks == ("small", "big")
    assert decide(snapshot(by_domain=True), asked(), {}, Signs(domain=BROKEN)).decision.model == "small"
    nobodys = LAW._replace(label="finance")
    assert "come first" not in decide(snapshot(by_domain=True), asked(), {}, Signs(domain=nobodys)).decision.reason


def test_a_question_for_a_picture_prefers_models_with_images() -> None:
    routing = snapshot(by_modality=True)
    seeing = routing.models[1].model_copy(update={"input_modalities": ("text", "image")})
    routing = routing.model_copy(update={"models": (routing.models[0], seeing, routing.models[2])})
    found = decide(routing, asked(), {}, Signs(asks_for="image")).decision
    assert (found.model, found.fallbacks) == ("big", ("small", "lawyer"))
    assert found.reason == "the question asks for a picture, so models with images come first; the only candidate"
    assert "the question asks for image" in [one.value for one in found.signals or ()]
    assert decide(routing, asked(), {}, Signs(asks_for="text")).decision.model == "small"
    assert decide(snapshot(by_modality=True), asked(), {}, Signs(asks_for="image")).decision.model == "small", (
        "where no model has images, all answer"
    )


def test_a_hard_request_goes_to_the_stronger_model_and_the_answer_says_why() -> None:
    routing = snapshot(quality=Quality(strong=("big",), share=0.3))
    hard = decide(routing, asked(), {}, Signs(difficulty=Difficulty(0.4, strong=True))).decision
    assert (hard.model, hard.fallbacks) == ("big", ("small", "lawyer"))
    assert hard.reason == "a stronger model answers (expected gain +0.400); the only candidate"
    easy = decide(routing, asked(), {}, Signs(difficulty=Difficulty(-0.1, strong=False))).decision
    assert (easy.model, easy.fallbacks) == ("small", ("lawyer", "big"))
    assert {one.signal for one in easy.signals or ()} == {"difficulty", "length"}
    broken = decide(routing, asked(), {}, Signs(difficulty=Difficulty())).decision
    assert (broken.model, broken.reason) == ("small", "least loaded of 3 (0.00)")
    assert [one.against for one in broken.signals or () if one.signal == "difficulty"] == [True]


@pytest.mark.parametrize(("route", "said"), [
    ({"quality": {"strong": ["ghost"], "share": 0.5}}, "which is no candidate"),
    ({"quality": {"strong": ["m", "n"], "share": 0.5}}, "leave a weaker one"),
    ({"quality": {"strong": ["m"], "share": 1.5}}, "must be 1.0 or less"),
    ({"rules": [{"use": ["m"]}]}, "a rule needs a condition"),
    ({"rules": [{"languages": ["German"], "use": ["m"]}]}, "languages"),
])  # fmt: skip
def test_a_wrong_route_is_said(route: dict[str, Any], said: str) -> None:
    models = [{"name": name, "deployments": [{"base_url": "http://h/v1"}]} for name in ("m", "n")]
    with pytest.raises(ModelsFileError, match=said):
        parse({"models": models, "routes": [{"name": "auto", "candidates": ["m", "n"], **route}]}, "f")


def realised(pace: Pace, gains: list[float]) -> float:
    return sum(pace.takes(gain) for gain in gains) / len(gains)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 0.95), st.integers(0, 2**32), st.floats(-1, 1), st.floats(0.1, 3))
def test_the_asked_share_is_met_whatever_the_traffic(share: float, seed: int, shift: float, spread: float) -> None:
    drawn = random.Random(seed)
    expected = [drawn.gauss(0, 0.1) for _ in range(256)]
    pace = Pace(share, expected)
    for stretch in (expected, [0.0] * 50, [shift]):
        gains = [drawn.choice(stretch) * spread + drawn.gauss(shift, 0.05) for _ in range(500)]
        assert abs(realised(pace, gains) - share) < 0.06
    assert abs(realised(pace, [0.25] * 500) - share) < 0.06, "also when all gains are the same"


def test_none_and_all_are_just_that() -> None:
    drawn = [random.Random(1).gauss(0, 1) for _ in range(500)]
    assert realised(Pace(0.0, [0.0]), drawn) == 0
    assert realised(Pace(1.0, [0.0]), drawn) == 1


def test_those_that_gain_most_get_the_stronger_model() -> None:
    drawn = np.random.default_rng(5)
    pace = Pace(0.2, list(drawn.normal(0, 1, 256)))
    gains = [float(one) for one in drawn.normal(0, 1, 2000)]
    taken = [gain for gain in gains if pace.takes(gain)]
    assert 0.18 < len(taken) / len(gains) < 0.22
    assert np.mean(taken) > 1.2, "of the best fifth of a normal distribution the mean is 1.4"


def examples(size: int = 600) -> GainExamples:
    drawn = np.random.default_rng(2)
    embeddings = drawn.normal(0, 1, (size, 384)).astype(np.float32)
    hard = drawn.random(size) < 0.3
    embeddings[hard, 0] += 15  # hard texts resemble one another a little: a cosine of about a third
    weak = (drawn.random(size) < np.where(hard, 0.3, 0.8)).astype(np.float32)
    strong = (drawn.random(size) < 0.85).astype(np.float32)
    return GainExamples(embeddings, weak, strong)


def without(content: bytes, name: str) -> bytes:
    out = io.BytesIO()
    with np.load(io.BytesIO(content)) as arrays:
        np.savez(out, **{other: arrays[other] for other in arrays if other != name})
    return out.getvalue()


def test_the_gain_is_learned_kept_and_assessed_on_examples_left_out() -> None:
    given_ = examples()
    found = train_gain(given_)
    assert found.apgr > 0.65
    assert (found.curve[0].gap, found.curve[-1].gap) == (0.0, pytest.approx(1.0))
    assert found.curve[-1].quality == pytest.approx(float(given_.strong.mean()))
    again = unpacked(packed(found.head))
    same = found.head.gains(given_.embeddings), again.gains(given_.embeddings)
    assert np.allclose(*same, atol=0.01)
    assert np.corrcoef(same[0], given_.embeddings[:, 0] > 7)[0, 1] > 0.7
    with pytest.raises(ValueError, match="lacks"):
        unpacked(without(packed(found.head), "examples"))
    with pytest.raises(ValueError, match="mixed up"):
        train_gain(given_._replace(weak=given_.strong, strong=given_.weak))


def test_apgr_is_half_by_chance_and_more_for_an_oracle() -> None:
    drawn = np.random.default_rng(1)
    weak = (drawn.random(20_000) < 0.6).astype(np.float32)
    strong = (drawn.random(20_000) < 0.8).astype(np.float32)
    chance = drawn.random(20_000).astype(np.float32)
    assert apgr(chance, weak, strong) == pytest.approx(0.5, abs=0.05)
    assert apgr(strong - weak, weak, strong) > 0.9
    assert apgr(weak - strong, weak, strong) < 0.1
