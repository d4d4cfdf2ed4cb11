"""Queries on the gateway's database: budgets, what is spent of them, and which alerts were sent."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from sluice.contracts.budgets import Budget, BudgetAlert, BudgetLevel, BudgetPeriod
from sluice.db import Database
from sluice_gateway import rollup_store
from sluice_gateway.domain.budgets import LEVELS, Used, budget_of, most_used, windows
from sluice_gateway.domain.usage import UsageFilter
from sluice_gateway.tables import ApiKeyRow, BudgetAlertRow, OrganizationRow, TeamRow

_TAKEN_AGAIN_AFTER_S = 60
_KEPT_S = 62 * 86_400
_LIMITS: dict[BudgetPeriod, str] = {"day": "budget_per_day_usd", "month": "budget_per_month_usd"}


class BudgetStore:
    """Budgets; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def most_used(
        self,
        now: float,
        *,
        organization_id: str | None = None,
        level: BudgetLevel | None = None,
        min_share: float = 0.0,
        most: int | None = None,
    ) -> list[Budget]:
        """Return budgets, the most used-up first: those of which at least `min_share` is spent, at most `most`.

        The database compares and sorts, so that a hundred thousand keys cost this process nothing.
        """
        found: list[Budget] = []
        async with self._database.read() as session:
            for period, window in windows(now).items():
                for one in LEVELS if level is None else (level,):
                    query = _used(one, period, window.begins, organization_id, min_share).limit(most)
                    rows = (await session.execute(query)).all()
                    found += (budget_of(one, period, window, Used(*row)) for row in rows)
        return most_used(found, most)

    async def take(self, wanted: Iterable[BudgetAlert], now: float) -> list[BudgetAlert]:
        """Return the alerts that this worker is to send: those that nobody has sent, nor is about to."""
        mine = []
        insert: Any = sqlite.insert if self._database.is_sqlite else postgresql.insert
        async with self._database.write() as session:
            await session.execute(delete(BudgetAlertRow).where(BudgetAlertRow.taken_at < now - _KEPT_S))
            for alert in wanted:
                # one statement, since another worker may do the same now: the row is made or, after a while without success, taken over
                row = insert(BudgetAlertRow).values(id=alert.id, taken_at=int(now), sent_at=None)
                taken = row.on_conflict_do_update(
                    index_elements=["id"],
                    set_={"taken_at": int(now)},
                    where=BudgetAlertRow.sent_at.is_(None) & (BudgetAlertRow.taken_at < now - _TAKEN_AGAIN_AFTER_S),
                ).returning(BudgetAlertRow.id)
                if await session.scalar(taken) is not None:
                    mine.append(alert)
        return mine

    async def sent(self, alert: BudgetAlert, now: float) -> None:
        """Note that an alert has arrived."""
        async with self._database.write() as session:
            row = await session.get(BudgetAlertRow, alert.id)
            if row is not None:
                row.sent_at = int(now)


def _used(
    level: BudgetLevel, period: BudgetPeriod, since: float, organization_id: str | None, min_share: float
) -> Select[Any]:
    table: Any = {"organization": OrganizationRow, "team": TeamRow, "key": ApiKeyRow}[level]
    ended = table.revoked_at if level == "key" else table.deleted_at
    of_organization = table.id if level == "organization" else table.organization_id
    spent = _spent(level, since).subquery()
    limit = table.limits[_LIMITS[period]].as_float()
    dollars = func.coalesce(spent.c.dollars, 0.0)
    share = case((limit > 0, dollars / func.nullif(limit, 0.0)), (dollars > 0, 1.0), else_=0.0)
    columns = (table.id, table.name, of_organization, OrganizationRow.tenant, limit, dollars, share)
    query = select(*columns).where(ended.is_(None), limit.is_not(None), share >= min_share)
    if level != "organization":
        query = query.join(OrganizationRow, OrganizationRow.id == table.organization_id)
    query = query.outerjoin(spent, spent.c.holder == (table.tenant if level == "organization" else table.id))
    if organization_id is not None:
        query = query.where(of_organization == organization_id)
    return query.order_by(share.desc(), table.id)


def _spent(level: BudgetLevel, since: float) -> Select[Any]:
    # A team's are those of the keys that it has now.
    rows = rollup_store.source(UsageFilter(since=since), raw=False)
    holder: Any = {"organization": rows.c.tenant, "team": ApiKeyRow.team_id, "key": rows.c.key_id}[level]
    query = select(holder.label("holder"), func.sum(rows.c.cost_usd).label("dollars")).group_by(holder)
    return query.join(ApiKeyRow, ApiKeyRow.id == rows.c.key_id) if level == "team" else query
