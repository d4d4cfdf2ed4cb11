"""Queries on the gateway's database: budgets, what is spent of them, and which alerts were sent."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, String, cast, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute

from sluice.contracts.budgets import Budget, BudgetAlert, BudgetPeriod
from sluice.db import Database, ReadSession
from sluice_gateway import rollup_store
from sluice_gateway.domain.budgets import Holder, Spent, budgets, windows
from sluice_gateway.domain.usage import UsageFilter
from sluice_gateway.tables import ApiKeyRow, BudgetAlertRow, OrganizationRow, TeamRow

_TAKEN_AGAIN_AFTER_S = 60
_KEPT_S = 62 * 86_400
_LIMITS: dict[BudgetPeriod, str] = {"day": "budget_per_day_usd", "month": "budget_per_month_usd"}


class BudgetStore:
    """Budgets; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, now: float, organization_id: str | None = None) -> list[Budget]:
        """Return all budgets, or those of one organisation, the most used-up first."""
        async with self._database.read() as session:
            holders = await _holders(session, organization_id)
            if not holders:
                return []
            spent = {period: await _spent(session, window.begins) for period, window in windows(now).items()}
        return budgets(holders, spent, now)

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


async def _holders(session: ReadSession, organization_id: str | None) -> list[Holder]:
    organizations = (
        await session.execute(
            select(OrganizationRow.id, OrganizationRow.name, OrganizationRow.tenant, OrganizationRow.limits).where(
                OrganizationRow.deleted_at.is_(None), *_within(OrganizationRow.id, organization_id)
            )
        )
    ).all()
    tenants = {row.id: row.tenant for row in organizations}
    found = [Holder("organization", row.id, row.name, row.id, row.tenant, _limits(row.limits)) for row in organizations]
    teams = (
        await session.execute(
            select(TeamRow.id, TeamRow.name, TeamRow.organization_id, TeamRow.limits).where(
                TeamRow.deleted_at.is_(None),
                _has_budget(TeamRow.limits),
                *_within(TeamRow.organization_id, organization_id),
            )
        )
    ).all()
    keys: dict[str, set[str]] = defaultdict(set)
    of_teams = select(ApiKeyRow.id, ApiKeyRow.team_id).where(ApiKeyRow.team_id.in_([row.id for row in teams]))
    for row in await session.execute(of_teams):
        keys[row.team_id].add(row.id)
    found += [
        Holder(
            *("team", row.id, row.name, row.organization_id, tenants.get(row.organization_id, "")),
            _limits(row.limits),
            frozenset(keys[row.id]),
        )
        for row in teams
    ]
    for row in await session.execute(
        select(ApiKeyRow.id, ApiKeyRow.name, ApiKeyRow.organization_id, ApiKeyRow.tenant, ApiKeyRow.limits).where(
            ApiKeyRow.revoked_at.is_(None),
            _has_budget(ApiKeyRow.limits),
            *_within(ApiKeyRow.organization_id, organization_id),
        )
    ):
        found.append(Holder("key", row.id, row.name, row.organization_id, row.tenant, _limits(row.limits)))
    return [holder for holder in found if holder.limits]


def _within(column: "InstrumentedAttribute[str]", organization_id: str | None) -> list[ColumnElement[bool]]:
    return [] if organization_id is None else [column == organization_id]


def _has_budget(limits: "InstrumentedAttribute[dict[str, float]]") -> ColumnElement[bool]:
    return cast(limits, String).like("%budget_per_%")


def _limits(limits: dict[str, float]) -> dict[BudgetPeriod, float]:
    return {period: limit for period, name in _LIMITS.items() if (limit := limits.get(name)) is not None}


async def _spent(session: ReadSession, since: float) -> Spent:
    rows = rollup_store.source(UsageFilter(since=since), raw=False)
    query = select(rows.c.key_id, rows.c.tenant, func.coalesce(func.sum(rows.c.cost_usd), 0.0).label("dollars"))
    by_key: dict[str, float] = defaultdict(float)
    by_tenant: dict[str, float] = defaultdict(float)
    for row in await session.execute(query.group_by(rows.c.key_id, rows.c.tenant)):
        by_key[row.key_id] += float(row.dollars)
        by_tenant[row.tenant] += float(row.dollars)
    return Spent(by_key, by_tenant)
