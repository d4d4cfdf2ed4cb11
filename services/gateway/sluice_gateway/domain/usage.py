"""Usage: what can be asked for, what storing it comes to, and its days."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from sluice.contracts.usage import UsageRecorded, UsageStatus

_EPOCH = date(1970, 1, 1)


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
    since: float | None = None
    until: float | None = None


class Inserted(NamedTuple):
    """How many rows are new, and which events the database refuses."""

    added: int
    refused: tuple[UsageRecorded, ...] = ()


class RowsRefused(Exception):
    """The database is there and refuses at least one of the rows, for what it holds."""


def day_of(at: float) -> int:
    """Return the day of a time: days since 1970-01-01, UTC."""
    return int(at // 86_400)


def day_name(day: int) -> str:
    """Return a day as YYYY-MM-DD."""
    return (_EPOCH + timedelta(days=day)).isoformat()
