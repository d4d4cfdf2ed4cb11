"""Usage: what can be asked for, what storing it comes to, and its days."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from sluice.contracts.usage import TrendInterval, UsageRecorded, UsageStatus
from sluice_gateway.domain.errors import TrendTooLong

_EPOCH = date(1970, 1, 1)
_MOST_POINTS = 5_000
_DAYS: dict[TrendInterval, int] = {"day": 1, "week": 7, "month": 28}
_USUAL_DAYS: dict[TrendInterval, int] = {"day": 90, "week": 364, "month": 730}


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which records are wanted; None means any. Times are unix seconds, `since` included and `until` not."""

    tenant: str | None = None
    key_id: str | None = None
    model: str | None = None
    status: UsageStatus | None = None
    organization_id: str | None = None
    team_id: str | None = None
    end_user: str | None = None
    user_type: str | None = None
    tag: str | None = None
    prompt: str | None = None
    prompt_version: int | None = None
    since: float | None = None
    until: float | None = None


class Inserted(NamedTuple):
    """How many rows are new, and which events the database refuses."""

    added: int
    refused: tuple[UsageRecorded, ...] = ()


class RowsRefused(Exception):
    """The database is there and refuses at least one of the rows, for what it holds."""


class Counted(NamedTuple):
    """Sums over requests, as the database adds them up."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, other: "Counted") -> "Counted":
        """Return both together."""
        return Counted._make(mine + others for mine, others in zip(self, other, strict=True))

    def shown(self) -> dict[str, Any]:
        """Return the fields of `UsageTotals`."""
        return {
            **self._asdict(),
            "total_tokens": self.total_tokens,
            "cost_per_million_tokens_usd": self.cost_usd / self.total_tokens * 1e6 if self.total_tokens else None,
            "cached_share": self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None,
        }


def share(part: float, whole: float) -> float:
    """Return a part of a whole, 0 of nothing."""
    return part / whole if whole else 0.0


def interval_of(day: int, interval: TrendInterval) -> date:
    """Return the first day of the interval in which a day is; weeks begin on Mondays."""
    found = _EPOCH + timedelta(days=day)
    if interval == "month":
        return found.replace(day=1)
    return found - timedelta(days=found.weekday()) if interval == "week" else found


def trend(
    days: Iterable[tuple[int, str | None, Counted]], interval: TrendInterval
) -> Iterator[tuple[date, str | None, Counted]]:
    """Yield the sums of days by interval and group, in order."""
    found: dict[tuple[date, str | None], Counted] = {}
    for day, group, counted in days:
        place = interval_of(day, interval), group
        found[place] = found.get(place, Counted()).plus(counted)
    for (starts, group), counted in sorted(found.items(), key=lambda one: (one[0][0], one[0][1] or "")):
        yield starts, group, counted


def trend_period(since: float | None, until: float | None, interval: TrendInterval, now: float) -> tuple[float, float]:
    """Return the period of a trend, in unix seconds; without a beginning it is as long as `_USUAL_DAYS` says."""
    ends = now if until is None else until
    return max(0.0, ends - _USUAL_DAYS[interval] * 86_400) if since is None else since, ends


def check_trend(since: float, until: float, interval: TrendInterval, groups: int) -> None:
    """Refuse a trend that may have more than 5,000 points.

    Raises:
        TrendTooLong: it may.
    """
    points = (max(0.0, until - since) / 86_400 / _DAYS[interval] + 2) * groups
    if points > _MOST_POINTS:
        raise TrendTooLong(
            f"The answer could have {points:,.0f} points, and {_MOST_POINTS:,} are allowed: ask for a shorter period, longer "
            "intervals or fewer groups."
        )


def day_of(at: float) -> int:
    """Return the day of a time: days since 1970-01-01, UTC."""
    return int(at // 86_400)


def day_name(day: int) -> str:
    """Return a day as YYYY-MM-DD."""
    return (_EPOCH + timedelta(days=day)).isoformat()
