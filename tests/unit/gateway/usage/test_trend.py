"""Intervals of a trend, and how many there may be."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.domain.errors import TrendTooLong
from sluice_gateway.domain.usage import Counted, check_trend, day_of, interval_of, trend, trend_period

DAY = 86_400.0
DAYS = st.integers(0, 40_000)
COUNTED = st.builds(Counted, *[st.integers(0, 10**6)] * 7, st.integers(0, 1000).map(float))


@given(DAYS)
def test_an_interval_begins_on_a_monday_or_with_its_month(day: int) -> None:
    found = interval_of(day, "day")
    assert (found - date(1970, 1, 1)).days == day
    week, month = interval_of(day, "week"), interval_of(day, "month")
    assert week.weekday() == 0
    assert 0 <= (found - week).days < 7
    assert (month.day, month.month, month.year) == (1, found.month, found.year)


@given(st.lists(st.tuples(DAYS, st.sampled_from([None, "a", "b"]), COUNTED)), st.sampled_from(["day", "week", "month"]))
def test_nothing_is_lost_between_intervals(days: list[tuple[int, str | None, Counted]], interval: str) -> None:
    found = list(trend(days, interval))  # type: ignore[arg-type] # one of three words
    assert [one[:2] for one in found] == sorted({one[:2] for one in found}, key=lambda one: (one[0], one[1] or ""))
    for column in range(8):
        assert sum(one[2][column] for one in found) == sum(one[2][column] for one in days)


def test_a_trend_without_a_beginning_goes_back_as_far_as_its_interval_says() -> None:
    assert trend_period(None, None, "day", 1000 * DAY) == (910 * DAY, 1000 * DAY)
    assert trend_period(None, 500 * DAY, "week", 1000 * DAY) == (136 * DAY, 500 * DAY)
    assert trend_period(None, 5 * DAY, "month", 1000 * DAY) == (0.0, 5 * DAY)
    assert trend_period(7.0, None, "month", 1000 * DAY) == (7.0, 1000 * DAY)


def test_a_trend_has_few_enough_points() -> None:
    check_trend(0, 4998 * DAY, "day", 1)
    check_trend(0, 400 * DAY, "day", 12)
    for until, interval, groups in ((4999 * DAY, "day", 1), (500 * DAY, "day", 10), (3000 * DAY, "month", 50)):
        with pytest.raises(TrendTooLong):
            check_trend(0, until, interval, groups)  # type: ignore[arg-type] # one of three words


def test_shares_of_nothing_are_null() -> None:
    assert Counted().shown()["cost_per_million_tokens_usd"] is None
    assert Counted(prompt_tokens=4, completion_tokens=4, cached_tokens=1, cost_usd=2.0).shown() == {
        **Counted(prompt_tokens=4, completion_tokens=4, cached_tokens=1, cost_usd=2.0)._asdict(),
        "total_tokens": 8,
        "cost_per_million_tokens_usd": 250_000.0,
        "cached_share": 0.25,
    }
    assert day_of(DAY) == 1
