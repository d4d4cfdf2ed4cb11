"""Prices as they stand in models.yaml."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sluice.contracts.routing import Price, PriceTier


class PriceTierConfig(PriceTier, frozen=True, extra="forbid"):
    """What all tokens of a request cost whose prompt has more than `above` tokens."""


class PriceConfig(Price, frozen=True, extra="forbid"):
    """US dollars per million tokens; `tiers` for long prompts. `source` is not for the file."""

    tiers: tuple[PriceTierConfig, ...] = ()
    source: Literal["config"] = "config"

    @model_validator(mode="after")
    def _tiers_rise(self) -> Self:
        starts = [tier.above for tier in self.tiers]
        if starts != sorted(set(starts)):
            raise ValueError("tiers must stand from the shortest prompts up, each with another `above`")
        return self


class PriceChange(BaseModel):
    """A price that holds from a day on (UTC), or from a time with its zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    valid_from: Annotated[datetime, Field(alias="from")]
    price: PriceConfig

    @property
    def at(self) -> float:
        """When it begins, in unix seconds."""
        return (self.valid_from if self.valid_from.tzinfo else self.valid_from.replace(tzinfo=UTC)).timestamp()


def price_at(price: PriceConfig | None, changes: Sequence[PriceChange], now: float) -> Price | None:
    """Return what the file says that a model costs at a time: the newest change that has begun, else its `price`."""
    begun = [change for change in changes if change.at <= now]
    given = max(begun, key=lambda change: change.at).price if begun else price
    if given is None:
        return None
    content = given.model_dump_json(exclude={"source"})
    # Which of the file's prices it was can be told from a usage record, also when the file says another one today.
    return Price.model_validate_json(content).model_copy(
        update={"source": f"config {hashlib.sha256(content.encode()).hexdigest()[:8]}"}
    )
