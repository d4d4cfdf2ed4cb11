"""Prices from the package genai-prices and from models.yaml, with their dates and tiers."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.types import ModelPrice, Tier, TieredPrices, Usage

from sluice.contracts.routing import Price
from sluice_router.adapters.genai_price_list import answered, listing_of, model_of, price_of
from sluice_router.domain.config import parse
from sluice_router.domain.errors import ModelsFileError
from sluice_router.domain.price_list import DatedPrice, Wanted, listed_at, wanted_of
from sluice_router.domain.publication import snapshot

OPENAI = "https://api.openai.com/v1"
NOW = datetime(2026, 11, 20, tzinfo=UTC).timestamp()


def wanted(name: str, base_url: str = OPENAI, provider: str = "openai") -> Wanted:
    return Wanted(provider=provider, base_url=base_url, upstream_model=name)


def file(**fields: Any) -> Any:
    model = {"name": "m", "deployments": [{"base_url": "http://h/v1"}], **fields}
    return parse({"models": [model]}, "models.yaml")


def priced(now: float = NOW, **fields: Any) -> Price | None:
    return snapshot(file(**fields), {}, version=1, now=now).models[0].price


@pytest.mark.parametrize(
    ("name", "base_url", "provider"),
    [
        ("gpt-4o-mini", OPENAI, "openai"),
        ("claude-sonnet-4-5", "https://api.anthropic.com", "anthropic"),
        ("gemini-2.5-pro", "https://generativelanguage.googleapis.com", "gemini"),
        ("gpt-4o-mini", "https://mine.openai.azure.com/openai", "azure"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "https://bedrock.internal.example", "bedrock"),
        ("llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", "openai"),
    ],
)
@pytest.mark.parametrize("prompt", [1000, 150_000, 250_000])
def test_a_request_costs_what_the_package_itself_works_out(
    name: str, base_url: str, provider: str, prompt: int
) -> None:
    found = model_of(wanted(name, base_url, provider))
    assert found is not None
    price = listed_at(listing_of(wanted(name, base_url, provider)), NOW)
    assert price is not None
    assert price.source.startswith("genai-prices ")
    theirs = found.get_prices(datetime.fromtimestamp(NOW, UTC)).calc_price(
        Usage(input_tokens=prompt, output_tokens=500, cache_read_tokens=100)
    )
    rates = next((tier for tier in reversed(price.tiers) if prompt > tier.above), price)
    cached = rates.input if rates.cached_input is None else rates.cached_input
    ours = ((prompt - 100) * rates.input + 100 * cached + 500 * rates.output) / 1e6 + price.request
    assert ours == pytest.approx(float(theirs["total_price"]), abs=1e-12)


@pytest.mark.parametrize(
    "one",
    [
        wanted("gpt-4o-mini", "http://127.0.0.1:8000/v1"),
        wanted("no-such-model-anywhere"),
    ],
)
def test_what_the_package_does_not_know_has_no_price(one: Wanted) -> None:
    assert listing_of(one) == ()


def test_every_rate_and_every_tier_is_taken_over() -> None:
    tiered = TieredPrices(base=Decimal(2), tiers=[Tier(start=200_000, price=Decimal(4))])
    names = ("cache_read_mtok", "cache_write_mtok", "input_audio_mtok", "input_image_mtok", "output_reasoning_mtok")
    prices = ModelPrice(
        input_mtok=tiered,
        output_mtok=Decimal(8),
        output_audio_mtok=Decimal(80),
        cache_write_1h_mtok=Decimal(7),
        requests_kcount=Decimal(10),
        **{name: Decimal(number) for number, name in enumerate(names, 1)},
    )
    found = price_of(prices)
    assert found is not None
    assert (found.input, found.output, found.cached_input, found.cache_write) == (2, 8, 1, 2)
    assert (found.audio_input, found.image_input, found.reasoning, found.audio_output) == (3, 4, 5, 80)
    assert (found.request, found.cache_write_1h) == (0.01, 7)
    (tier,) = found.tiers
    assert (tier.above, tier.input, tier.output, tier.cached_input) == (200_000, 4, 8, 1)


def test_a_model_that_is_sold_by_other_units_is_unknown() -> None:
    assert price_of(ModelPrice(audio_hours=Decimal("0.1"))) is None


def test_a_price_of_the_list_changes_on_its_day_and_by_the_hour() -> None:
    old, new, night = (Price(input=number) for number in (1.0, 2.0, 0.5))
    listing = (
        DatedPrice(price=old),
        DatedPrice(since=1000.0, price=new),
        DatedPrice(daily=(82_800, 3600), price=night),
    )
    moments = (990.0, 3600.0, 82_799.0, 82_800.0, 86_400.0 + 3599, 86_400.0 + 3600)
    assert [listed_at(listing, at).input for at in moments] == [0.5, 2.0, 2.0, 0.5, 0.5, 2.0]  # type: ignore[union-attr]
    assert listed_at((), 5.0) is None
    assert [listing[2].next_turn(at) for at in (0.0, 3600.0, 82_800.0)] == [3600.0, 82_800.0, 90_000.0]
    assert (listing[1].next_turn(5.0), listing[1].next_turn(1000.0)) == (1000.0, None)


def test_the_file_comes_first_and_says_which_price_it_was() -> None:
    given = priced(price={"input": 3.0, "output": 4.0})
    assert given is not None
    assert given.input == 3.0
    assert given.source.startswith("config ")
    assert given.source != priced(price={"input": 3.5}).source  # type: ignore[union-attr]
    assert wanted_of(file(price={"input": 0}).models[0]) == ()
    assert priced() is None


@pytest.mark.parametrize(
    ("base_url", "provider", "count"),
    [
        ("https://api.openai.com/v1", "openai", 1),
        ("http://vllm:8000/v1", "openai", 0),
        ("http://127.0.0.1:8090/v1", "openai", 0),
        ("http://[::1]:8090/v1", "openai", 0),
        ("http://proxy:8000", "anthropic", 1),
    ],
)
def test_engines_at_home_are_looked_up_in_no_list(base_url: str, provider: str, count: int) -> None:
    assert len(wanted_of(file(deployments=[{"base_url": base_url, "provider": provider}]).models[0])) == count


def test_a_price_in_the_file_changes_on_its_day() -> None:
    changes = [
        {"from": "2026-12-01", "price": {"input": 2}},
        {"from": "2026-06-01T12:00:00+02:00", "price": {"input": 1}},
    ]
    fields: dict[str, Any] = {"price": {"input": 9}, "price_changes": changes}
    day = {name: datetime.fromisoformat(f"{name}T00:00:00+00:00").timestamp() for name in ("2026-05-31", "2026-12-01")}
    assert [priced(at, **fields).input for at in (day["2026-05-31"], NOW, day["2026-12-01"])] == [9, 1, 2]  # type: ignore[union-attr]


def test_tiers_of_the_file_must_rise() -> None:
    tiers = [{"above": 200, "input": 1}, {"above": 100, "input": 2}]
    with pytest.raises(
        ModelsFileError, match=r"models\[0\] \(m\).price: tiers must stand from the shortest prompts up"
    ):
        file(price={"input": 1, "tiers": tiers})


def test_answers_come_in_order() -> None:
    first, second = answered([wanted("no-such-model-anywhere"), wanted("gpt-4o-mini")])
    assert (first, bool(second)) == ((), True)
