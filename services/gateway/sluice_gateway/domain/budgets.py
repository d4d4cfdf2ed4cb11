"""Budgets: what is spent of each, and of which their owners are to be told."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sluice.contracts.budgets import Budget, BudgetAlert, BudgetLevel, BudgetPeriod
from sluice_gateway.domain.leases import Window, window_at

PERIODS: tuple[BudgetPeriod, ...] = ("day", "month")
LEVELS: tuple[BudgetLevel, ...] = ("organization", "team", "key")


class Used(NamedTuple):
    """A budget of an organisation, team or key in dollars, and what is spent of it since its period began."""

    holder_id: str
    holder_name: str
    organization_id: str
    tenant: str
    limit_usd: float
    spent_usd: float
    share: float


def windows(now: float) -> dict[BudgetPeriod, Window]:
    """Return the day and the month of a time."""
    return {period: window_at(period, now) for period in PERIODS}


def budget_of(level: BudgetLevel, period: BudgetPeriod, window: Window, used: Used) -> Budget:
    """Return a budget as it is shown."""
    return Budget(
        id=f"{level}:{used.holder_id}:{period}",
        level=level,
        period=period,
        begins=int(window.begins),
        ends=int(window.ends),
        **used._asdict(),
    )


def most_used(found: Iterable[Budget], most: int | None) -> list[Budget]:
    """Return the budgets, the most used-up first, at most `most`."""
    return sorted(found, key=lambda one: (-one.share, one.id))[:most]


def alerts(found: Iterable[Budget], thresholds: Iterable[float]) -> Iterator[BudgetAlert]:
    """Yield an alert for each budget with the highest threshold that it has reached."""
    rising = sorted(thresholds)
    for budget in found:
        reached = [threshold for threshold in rising if budget.share >= threshold]
        if reached:
            yield _alert(budget, reached[-1])


def _alert(budget: Budget, threshold: float) -> BudgetAlert:
    whose = {"organization": "organisation", "team": "team", "key": "API key"}[budget.level]
    return BudgetAlert(
        # of a budget that was changed since it is told anew
        id=f"{budget.id}:{budget.begins}:{threshold:g}:{budget.limit_usd:.12g}",
        threshold=threshold,
        text=f"The {whose} {budget.holder_name} ({budget.tenant}) has spent ${_dollars(budget.spent_usd)} of its ${_dollars(budget.limit_usd)} for this "
        f"{budget.period} ({budget.share:.0%}).",
        budget=budget,
    )


def _dollars(amount: float) -> str:
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.2g}"
