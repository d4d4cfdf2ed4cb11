"""Of which budgets their owners are told."""

from sluice.contracts.budgets import Budget
from sluice_gateway.domain.budgets import Used, alerts, budget_of, most_used, windows

NOW = 1_795_914_000.0  # 2026-11-29, 01:00 UTC


def budget(limit: float, spent: float, holder: str = "key_1") -> Budget:
    used = Used(holder, "ci", "org_1", "acme", limit, spent, spent / limit)
    return budget_of("key", "day", windows(NOW)["day"], used)


def test_the_most_used_up_come_first() -> None:
    found = [budget(10, 1, "key_1"), budget(10, 9, "key_3"), budget(100, 90, "key_2"), budget(1, 2, "key_4")]
    assert [one.holder_id for one in most_used(found, 3)] == ["key_4", "key_2", "key_3"]


def test_the_highest_threshold_that_was_reached_is_told() -> None:
    assert list(alerts([budget(10, 7.9)], (0.8, 1.0))) == []
    (alert,) = alerts([budget(10, 12)], (1.0, 0.8))
    assert (alert.threshold, alert.id) == (1.0, "key:key_1:day:1795910400:1:10")
    assert alert.text == "The API key ci (acme) has spent $12.00 of its $10.00 for this day (120%)."
    (small,) = alerts([budget(0.002, 0.0017)], (0.8,))
    assert small.text == "The API key ci (acme) has spent $0.0017 of its $0.002 for this day (85%)."
