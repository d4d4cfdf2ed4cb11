"""Of which budgets their owners are told."""

from typing import Any

from sluice_gateway.domain.budgets import Holder, Spent, alerts, budgets

NOW = 1_795_914_000.0  # 2026-11-29, 01:00 UTC


def found(limit: float, spent: float, **fields: Any) -> Any:
    holder = Holder(
        **{"level": "key", "id": "key_1", "name": "ci", "organization_id": "org_1", "tenant": "acme", **fields},
        limits={"day": limit},
    )
    sums = Spent({"key_1": spent, "key_2": 1.0}, {"acme": spent + 1.0})
    return budgets([holder], {"day": sums, "month": sums}, NOW)


def test_each_level_counts_its_own() -> None:
    assert found(10, 4)[0].spent_usd == 4
    assert found(10, 4, level="team", keys=frozenset({"key_1", "key_2", "key_3"}))[0].spent_usd == 5
    assert found(10, 4, level="organization")[0].share == 0.5
    assert [found(0, spent)[0].share for spent in (0.0, 0.1)] == [0.0, 1.0]


def test_the_highest_threshold_that_was_reached_is_told() -> None:
    assert list(alerts(found(10, 7.9), (0.8, 1.0))) == []
    (alert,) = alerts(found(10, 12), (1.0, 0.8))
    assert (alert.threshold, alert.id) == (1.0, "key:key_1:day:1795910400:1")
    assert alert.text == "The API key ci (acme) has spent $12.00 of its $10.00 for this day (120%)."
    (small,) = alerts(found(0.002, 0.0017), (0.8,))
    assert small.text == "The API key ci (acme) has spent $0.0017 of its $0.002 for this day (85%)."
