"""Prices of models as the gateway's admin API takes and answers them."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sluice.contracts.base import Reply, Request
from sluice.contracts.gateway import ModelName
from sluice.contracts.routing import Price

Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class SetRates(Request):
    """What each kind of token costs, in US dollars per million; a kind without a price costs as `input` or `output`."""

    input: Dollars
    output: Dollars = 0.0
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None
    cache_write_1h: Dollars | None = None
    audio_input: Dollars | None = None
    image_input: Dollars | None = None
    reasoning: Dollars | None = None
    audio_output: Dollars | None = None


class SetTier(SetRates):
    """What all tokens of a request cost whose prompt has more than `above` tokens."""

    above: Annotated[int, Field(ge=1, le=1_000_000_000)]


class SetPrice(SetRates):
    """A price for a model: US dollars per million tokens, and for each `request`; it holds from `valid_from` (unix seconds) on.

    A kind of token without a price costs as `input` or `output`. Without `valid_from` it holds at once; a time that has passed changes
    nothing of what was charged.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "gpt-5", "input": 1.25, "output": 10, "valid_from": 1798761600}]}
    )

    model: ModelName
    request: Dollars = 0.0
    tiers: Annotated[tuple[SetTier, ...], Field(max_length=20)] = ()
    valid_from: Annotated[float, Field(ge=0, le=32_503_680_000, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _tiers_rise(self) -> Self:
        starts = [tier.above for tier in self.tiers]
        if starts != sorted(set(starts)):
            raise ValueError("tiers must stand from the shortest prompts up, each with another `above`")
        return self


class PriceOverride(Reply):
    """A price that an administrator set; a deleted one stays readable, since usage records name it."""

    id: str
    object: Literal["price_override"] = "price_override"
    model: str
    price: Price
    valid_from: float
    created_at: float
    deleted_at: float | None = None


class ModelPrice(Reply):
    """What a model costs now, and where that comes from (`price.source`); `price` null: nobody knows.

    `published` is what models.yaml says, or else the price list of providers; a price in models.yaml comes before all overrides.
    `overrides` are those of the model, the ones to come included.
    """

    object: Literal["model_price"] = "model_price"
    model: str
    price: Price | None
    published: Price | None
    overrides: tuple[PriceOverride, ...] = ()


class ModelPriceList(Reply):
    """The prices of all models, or of the one asked for."""

    object: Literal["list"] = "list"
    data: tuple[ModelPrice, ...]
