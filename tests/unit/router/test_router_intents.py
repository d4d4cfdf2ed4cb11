"""Intents: what a classifier says, how it is trained, and which models the rules of a route give them to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice.contracts.retrieval import EmbeddingReply, EmbeddingReplyItem, EmbeddingRequest, EmbeddingUsage
from sluice.contracts.routing import Deployment, Model, Route, RouteRequest, RoutingSnapshot, Rule
from sluice.errors import DependencyUnavailable
from sluice.testing import platform_settings
from sluice_router.adapters import head_file
from sluice_router.adapters.intents import Intents
from sluice_router.adapters.intents_file import IntentsFile, load
from sluice_router.domain.choice import decide
from sluice_router.domain.classify.head import word_features
from sluice_router.domain.classify.reading import BROKEN, Reading
from sluice_router.domain.classify.report import report_of
from sluice_router.domain.classify.training import Examples, train
from sluice_router.domain.config import parse
from sluice_router.domain.errors import IntentsFileError, ModelsFileError, TrainingRefused

CONFIG = Path(__file__).parents[3] / "deploy" / "config"
WORDS = {
    "weather": ("rain", "sun", "storm", "cloudy", "forecast"),
    "money": ("bank", "loan", "credit", "savings", "interest"),
    "travel": ("flight", "hotel", "airport", "luggage", "visa"),
}
STRANGE = "zebra quark lamp"


def vector(text: str) -> list[float]:
    """Return an embedding in which each topic has its direction, and what is strange has none of them."""
    found = np.zeros(384)
    for place, words in enumerate(WORDS.values()):
        found[place * 50] = sum(word in text for word in words)
    if not found.any():
        found[300] = 1
    found[350:] = np.random.default_rng(sum(map(ord, text))).normal(0, 0.05, 34)
    return [float(value) for value in found / np.linalg.norm(found)]


def utterances() -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(
            f"{one} or {other} for {number}" for number, one in enumerate(words) for other in words if one != other
        )
        for name, words in WORDS.items()
    }


class Embedder:
    """What the router uses of the retrieval service."""

    def __init__(self) -> None:
        self.failing: Exception | None = None

    async def embed(self, body: EmbeddingRequest, *, tenant: str, timeout_s: float | None = None) -> EmbeddingReply:
        if self.failing is not None:
            raise self.failing
        items = tuple(
            EmbeddingReplyItem(index=at, embedding=tuple(vector(str(text)))) for at, text in enumerate(body.input)
        )
        return EmbeddingReply(data=items, model="minilm", usage=EmbeddingUsage(prompt_tokens=1, total_tokens=1))


def intents(tmp_path: Path, embedder: Any = None, least: float = 0.5) -> Intents:
    return Intents(embedder or Embedder(), tmp_path / "deep" / "intents.npz", 1.0, least)


FILE = IntentsFile(intents=utterances(), out_of_scope=(STRANGE, "violin teapot gravel"))


async def test_a_trained_classifier_recognises_and_knows_what_it_does_not_know(tmp_path: Path) -> None:
    embedder = Embedder()
    mine = intents(tmp_path, embedder)
    trained, sha256 = await mine.train(FILE)
    assert trained.assessment.accuracy > 0.95
    assert trained.assessment.strangers_found == 1.0
    found = await mine.read("storm or sun for 1", "t")
    assert (found.outcome, found.recognised) == ("recognised", "weather")
    assert (found.confidence or 0) > 0.8
    assert (await mine.read(STRANGE, "t")).outcome == "out_of_scope"
    unsure = await Intents(embedder, mine.path, 1.0, 1.01, mine.head).read("storm or sun for 1", "t")
    assert (unsure.outcome, unsure.recognised, unsure.label) == ("not_confident", None, "weather")
    assert (await mine.read("  ", "t")).outcome == "not_confident"
    again = intents(tmp_path, embedder)
    again.load()
    assert await again.read("a loan of the bank", "t") == await mine.read("a loan of the bank", "t")
    report = report_of(trained, sha256)
    assert report.examples == 60
    assert {one.name: one.examples for one in report.classes} == dict.fromkeys(sorted(WORDS), 20)
    assert report.curve[0].in_scope_right >= report.curve[-1].in_scope_right
    assert sum(one.count for one in report.calibration) == 60


async def test_a_broken_classifier_is_another_thing_than_an_unsure_one(tmp_path: Path) -> None:
    embedder = Embedder()
    mine = intents(tmp_path, embedder)
    mine.load()
    assert await mine.read("rain", "t") is BROKEN, "there was no training"
    await mine.train(FILE)
    embedder.failing = DependencyUnavailable("away")
    assert await mine.read("rain", "t") is BROKEN
    assert BROKEN.confidence is None
    for content in (b"nonsense", mine.path.read_bytes()[:500], b""):
        mine.path.write_bytes(content)
        mine.load()
        assert await mine.read("rain", "t") is BROKEN
    np.savez(mine.path, classes=np.array(["a"]))
    with pytest.raises(ValueError, match="lacks"):
        head_file.load(mine.path)


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file where the folder should be")
    with pytest.raises(TrainingRefused, match="SLUICE_DATA_DIR"):
        await intents(tmp_path).train(FILE)


async def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    few = IntentsFile.model_construct(intents={"a": ("one",), "b": ("two",)}, out_of_scope=())
    with pytest.raises(TrainingRefused, match="at least 5 examples"):
        await intents(tmp_path).train(few)


def test_the_example_file_has_the_five_intents_of_the_handbook() -> None:
    file = IntentsFile.model_validate(platform_yaml(CONFIG))
    assert set(file.intents) == {
        "technical_support", "billing_inquiry", "general_question", "code_generation", "creative_writing",
    }  # fmt: skip


def platform_yaml(folder: Path) -> Any:
    return platform_settings(folder, config_dir=folder).load_yaml("intents.yaml")


@pytest.mark.parametrize(("text", "said"), [
    ("intents: {a: [1, 2, 3, 4, 5]}", "intents"),
    ("intents: {a: [p, q, r, s, t], b: [p, v, w, x, y]}", "'p' stands under a and b"),
    ("intent: {}", "no such field"),
])  # fmt: skip
def test_a_wrong_file_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "intents.yaml").write_text(text)
    with pytest.raises(IntentsFileError, match=said):
        load(platform_settings(tmp_path, config_dir=tmp_path))


def test_confidence_is_calibrated_where_classes_overlap() -> None:
    drawn = np.random.default_rng(3)
    labels = drawn.integers(0, 2, 800)
    embeddings = drawn.normal(0, 1, (800, 384)).astype(np.float32)
    embeddings[:, :40] += labels[:, None] * 0.35
    texts = tuple("the same words" for _ in range(800))
    found = train(Examples(("a", "b"), texts, labels, embeddings)).assessment
    assert 0.6 < found.accuracy < 0.9, "they overlap"
    assert found.calibration_error < 0.15, "800 texts in ten bins: chance alone makes about 0.05"


def test_words_of_any_kind_have_features() -> None:
    for text in ("", "\ud800", "x" * 100_000, "Ärger mit der Rechnung"):
        assert all(0 <= feature < 4096 for feature in word_features(text))


def deployment(name: str, health: str = "up") -> Deployment:
    return Deployment.model_validate({"id": name, "base_url": "http://h/v1", "upstream_model": name, "health": health})


def snapshot(coder: str = "up") -> RoutingSnapshot:
    models = (
        Model(name="general", deployments=(deployment("g"),)),
        Model(name="coder", deployments=(deployment("c", coder),)),
    )
    rules = (Rule(intents=("code_generation", "sql"), use=("coder",)), Rule(intents=("sql",), use=("general",)))
    return RoutingSnapshot(
        version=1, published_at=0.0, models=models, routes=(Route(name="auto", candidates=("general",), rules=rules),)
    )


ASKED = RouteRequest(model="auto", text="x", explain=True)


def test_the_first_rule_of_an_intent_decides_and_the_answer_names_it() -> None:
    found = decide(snapshot(), ASKED, {}, Reading("recognised", "sql", 0.9)).decision
    assert (found.model, found.intent, found.confidence) == ("coder", "sql", 0.9)
    assert found.reason == "rule: coder answers sql"
    assert found.fallbacks == ("general",)
    assert [signal.value for signal in found.signals or ()] == ["sql with a confidence of 0.90"]
    assert {one.model: one.reason for one in found.candidates or ()}["general"] == "an earlier choice can answer"


@pytest.mark.parametrize("reading", [
    BROKEN, Reading("not_confident", "sql", 0.3), Reading("out_of_scope", "sql", 0.9), Reading("recognised", "chat", 0.9), None,
])  # fmt: skip
def test_without_a_recognised_intent_the_general_model_answers(reading: Reading | None) -> None:
    found = decide(snapshot(), ASKED, {}, reading).decision
    assert (found.model, found.reason) == ("general", "the only candidate")
    assert found.intent == (reading.recognised if reading else None)


def test_a_rules_model_that_is_down_leaves_it_to_the_general_one() -> None:
    found = decide(snapshot("down"), ASKED, {}, Reading("recognised", "sql", 0.9))
    assert (found.decision.model, found.outcome) == ("general", "fallback")


def test_rules_name_models_of_the_same_kind() -> None:
    models = [
        {"name": "m", "deployments": [{"base_url": "http://h/v1"}]},
        {"name": "v", "kind": "embedding", "deployments": [{"base_url": "http://h/v1"}]},
        {"name": "off", "only_if": "", "deployments": [{"base_url": "http://h/v1"}]},
    ]

    def routed(*rules: dict[str, Any]) -> Any:
        return parse({"models": models, "routes": [{"name": "auto", "candidates": ["m"], "rules": rules}]}, "f")

    for wrong in ("v", "nope"):
        with pytest.raises(ModelsFileError, match="rules"):
            routed({"intents": ["a"], "use": [wrong]})
    with pytest.raises(ModelsFileError, match="no such field"):
        routed({"intents": ["a"], "uses": ["m"]})
    assert routed({"intents": ["a"], "use": ["off"]}).routes[0].rules == (), "a model that is switched off has no rule"
