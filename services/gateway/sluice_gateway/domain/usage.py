"""Usage: what can be asked for, and how a record is made to fit its row."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from sluice.contracts.usage import UsageRecorded, UsageStatus

_EPOCH = date(1970, 1, 1)
_LENGTHS = {
    "event_id": 64,
    "request_id": 64,
    "tenant": 63,
    "key_id": 64,
    "endpoint": 64,
    "model": 200,
    "route": 200,
    "deployment": 200,
    "error_code": 100,
    "life": 32,
    "organization_id": 40,
    "team_id": 40,
    "end_user": 128,
    "price_source": 100,
}


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


def fitted(event: UsageRecorded) -> UsageRecorded:
    """Return the event with every text cut to its column and without NUL characters, which PostgreSQL refuses.

    Texts such as a model's name come from callers; one that does not fit must not keep a whole batch from being stored.
    """
    changed = {}
    for name, length in _LENGTHS.items():
        text = getattr(event, name)
        if text is not None and (len(text) > length or "\x00" in text):
            changed[name] = text.replace("\x00", "")[:length]
    return event.model_copy(update=changed) if changed else event
