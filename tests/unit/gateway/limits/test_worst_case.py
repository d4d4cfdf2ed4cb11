"""The most that a request can come to."""

from typing import Any

import pytest
from gateway_parts import deployment, model, snapshot

from sluice.contracts.routing import Deployment
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.dataplane.body import Kind
from sluice_gateway.dataplane.plan import Stages
from sluice_gateway.dataplane.stages.dispatch import exhausted
from sluice_gateway.dataplane.table import Compiler, ModelEntry
from sluice_gateway.dataplane.worst_case import UNKNOWN, worst_case
from sluice_gateway.metrics import GatewayMetrics

HI = {"messages": [{"role": "user", "content": "hi"}]}
IMAGE = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.org/a"}}]}]}
TEXT_PARTS = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}


def entry(*places: Deployment, **changes: Any) -> ModelEntry:
    config = model("small", *places, context_tokens=1000, **changes)
    compiler = Compiler(Stages(*[_nothing] * 4), GatewayMetrics(MetricRegistry()), lambda origin: Nowhere(), 1)
    return compiler.compile(snapshot(config)).models["small"]


async def _nothing(ctx: object) -> None:
    """A stage that is never run."""


class Nowhere:
    """An upstream that is never asked."""


@pytest.mark.parametrize(
    ("kind", "fields", "size", "prompt", "answer"),
    [
        ("chat", HI | {"max_tokens": 10}, 50, 50, 10),
        ("chat", HI | {"max_tokens": 10, "n": 3}, 50, 50, 30),
        ("chat", HI | {"max_tokens": 10, "max_completion_tokens": 20}, 50, 50, 20),
        ("chat", HI | {"max_tokens": 9999}, 50, 50, 400),
        ("chat", HI, 50, 50, 400),
        ("chat", HI, 5000, 1000, 400),
        ("chat", HI, UNKNOWN, 1000, 400),
        ("chat", IMAGE, 50, 1000, 400),
        ("chat", TEXT_PARTS, 50, 50, 400),
        ("completion", {"prompt": "hi", "max_tokens": 5, "best_of": 4}, 50, 50, 20),
        ("completion", {"prompt": "hi", "max_tokens": 5, "best_of": 5, "n": 2}, 50, 50, 25),
        ("completion", {"prompt": ["a", "b"], "max_tokens": 5, "n": 2}, 50, 50, 20),
        ("completion", {"prompt": [1, 2, 3], "max_tokens": 5}, 50, 50, 5),
        ("embedding", {"input": "hi"}, 5000, 5000, 0),
        ("rerank", {"query": "four", "documents": ["a", "b", "c"]}, 5000, 5012, 0),
    ],
)
def test_prompt_and_answer_are_bounded(kind: Kind, fields: dict[str, Any], size: int, prompt: int, answer: int) -> None:
    worst = worst_case(entry(max_output_tokens=400), kind, fields, size)
    assert (worst.prompt, worst.tokens) == (prompt, prompt + answer)
    assert worst.money == prompt * 1000 + answer * 2000


@pytest.mark.parametrize(("asked", "answer"), [({}, 100), ({"max_tokens": 30}, 30), ({"max_tokens": 300}, 100)])
def test_what_a_policy_or_the_key_lets_an_answer_have_bounds_it(asked: dict[str, int], answer: int) -> None:
    worst = worst_case(entry(max_output_tokens=400), "chat", HI | asked | {"n": 2}, 50, most=100)
    assert (worst.tokens, worst.chosen) == (50 + 2 * answer, bool(asked))
    assert worst_case(entry(max_output_tokens=40), "chat", HI, 50, most=100).tokens == 90


def test_without_a_limit_of_its_own_an_answer_may_fill_the_context() -> None:
    assert worst_case(entry(), "chat", HI, 50).tokens == 1050


def test_a_key_bound_to_regions_reaches_only_deployments_that_say_that_they_are_there() -> None:
    places = [deployment("de", "http://a/v1", region="eu"), deployment("us", "http://b/v1", region="us")]
    found = entry(*places, deployment("anywhere", "http://c/v1"))

    def names(regions: frozenset[str] | None) -> list[str]:
        return [state.config.id for state in found.open_to(regions)]

    assert names(None) == ["de", "us", "anywhere"]
    assert names(frozenset({"eu"})) == ["de"]
    assert names(frozenset({"asia"})) == []


def test_a_model_that_runs_in_none_of_them_is_refused_with_that_reason() -> None:
    found = entry(deployment("us", "http://b/v1", region="us"))
    error = exhausted((found,), 0.0, frozenset({"eu"}))
    assert (error.status, error.error_code) == (403, "region_not_allowed")
