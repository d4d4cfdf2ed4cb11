"""Budgets as the gateway's admin API shows them, and the alert that a webhook gets."""

from typing import Literal

from sluice.contracts.base import Reply, Usd
from sluice.contracts.gateway import UnixTime

BudgetLevel = Literal["organization", "team", "key"]
BudgetPeriod = Literal["day", "month"]


class Budget(Reply):
    """One budget and what is spent of it, as far as requests are recorded; `share` is spent by limit, 1 for a used-up budget of 0.

    `id` names level, holder and period; the period began at `begins` and ends at `ends` (UTC).
    """

    id: str
    object: Literal["budget"] = "budget"
    level: BudgetLevel
    holder_id: str
    holder_name: str
    organization_id: str
    tenant: str
    period: BudgetPeriod
    begins: UnixTime
    ends: UnixTime
    limit_usd: Usd
    spent_usd: Usd
    share: float


class BudgetAlert(Reply):
    """What is sent when so much of a budget is spent: once for each budget, period and threshold, and again when the budget was changed.

    `text` says it in a sentence, which is also what Slack and its like show of a webhook.
    """

    type: Literal["budget.alert"] = "budget.alert"
    id: str
    threshold: float
    text: str
    budget: Budget
