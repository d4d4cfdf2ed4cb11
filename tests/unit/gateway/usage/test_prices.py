"""Prices that administrators set, in the place of published ones."""

import pytest
from gateway_parts import deployment, model, snapshot

from sluice.contracts.prices import SetPrice
from sluice.contracts.routing import Price, RoutingSnapshot
from sluice_gateway.domain.prices import StoredPrice, model_prices, next_turn, stored_price, with_overrides

LISTED = Price(input=1.0, output=2.0, source="genai-prices 0.2.3")


def published(price: Price | None) -> RoutingSnapshot:
    return snapshot(model("m", deployment("d", "http://h/v1"), price=price))


def override(number: int, valid_from: float, input_usd: float = 5.0, created_at: float = 0.0) -> StoredPrice:
    return stored_price(SetPrice(model="m", input=input_usd, valid_from=valid_from), f"price_{number}", created_at)


def price(published_price: Price | None, *overrides: StoredPrice, now: float = 100.0) -> Price | None:
    return with_overrides(published(published_price), overrides, now).models[0].price


@pytest.mark.parametrize("known", [LISTED, None])
def test_an_override_comes_before_the_list_and_names_itself(known: Price | None) -> None:
    found = price(known, override(1, 50.0))
    assert found is not None
    assert (found.input, found.source) == (5.0, "override price_1")


def test_a_price_in_the_file_comes_before_an_override() -> None:
    own = Price(input=9.0, source="config 1a2b3c4d")
    assert price(own, override(1, 50.0)) == own


def test_the_newest_override_that_has_begun_holds() -> None:
    overrides = (override(3, 200.0), override(2, 90.0, 7.0), override(1, 50.0))
    assert price(LISTED, *overrides, now=40.0) == LISTED
    assert price(LISTED, *overrides).input == 7.0  # type: ignore[union-attr]
    assert price(LISTED, *overrides, now=200.0).source == "override price_3"  # type: ignore[union-attr]
    assert [next_turn(overrides, now) for now in (0.0, 50.0, 90.0, 200.0)] == [50.0, 90.0, 200.0, None]


def test_of_two_for_the_same_time_the_later_one_counts() -> None:
    assert price(LISTED, override(1, 50.0, 3.0, created_at=2.0), override(2, 50.0, 4.0, created_at=1.0)).input == 3.0  # type: ignore[union-attr]


def test_what_is_shown_says_what_is_published_and_what_is_to_come() -> None:
    (shown,) = model_prices(published(LISTED), (override(1, 50.0), override(2, 500.0)), 100.0)
    assert (shown.published, shown.price.source if shown.price else None) == (LISTED, "override price_1")
    assert [one.id for one in shown.overrides] == ["price_1", "price_2"]


def test_without_overrides_the_snapshot_is_the_same() -> None:
    one = published(LISTED)
    assert with_overrides(one, (), 100.0) is one
