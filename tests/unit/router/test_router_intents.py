"""Intents: what a classifier says, how it is trained, and which models the rules of a route give them to."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice.contracts.embeddings import EmbeddingReply, EmbeddingReplyItem, EmbeddingRequest, EmbeddingUsage
from sluice.contracts.routing import Deployment, Model, Route, RouteRequest, RoutingSnapshot, Rule
from sluice.db import open_database
from sluice.errors import DependencyUnavailable
from sluice.migrations import upgrade
from sluice.testing import platform_settings
from sluice_router.adapters.arrays import packed, unpacked
from sluice_router.adapters.classifiers import Classifiers
from sluice_router.adapters.examples_file import DomainsFile, IntentsFile, load
from sluice_router.domain.choice import decide
from sluice_router.domain.classify.head import word_features
from sluice_router.domain.classify.reading import BROKEN, UNTRAINED, Reading, Signs
from sluice_router.domain.classify.report import report_of
from sluice_router.domain.classify.training import Examples, train
from sluice_router.domain.config import parse
from sluice_router.domain.errors import ExamplesFileError, ModelsFileError, TrainingRefused
from sluice_router.domain.registry_admin import Trail
from sluice_router.store import ClassifierStore
from sluice_router.wiring import MIGRATIONS

CONFIG = Path(__file__).parents[3] / "deploy" / "config"
WORDS = {
    "weather": ("rain", "sun", "storm", "cloudy", "forecast"),
    "money": ("bank", "loan", "credit", "savings", "interest"),
    "travel": ("flight", "hotel", "airport", "luggage", "visa"),
}
TRAIL = Trail("admin", "req_test", 1.0)
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


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[ClassifierStore]:
    platform = platform_settings(tmp_path)
    await upgrade(platform, "router", MIGRATIONS)
    database = open_database(platform, "router")
    yield ClassifierStore(database)
    await database.close()


def reading_of(shelf: ClassifierStore, embedder: Any = None, least: float = 0.5) -> Classifiers:
    return Classifiers(embedder or Embedder(), shelf, 1.0, least)


async def intent(mine: Classifiers, text: str) -> Reading:
    return (await mine.read(["intent"], text, "t")).classes["intent"]


async def trained(mine: Classifiers, file: IntentsFile) -> Any:
    return await mine.train_classes("intent", file.classes, file.out_of_scope, TRAIL, file.rejected_share)


FILE = IntentsFile(intents=utterances(), out_of_scope=(STRANGE, "violin teapot gravel"))


async def test_a_trained_classifier_recognises_and_knows_what_it_does_not_know(shelf: ClassifierStore) -> None:
    embedder = Embedder()
    mine = reading_of(shelf, embedder)
    found, sha256 = await trained(mine, FILE)
    assert found.assessment.accuracy > 0.95
    assert found.assessment.strangers_found == 1.0
    seen = await intent(mine, "storm or sun for 1")
    assert (seen.outcome, seen.recognised) == ("recognised", "weather")
    assert (seen.confidence or 0) > 0.8
    assert (await intent(mine, STRANGE)).outcome == "out_of_scope"
    unsure = await intent(Classifiers(embedder, shelf, 1.0, 1.01, dict(mine.heads)), "storm or sun for 1")
    assert (unsure.outcome, unsure.recognised, unsure.label) == ("not_confident", None, "weather")
    assert (await intent(mine, "  ")).outcome == "not_confident"
    again = reading_of(shelf, embedder)
    assert await intent(again, "a loan of the bank") is UNTRAINED
    await again.load()
    assert await intent(again, "a loan of the bank") == await intent(mine, "a loan of the bank"), "another router's too"
    report = report_of(found, sha256, "intent")
    assert report.examples == 60
    assert {one.name: one.examples for one in report.classes} == dict.fromkeys(sorted(WORDS), 20)
    assert report.curve[0].in_scope_right >= report.curve[-1].in_scope_right
    assert sum(one.count for one in report.calibration) == 60


async def test_the_file_says_how_many_texts_in_scope_may_be_rejected(shelf: ClassifierStore) -> None:
    strict, _ = await trained(reading_of(shelf), FILE.model_copy(update={"rejected_share": 0.2}))
    assert strict.assessment.rejected == pytest.approx(0.2, abs=0.02), "and not the usual hundredth"
    offered = strict.assessment.curve[-1]
    assert (offered.rejected, offered.floor) == pytest.approx((strict.assessment.rejected, strict.head.floor))


async def test_a_broken_classifier_is_another_thing_than_an_unsure_one(shelf: ClassifierStore) -> None:
    embedder = Embedder()
    mine = reading_of(shelf, embedder)
    await mine.load()
    assert await intent(mine, "rain") is UNTRAINED, "there was no training"
    await trained(mine, FILE)
    embedder.failing = DependencyUnavailable("away")
    assert await intent(mine, "rain") is BROKEN
    assert BROKEN.confidence is None
    assert "retrieval" in BROKEN.said
    assert "sluice router train" in UNTRAINED.said
    embedder.failing = None
    whole = await shelf.read("intent")
    assert whole is not None
    for number, content in enumerate((b"nonsense", whole[:500], b"", packed(mine.heads["intent"])[:-9])):
        await shelf.save("intent", content, f"other-{number}", TRAIL)
        await mine.load()
        assert await intent(mine, "rain") is UNTRAINED
    with pytest.raises(ValueError, match="lacks"):
        unpacked(_npz(classes=np.array(["a"])))


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


async def test_too_few_examples_are_refused(shelf: ClassifierStore) -> None:
    few = IntentsFile.model_construct(intents={"a": ("one",), "b": ("two",)}, out_of_scope=())
    with pytest.raises(TrainingRefused, match="at least 5 examples"):
        await trained(reading_of(shelf), few)


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
    with pytest.raises(ExamplesFileError, match=said):
        load(platform_settings(tmp_path, config_dir=tmp_path), "intents.yaml")


def test_domains_have_a_file_of_the_same_shape(tmp_path: Path) -> None:
    (tmp_path / "domains.yaml").write_text("domains: {law: [a, b, c, d, e], code: [f, g, h, i, j]}")
    found = load(platform_settings(tmp_path, config_dir=tmp_path), "domains.yaml")
    assert isinstance(found, DomainsFile)
    assert set(found.classes) == {"law", "code"}


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
    found = decide(snapshot(), ASKED, {}, Signs(Reading("recognised", "sql", 0.9))).decision
    assert (found.model, found.intent, found.confidence) == ("coder", "sql", 0.9)
    assert found.reason == "rule: coder answers sql"
    assert found.fallbacks == ("general",)
    assert [signal.value for signal in found.signals or ()] == ["sql with a confidence of 0.90", "about 0 tokens"]
    assert {one.model: one.reason for one in found.candidates or ()}["general"] == "an earlier choice can answer"


@pytest.mark.parametrize("reading", [
    BROKEN, Reading("not_confident", "sql", 0.3), Reading("out_of_scope", "sql", 0.9), Reading("recognised", "chat", 0.9), None,
])  # fmt: skip
def test_without_a_recognised_intent_the_general_model_answers(reading: Reading | None) -> None:
    found = decide(snapshot(), ASKED, {}, Signs(reading)).decision
    assert (found.model, found.reason) == ("general", "the only candidate")
    assert found.intent == (reading.recognised if reading else None)


def test_a_rules_model_that_is_down_leaves_it_to_the_general_one() -> None:
    found = decide(snapshot("down"), ASKED, {}, Signs(Reading("recognised", "sql", 0.9)))
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
