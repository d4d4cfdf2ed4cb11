"""Sums of usage by hour and day: how events are summed up, and which sums cover a period."""

import math
from typing import Any, Literal, NamedTuple

from sluice_gateway.domain.usage_rows import UsageRows

Grain = Literal["hour", "day"]
SECONDS: dict[Grain, int] = {"hour": 3600, "day": 86_400}


class RollupKey(NamedTuple):
    """What is summed up together; an empty text stands for none."""

    grain: Grain
    starts: int
    tenant: str
    organization_id: str
    team_id: str
    key_id: str
    user_type: str
    model: str
    deployment: str
    status: str


class RollupSums(NamedTuple):
    """Sums over requests."""

    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: float

    def plus(self, other: "RollupSums") -> "RollupSums":
        """Return both together."""
        return RollupSums._make(mine + others for mine, others in zip(self, other, strict=True))


def rolled_up(rows: UsageRows) -> list[tuple[RollupKey, RollupSums]]:
    """Return what records add to the sums of their hours and days, in the order of the keys.

    Always the same order, so that two writers that meet the same rows wait for each other and do not block each other.
    """
    columns, hour = rows.columns, SECONDS["hour"]
    if None in columns["cost_usd"]:  # of models without a known price
        columns = columns | {"cost_usd": [dollars or 0.0 for dollars in columns["cost_usd"]]}
    hours = [int(at // hour) * hour for at in columns["at"]]
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(zip(hours, *(columns[name] for name in RollupKey._fields[2:]), strict=True)):
        places.setdefault(key, []).append(place)
    found: dict[RollupKey, RollupSums] = {}
    for (starts, *names), where in places.items():
        texts = [text or "" for text in names]
        failed = 0 if texts[-1] == "ok" else len(where)
        added = (sum(map(columns[name].__getitem__, where)) for name in RollupSums._fields[2:])
        sums = RollupSums(len(where), failed, *added)
        for grain, seconds in SECONDS.items():
            key = RollupKey(grain, starts // seconds * seconds, *texts)
            found[key] = found[key].plus(sums) if key in found else sums
    return sorted(found.items())


def rolled_up_by_tag(rows: UsageRows) -> list[tuple[str, RollupKey, RollupSums]]:
    """Return the same for each tag, over the records that have it, in order."""
    places: dict[str, list[int]] = {}
    for place, tags in enumerate(rows.columns["tags"]):
        for tag in tags:
            places.setdefault(tag, []).append(place)
    return [(tag, *one) for tag in sorted(places) for one in rolled_up(rows.at(places[tag]))]


class Span(NamedTuple):
    """A part of a period, and where its sums are: in rows of a grain, or (None) in the records themselves."""

    grain: Grain | None
    since: float | None
    until: float | None


def spans(since: float | None, until: float | None) -> list[Span]:
    """Return the parts that a period is summed from: whole days, whole hours at its ends, records at its edges."""
    day, hour = SECONDS["day"], SECONDS["hour"]
    first_hour, last_hour = _up(since, hour), _down(until, hour)
    if first_hour is not None and last_hour is not None and first_hour >= last_hour:
        return [Span(None, since, until)]
    first_day, last_day = _up(since, day), _down(until, day)
    if first_day is not None and last_day is not None and first_day >= last_day:
        middle = [Span("hour", first_hour, last_hour)]
    else:
        middle = [
            Span("hour", first_hour, first_day),
            Span("day", first_day, last_day),
            Span("hour", last_day, last_hour),
        ]
    found = [Span(None, since, first_hour), *middle, Span(None, last_hour, until)]
    return [span for span in found if not _is_empty(span)]


def _is_empty(span: Span) -> bool:
    # A period that is open at an end has no edge there; the span in the middle is open itself.
    return span.grain != "day" and (span.since is None or span.until is None or span.since >= span.until)


def _up(at: float | None, seconds: int) -> int | None:
    return None if at is None else math.ceil(at / seconds) * seconds


def _down(at: float | None, seconds: int) -> int | None:
    return None if at is None else int(at // seconds) * seconds
