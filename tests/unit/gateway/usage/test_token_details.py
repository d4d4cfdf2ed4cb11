"""Kinds of tokens with a count and a price of their own: from an upstream's answer to the row."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from gateway_parts import deployment, model, snapshot

from sluice.contracts.routing import Price
from sluice.contracts.usage import UsageRecorded
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.dataplane.plan import Stages
from sluice_gateway.dataplane.sse import Usage, usage_of
from sluice_gateway.dataplane.stages.settle import settle, written
from sluice_gateway.dataplane.table import Compiler, ModelEntry
from sluice_gateway.dataplane.worst_case import worst_case
from sluice_gateway.domain.ports import UsageFields
from sluice_gateway.domain.rates import rates_of
from sluice_gateway.metrics import GatewayMetrics
from sluice_gateway.tokens import TokenDetails
from sluice_gateway.translate.hub import read_usage

PRICE: dict[str, float] = {
    "input": 2.0,
    "output": 8.0,
    "cached_input": 0.5,
    "cache_write": 2.5,
    "cache_write_1h": 4.0,
    "audio_input": 40.0,
    "image_input": 3.0,
    "reasoning": 9.0,
    "audio_output": 80.0,
    "request": 0.01,
}
MILLION = 1_000_000


def entry(price: Mapping[str, Any] | None, **fields: Any) -> ModelEntry:
    config = model("small", deployment("d", "http://h/v1"), **{"context_tokens": 1000, **fields}).model_copy(
        update={"price": None if price is None else Price.model_validate(price)}
    )
    compiler = Compiler(Stages(*[_nothing] * 4), GatewayMetrics(MetricRegistry()), lambda origin: Nowhere(), 1)
    return compiler.compile(snapshot(config)).models["small"]


async def _nothing(ctx: object) -> None:
    """A stage that is never run."""


class Nowhere:
    """An upstream that is never asked."""


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, None),
        ({"prompt_tokens_details": None, "completion_tokens_details": {}}, None),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, None),
        ({"prompt_tokens_details": {"cached_tokens": "x", "audio_tokens": -1}}, None),
        ({"prompt_tokens_details": {"cached_tokens": "7", "audio_tokens": 2.0}}, TokenDetails(7, 0, 2)),
        ({"prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 2}}, TokenDetails(7, 2)),
        (
            {
                "prompt_tokens_details": {"audio_tokens": 3, "image_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 6},
            },
            TokenDetails(0, 0, 3, 4, 5, 6),
        ),
    ],
)
def test_what_an_answer_tells_of(usage: dict[str, Any], expected: TokenDetails | None) -> None:
    assert usage_of({"usage": {"prompt_tokens": 20, "completion_tokens": 11, **usage}}) == Usage(20, 11, expected)


def test_embeddings_may_tell_their_total_alone() -> None:
    assert usage_of({"object": "list", "usage": {"total_tokens": 7}}) == Usage(7, 0)
    assert usage_of({"object": "chat.completion", "usage": {"total_tokens": 7}}) is None


XAI = {"total_tokens": 81, "completion_tokens_details": {"reasoning_tokens": 50}}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(XAI, Usage(20, 61, TokenDetails(reasoning=50)), id="xAI: thinking beside the answer"),
        pytest.param({"total_tokens": 81}, Usage(20, 61), id="Gemini's OpenAI API: thinking in the total alone"),
        pytest.param({"completion_tokens_details": {"reasoning_tokens": 50}}, Usage(20, 61, TokenDetails(reasoning=50)), id="no total"),
        pytest.param({"total_tokens": 31, "completion_tokens_details": {"reasoning_tokens": 9}}, Usage(20, 11, TokenDetails(reasoning=9)), id="OpenAI"),
        pytest.param({"total_tokens": 7}, Usage(20, 11), id="a total that is no sum"),
        pytest.param({"prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 12}, Usage(20, 11, TokenDetails(8)), id="DeepSeek"),
        pytest.param({"total_tokens": 31, "cached_tokens": 8}, Usage(20, 11, TokenDetails(8)), id="Moonshot"),
        pytest.param({"total_tokens": 61, "prompt_tokens_details": {"cached_tokens": 30}}, Usage(50, 11, TokenDetails(30)), id="cached ones beside the prompt"),
        pytest.param({"total_tokens": None, "completion_tokens": None}, Usage(20, 0), id="null"),
        pytest.param({"total_tokens": 2**62}, Usage(20, 11), id="no count"),
        pytest.param({"completion_tokens": 2**62}, None, id="more than there can be"),
    ],
)  # fmt: skip
def test_what_providers_count_beside_the_answer_or_under_other_names(
    usage: dict[str, Any], expected: Usage | None
) -> None:
    told = {"usage": {"prompt_tokens": 20, "completion_tokens": 11, **usage}}
    assert usage_of(told) == expected
    shown = read_usage(told)
    assert (shown is None) == (expected is None)
    if shown is not None and expected is not None:
        assert (shown.prompt_tokens, shown.completion_tokens) == expected[:2]


@pytest.mark.parametrize(
    ("details", "dollars"),
    [
        (None, 10.01),
        (TokenDetails(cached=MILLION), 8.51),
        (TokenDetails(cache_write=MILLION), 10.51),
        (TokenDetails(cache_write=MILLION, cache_write_1h=MILLION // 2), 11.26),
        (TokenDetails(cached=MILLION // 2, cache_write=MILLION // 2), 9.51),
        (TokenDetails(audio_input=MILLION), 48.01),
        (TokenDetails(image_input=MILLION), 11.01),
        (TokenDetails(reasoning=MILLION), 11.01),
        (TokenDetails(audio_output=MILLION), 82.01),
    ],
)
def test_each_kind_costs_its_own_price(details: TokenDetails | None, dollars: float) -> None:
    bill = settle(entry(PRICE), Usage(MILLION, MILLION, details), prompt_bytes=0, chunks=0)
    assert (bill.cost_usd, bill.details) == (pytest.approx(dollars), details)


def test_a_kind_without_a_price_costs_as_its_side() -> None:
    details = TokenDetails(*[1000] * 6)
    bill = settle(entry({"input": 2.0, "output": 8.0}), Usage(9000, 9000, details), prompt_bytes=0, chunks=0)
    assert bill.cost_usd == pytest.approx(0.09)


def test_a_provider_that_counts_more_cached_tokens_than_tokens_does_not_pay_us() -> None:
    bill = settle(entry(PRICE), Usage(10, 0, TokenDetails(cached=MILLION)), prompt_bytes=0, chunks=0)
    assert bill.cost_usd == 0.0


def test_the_counts_of_a_stream_left_early_are_not_called_exact() -> None:
    bill = settle(entry(PRICE), Usage(10, 3, None, final=False), prompt_bytes=0, chunks=0)
    assert (bill.completion_tokens, bill.exact) == (3, False)


def test_the_worst_case_has_the_dearest_kinds_and_the_fee() -> None:
    messages = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    worst = worst_case(entry(PRICE), "chat", messages, 100)
    assert worst.money == pytest.approx((100 * 40.0 + 10 * 80.0) * 1000 + 0.01 * 1e9, abs=1)
    rates = rates_of(Price(input=2.0, output=8.0, cached_input=0.5))
    assert (rates.dearest_input, rates.dearest_output) == (2e-6, 8e-6)
    assert rates_of(Price(input=2.0, cache_write=2.5, cache_write_1h=4.0)).dearest_input == pytest.approx(4e-6)
    assert rates_of(Price(input=2.0, cache_write_1h=4.0)).dearest_input == pytest.approx(4e-6)


def test_an_hour_in_a_cache_without_a_price_costs_as_the_usual_time() -> None:
    details = TokenDetails(cache_write=MILLION, cache_write_1h=MILLION)
    bill = settle(entry({"input": 2.0, "cache_write": 2.5}), Usage(MILLION, 0, details), prompt_bytes=0, chunks=0)
    assert bill.cost_usd == pytest.approx(2.5)


TIERED = {
    "input": 2.0,
    "output": 8.0,
    "cached_input": 0.5,
    "tiers": [
        {"above": 200_000, "input": 4.0, "output": 12.0, "cached_input": 1.0},
        {"above": 400_000, "input": 6.0, "output": 20.0},
    ],
}


@pytest.mark.parametrize(
    ("prompt", "dollars"),
    [(200_000, 0.4 + 0.008), (200_001, 0.800004 + 0.012), (400_000, 1.6 + 0.012), (400_001, 2.400006 + 0.02)],
)
def test_all_tokens_of_a_long_prompt_cost_what_its_tier_says(prompt: int, dollars: float) -> None:
    bill = settle(entry(TIERED), Usage(prompt, 1000, None), prompt_bytes=0, chunks=0)
    assert bill.cost_usd == pytest.approx(dollars)


def test_special_kinds_have_the_rates_of_the_tier() -> None:
    bill = settle(entry(TIERED), Usage(300_000, 0, TokenDetails(cached=100_000)), prompt_bytes=0, chunks=0)
    assert bill.cost_usd == pytest.approx(0.8 + 0.1)


def test_the_worst_case_has_the_rates_of_a_tier_only_where_the_prompt_may_reach_it() -> None:
    messages = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    priced = entry(TIERED, context_tokens=1_000_000)
    assert worst_case(priced, "chat", messages, 200_000).money == pytest.approx(200_000 * 2000 + 10 * 8000, abs=1)
    assert worst_case(priced, "chat", messages, 200_001).money == pytest.approx(200_001 * 4000 + 10 * 12000, abs=1)
    assert worst_case(priced, "embedding", {"input": "hi"}, 500_000).money == pytest.approx(500_000 * 6000, abs=1)


def test_what_nobody_knows_the_price_of_has_no_cost_instead_of_none() -> None:
    unpriced = entry(None)
    bill = settle(unpriced, Usage(10, 5, TokenDetails(cached=1)), prompt_bytes=0, chunks=0)
    assert (bill.prompt_tokens, bill.completion_tokens, bill.cost_usd) == (10, 5, None)
    assert (unpriced.priced, unpriced.price_source) == (False, None)
    assert settle(entry({}), Usage(10, 5, None), prompt_bytes=0, chunks=0).cost_usd == 0.0


def row(**fields: Any) -> UsageFields:
    head = ("evt_1", "req_1", 1.0, "acme", "key_1", "/v1/chat/completions", "m", "ok", 200)
    return UsageFields(*head, **fields)  # type: ignore[arg-type] # head is the fields without defaults


def read(columns: tuple[str, ...], written: bytes) -> UsageRecorded:
    return UsageRecorded.model_validate(dict(zip(columns, json.loads(written), strict=False)))


def test_a_row_with_details_is_read_as_it_was_written() -> None:
    details = TokenDetails(1, 2, 3, 4, 5, 6)
    event = row(organization_id="org_1", team_id="team_1", end_user="u", token_details=details[:-1])
    found = read(UsageFields._fields, orjson.dumps(event[:]))
    assert (found.organization_id, found.team_id, found.end_user) == ("org_1", "team_1", "u")
    assert (found.cached_tokens, found.cache_write_tokens, found.audio_input_tokens) == (1, 2, 3)
    assert (found.image_input_tokens, found.reasoning_tokens, found.audio_output_tokens) == (4, 5, 6)


def test_a_row_of_an_earlier_version_is_read_with_defaults() -> None:
    earlier = UsageFields._fields.index("organization_id")
    found = read(UsageFields._fields, orjson.dumps(row(prompt_tokens=5, life="l")[:earlier]))
    assert (found.prompt_tokens, found.life, found.team_id, found.cached_tokens) == (5, "l", None, 0)


def test_a_record_of_the_api_is_read_by_its_names() -> None:
    event = UsageRecorded.model_validate({**row()._asdict(), "cached_tokens": 9})
    assert UsageRecorded.model_validate_json(event.model_dump_json()).cached_tokens == 9


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ({"choices": [{"message": {"content": "x" * 38}}, {"text": "y" * 38}]}, 20),
        ({"choices": [{"message": {"content": None, "tool_calls": [{"id": "c"}]}}]}, 3),
        ({"choices": [{"message": {"content": ""}}, {"message": None}, 3, None]}, 0),
        ({"choices": {"0": 1}}, 0),
        ({"data": []}, 0),
    ],
)
def test_what_a_model_wrote_is_about_a_token_for_four_bytes(answer: dict[str, object], tokens: int) -> None:
    assert written(answer) == tokens
