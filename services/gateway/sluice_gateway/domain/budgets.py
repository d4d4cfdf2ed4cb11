"""Budgets: what is spent of each, and of which their owners are to be told."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sluice.contracts.budgets import Budget, BudgetAlert, BudgetLevel, BudgetPeriod
from sluice_gateway.domain.leases import Window, window_at

PERIODS: tuple[BudgetPeriod, ...] = ("day", "month")


class Holder(NamedTuple):
    """An organisation, team or key that has a budget, and its limits in dollars by period.

    `keys` are those of a team.
    """

    level: BudgetLevel
    id: str
    name: str
    organization_id: str
    tenant: str
    limits: Mapping[BudgetPeriod, float]
    keys: frozenset[str] = frozenset()


class Spent(NamedTuple):
    """Dollars since the beginning of a period, by key and by tenant."""

    by_key: Mapping[str, float]
    by_tenant: Mapping[str, float]


def windows(now: float) -> dict[BudgetPeriod, Window]:
    """Return the day and the month of a time."""
    return {period: window_at(period, now) for period in PERIODS}


def budgets(holders: Iterable[Holder], spent: Mapping[BudgetPeriod, Spent], now: float) -> list[Budget]:
    """Return the budgets, the most used-up first."""
    found = [
        _budget(holder, period, spent[period], now)
        for holder in holders
        for period in PERIODS
        if period in holder.limits
    ]
    return sorted(found, key=lambda one: (-one.share, one.id))


def alerts(found: Iterable[Budget], thresholds: Iterable[float]) -> Iterator[BudgetAlert]:
    """Yield an alert for each budget with the highest threshold that it has reached."""
    rising = sorted(thresholds)
    for budget in found:
        reached = [threshold for threshold in rising if budget.share >= threshold]
        if reached:
            yield _alert(budget, reached[-1])


def _budget(holder: Holder, period: BudgetPeriod, spent: Spent, now: float) -> Budget:
    limit = holder.limits[period]
    window = window_at(period, now)
    dollars = _spent(holder, spent)
    return Budget(
        id=f"{holder.level}:{holder.id}:{period}",
        level=holder.level,
        holder_id=holder.id,
        holder_name=holder.name,
        organization_id=holder.organization_id,
        tenant=holder.tenant,
        period=period,
        begins=int(window.begins),
        ends=int(window.ends),
        limit_usd=limit,
        spent_usd=dollars,
        share=dollars / limit if limit else float(dollars > 0),
    )


def _spent(holder: Holder, spent: Spent) -> float:
    if holder.level == "organization":
        return spent.by_tenant.get(holder.tenant, 0.0)
    if holder.level == "team":
        return sum(spent.by_key.get(key, 0.0) for key in holder.keys)
    return spent.by_key.get(holder.id, 0.0)


def _alert(budget: Budget, threshold: float) -> BudgetAlert:
    whose = {"organization": "organisation", "team": "team", "key": "API key"}[budget.level]
    return BudgetAlert(
        id=f"{budget.id}:{budget.begins}:{threshold:g}",
        threshold=threshold,
        text=f"The {whose} {budget.holder_name} ({budget.tenant}) has spent ${_dollars(budget.spent_usd)} of its ${_dollars(budget.limit_usd)} for this "
        f"{budget.period} ({budget.share:.0%}).",
        budget=budget,
    )


def _dollars(amount: float) -> str:
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.2g}"
