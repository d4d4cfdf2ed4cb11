"""Kept answers as the gateway's admin API shows and forgets them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sluice.contracts.base import Reply, Request, Usd
from sluice.contracts.gateway import Id, ModelName, Tenant


class InvalidateCache(Request):
    """Which kept answers count no more: those of exactly one of tenant, model or key, or all."""

    tenant: Tenant | None = None
    model: ModelName | None = None
    key_id: Id | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if sum(one is not None for one in (self.tenant, self.model, self.key_id, self.all)) != 1:
            raise ValueError('name exactly one of "tenant", "model" and "key_id", or say "all": true')
        return self

    @property
    def scope(self) -> str:
        """Its name among invalidations."""
        named = (("tenant", self.tenant), ("model", self.model), ("key", self.key_id))
        return next((f"{kind}:{name}" for kind, name in named if name is not None), "all")


class CacheInvalidation(Reply):
    """Answers that were kept until `at` (unix seconds) count no more, in all gateways within a second."""

    object: Literal["cache.invalidation"] = "cache.invalidation"
    scope: str
    at: float


class CacheThreshold(Reply):
    """How near questions in other words have to be for a model or route whose policy lets that tune itself, and what was seen.

    `threshold` is in force within ten seconds in all gateways; `own` is that of the policy. Of `samples` (the latest 500) `agreed` are those whose kept and own
    answers agreed; `reaching` are the samples at the threshold or nearer, `wrong` those of them that did not agree, `error` their share.
    """

    object: Literal["cache.threshold"] = "cache.threshold"
    name: str
    threshold: float
    own: float
    least: float
    most: float
    max_error: float
    samples: int
    agreed: int
    reaching: int
    wrong: int
    error: float | None


class CacheThresholds(Reply):
    """All of them."""

    object: Literal["list"] = "list"
    data: tuple[CacheThreshold, ...]


class CacheStatistics(Reply):
    """What one gateway process keeps in memory, and how requests that may be answered from the cache fared there."""

    object: Literal["cache.statistics"] = "cache.statistics"
    entries: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]
    requests: dict[str, int]
    hit_rate: float | None
    saved_usd: Usd
