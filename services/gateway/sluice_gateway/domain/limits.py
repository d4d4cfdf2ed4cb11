"""The limits that hold for a key: its own, its team's and its organisation's."""

from dataclasses import dataclass
from typing import Literal

from sluice.contracts.gateway import Limits
from sluice.contracts.tenancy import OrganizationLimits

Level = Literal["organization", "team", "key"]
NO_LIMITS = Limits()
NO_ORGANIZATION_LIMITS = OrganizationLimits()


@dataclass(frozen=True, slots=True)
class LevelLimits:
    """The limits of one level, for the request path; `level` and `id` say whose counters they are.

    All keys of a team share the team's object, all of an organisation the organisation's. Money is in US dollars.
    """

    level: Level
    id: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_concurrent: int | None
    budget_per_day_usd: float | None
    budget_per_month_usd: float | None


def compiled(level: Level, holder: str, limits: Limits) -> LevelLimits | None:
    """Return the limits of one level, None when no requests are limited there."""
    if limits is NO_LIMITS or all(getattr(limits, name) is None for name in Limits.model_fields):
        return None
    return LevelLimits(
        level,
        holder,
        limits.requests_per_minute,
        limits.tokens_per_minute,
        limits.max_concurrent,
        limits.budget_per_day_usd,
        limits.budget_per_month_usd,
    )
