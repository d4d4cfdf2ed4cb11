"""Counts of tokens however a provider writes them: as whole numbers, floats, or digits in a text."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice_gateway.dataplane.ranking import ranked
from sluice_gateway.domain.batch_lines import tokens_of
from sluice_gateway.tokens import count_of
from sluice_gateway.translate import hub
from sluice_gateway.translate.anthropic import answer as anthropic
from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.bedrock import answer as bedrock
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.gemini import answer as gemini
from sluice_gateway.translate.responses import passing as responses
from sluice_gateway.translate.shapes import Usage

Json = dict[str, Any]
Reader = Callable[[Json], Usage | None]
READERS: dict[str, tuple[Reader, str, str, str]] = {
    "chat": (hub.read_usage, "usage", "prompt_tokens", "completion_tokens"),
    "responses": (responses.usage_of, "usage", "input_tokens", "output_tokens"),
    "anthropic": (anthropic.usage_of, "usage", "input_tokens", "output_tokens"),
    "bedrock": (bedrock.usage_of, "usage", "inputTokens", "outputTokens"),
    "gemini": (gemini.usage_of, "usageMetadata", "promptTokenCount", "candidatesTokenCount"),
}


@pytest.mark.parametrize(("read", "place", "prompt", "completion"), READERS.values(), ids=READERS)
def test_floats_and_digits_are_counts_of_every_provider(read: Reader, place: str, prompt: str, completion: str) -> None:
    assert read({place: {prompt: 12.0, completion: "3"}}) == read({place: {prompt: 12, completion: 3}}) == Usage(12, 3)


@pytest.mark.parametrize(
    "wrong", [1.5, "1.5", "", "x", -1, -1.0, True, [1], float("nan"), float("inf"), 1e18, "1" * 5000]
)
@pytest.mark.parametrize(("read", "place", "prompt", "completion"), READERS.values(), ids=READERS)
def test_what_is_no_whole_number_is_estimated(
    read: Reader, place: str, prompt: str, completion: str, wrong: object
) -> None:
    assert read({place: {prompt: wrong, completion: 3}}) is None
    assert read({place: {prompt: 3, completion: wrong}}) is None
    assert count_of(wrong) is None


def test_counts_of_a_prompt_and_of_ranked_and_batched_answers_are_read_alike() -> None:
    assert Anthropic().count_answer({"input_tokens": "7"}) == 7
    with pytest.raises(BadAnswer):
        Anthropic().count_answer({"input_tokens": 7.5})
    rows = [{"index": 0, "relevance_score": 0.5}]
    found = ranked({"results": rows, "usage": {"total_tokens": "8"}}, {"model": "m", "documents": ["a"], "query": "q"})
    assert found["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert tokens_of({"usage": {"input_tokens": 4.0, "output_tokens": "5"}}) == (4, 0, 5, 0)
