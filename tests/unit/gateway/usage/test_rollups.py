"""Which sums cover a period, and what events add to them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.usage import UsageRecorded
from sluice_gateway.domain.rollups import SECONDS, RollupSums, rolled_up, spans
from sluice_gateway.domain.usage_rows import UsageRows

DAY = 86_400.0
TIMES = st.one_of(
    st.none(),
    st.integers(0, 10 * 24).map(lambda hours: hours * 3600.0),
    st.integers(0, 10).map(lambda days: days * DAY),
    st.floats(0, 10 * DAY, allow_nan=False),
)


def event(number: int, **fields: Any) -> UsageRecorded:
    values: dict[str, Any] = {
        "event_id": f"evt_{number}",
        "request_id": f"req_{number}",
        "at": 5.0,
        "tenant": "acme",
        "key_id": "key_1",
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "status": "ok",
        "http_status": 200,
    }
    return UsageRecorded.model_validate(values | fields)


@given(TIMES, TIMES, st.lists(st.floats(0, 10 * DAY, allow_nan=False), max_size=30))
def test_every_moment_of_a_period_is_in_exactly_one_part(
    since: float | None, until: float | None, moments: list[float]
) -> None:
    parts = spans(since, until)
    for moment in moments:
        wanted = (since is None or moment >= since) and (until is None or moment < until)
        covering = 0
        for part in parts:
            seconds = SECONDS[part.grain] if part.grain else None
            starts = moment if seconds is None else moment // seconds * seconds
            covering += (part.since is None or starts >= part.since) and (part.until is None or starts < part.until)
        assert covering == (1 if wanted else 0)


@given(TIMES, TIMES)
def test_records_are_read_for_two_hours_at_most(since: float | None, until: float | None) -> None:
    raw = [part for part in spans(since, until) if part.grain is None]
    assert all(part.since is not None and part.until is not None for part in raw)
    assert sum((part.until or 0) - (part.since or 0) for part in raw if (part.until or 0) > (part.since or 0)) <= 7200


def test_events_are_summed_up_by_hour_and_day_in_one_order() -> None:
    events = [
        event(1, at=3599.9, prompt_tokens=1, completion_tokens=2, cached_tokens=1, cost_usd=0.5),
        event(2, at=3600.0, prompt_tokens=10, status="error", http_status=500, reasoning_tokens=3),
        event(3, at=10.0, prompt_tokens=100, cost_usd=0.25),
        event(4, at=10.0, team_id="t", cache_write_tokens=4),
    ]
    found = [((key.grain, key.starts, key.team_id, key.status), sums) for key, sums in rolled_up(UsageRows.of(events))]
    assert found == [
        (("day", 0, "", "error"), RollupSums(1, 1, 10, 0, 0, 0, 3, 0.0)),
        (("day", 0, "", "ok"), RollupSums(2, 0, 101, 2, 1, 0, 0, 0.75)),
        (("day", 0, "t", "ok"), RollupSums(1, 0, 0, 0, 0, 4, 0, 0.0)),
        (("hour", 0, "", "ok"), RollupSums(2, 0, 101, 2, 1, 0, 0, 0.75)),
        (("hour", 0, "t", "ok"), RollupSums(1, 0, 0, 0, 0, 4, 0, 0.0)),
        (("hour", 3600, "", "error"), RollupSums(1, 1, 10, 0, 0, 0, 3, 0.0)),
    ]
    assert rolled_up(UsageRows.of(reversed(events))) == rolled_up(UsageRows.of(events))
