"""Reads the price list of the package genai-prices: places as JSON on standard input, their listings on standard output.

Sources: https://github.com/pydantic/genai-prices. What the list has besides tokens and requests (searches, pages, hours of sound) is
not charged; a model that is sold by such units only counts as unknown.
"""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, time
from decimal import Decimal
from importlib.metadata import version

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from pydantic import TypeAdapter

from sluice.contracts.routing import Price, PriceTier
from sluice_router.domain.price_list import DatedPrice, Listing, Wanted

_PACKAGE = "genai-prices"
_OWN_APIS = {"anthropic": "anthropic", "gemini": "google", "bedrock": "aws", "azure": "azure"}
_RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "image_input": "input_image_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_output": "output_audio_mtok",
}
_PER_REQUESTS = 1000


def listing_of(wanted: Wanted) -> Listing:
    """Return what the list says of a place, nothing when it does not know the provider or the model."""
    model = model_of(wanted)
    if model is None:
        return ()
    prices = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    found = [(one.constraint, price_of(one.prices)) for one in prices]
    return tuple(_dated(constraint, price) for constraint, price in found if price is not None)


def model_of(wanted: Wanted) -> ModelInfo | None:
    """Return the package's entry for a place: by its address, else by the provider whose own API is spoken there."""
    snapshot = get_snapshot()
    own, name = _OWN_APIS.get(wanted.provider), wanted.upstream_model
    if wanted.provider == "bridge":  # what is asked for stands behind it
        own, _, name = name.partition("/")
    for provider_id, url in ((None, wanted.base_url), (own, None)):
        if provider_id or url:
            try:
                return snapshot.find_provider_model(name, None, provider_id, url)[1]
            except LookupError:
                continue
    return None


def price_of(prices: ModelPrice) -> Price | None:
    """Return one of the package's prices as ours, None when it is by neither tokens nor requests."""
    per_request = prices.requests_kcount
    request = float(per_request) / _PER_REQUESTS if isinstance(per_request, Decimal) else 0.0
    if prices.input_mtok is None and prices.output_mtok is None and not request:
        return None
    values = [getattr(prices, name) for name in _RATES.values()]
    starts = sorted({tier.start for value in values if isinstance(value, TieredPrices) for tier in value.tiers})
    return Price(
        **_rates(prices, 0),
        request=request,
        tiers=tuple(PriceTier(above=start, **_rates(prices, start + 1)) for start in starts if start > 0),
        source=f"{_PACKAGE} {version(_PACKAGE)}",
    )


def _rates(prices: ModelPrice, prompt_tokens: int) -> dict[str, float]:
    found = {}
    for name, theirs in _RATES.items():
        value = getattr(prices, theirs)
        if isinstance(value, TieredPrices):
            reached = [tier.price for tier in value.tiers if prompt_tokens > tier.start]
            value = reached[-1] if reached else value.base
        if value is not None:
            found[name] = float(value)
    return found


def _dated(constraint: StartDateConstraint | TimeOfDateConstraint | None, price: Price) -> DatedPrice:
    if isinstance(constraint, StartDateConstraint):
        begins = datetime.combine(constraint.start_date, time(), UTC)
        return DatedPrice(since=begins.timestamp(), price=price)
    if isinstance(constraint, TimeOfDateConstraint):
        return DatedPrice(daily=(_second(constraint.start_time), _second(constraint.end_time)), price=price)
    return DatedPrice(price=price)


def _second(moment: time) -> int:
    offset = moment.utcoffset()
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second - (int(offset.total_seconds()) if offset else 0)
    return seconds % 86_400


def answered(wanted: Iterable[Wanted]) -> tuple[Listing, ...]:
    """Return the listings of many places, in order."""
    return tuple(listing_of(one) for one in wanted)


if __name__ == "__main__":
    asked = TypeAdapter(tuple[Wanted, ...]).validate_json(sys.stdin.buffer.read())
    sys.stdout.buffer.write(TypeAdapter(tuple[Listing, ...]).dump_json(answered(asked)))
