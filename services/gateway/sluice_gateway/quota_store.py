"""Queries on the gateway's database: quotas of tenants, and what they have of them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, literal, select

from sluice.contracts.quotas import Quota, QuotaName
from sluice.db import AsyncSession, Database
from sluice_gateway.batches.tables import BatchRow
from sluice_gateway.domain.batches import OPEN
from sluice_gateway.domain.quotas import QUOTAS, InUse, Quotas, most_used, quota_of
from sluice_gateway.files.tables import FileRow
from sluice_gateway.tables import OrganizationRow

_KEPT = ("uploading", "ready")
_LOCKS = 23  # the space of the advisory locks that are taken here


class Held(NamedTuple):
    """The quotas of a tenant, and what it has; nobody else adds to it before the transaction ends."""

    quotas: Quotas
    file_bytes: int
    unfinished_batches: int


class QuotaStore:
    """Quotas; `of_all` are those of organisations that have none of their own.

    What is used is counted anew each time, from the rows themselves. Every method raises DependencyUnavailable when the database is away.
    """

    def __init__(self, database: Database, of_all: Quotas) -> None:
        self._database = database
        self._of_all = of_all

    async def hold(self, session: AsyncSession, tenant: str) -> Held:
        """Return the quotas of a tenant and what it has, and let nobody else add to it until the session's transaction ends."""
        if not self._database.is_sqlite:  # there, one writes at a time; here, one of each tenant
            await session.execute(select(func.pg_advisory_xact_lock(_LOCKS, func.hashtext(tenant))))
        own = await session.scalar(select(OrganizationRow.limits).where(OrganizationRow.tenant == tenant)) or {}
        files = select(func.coalesce(func.sum(FileRow.bytes), 0)).where(
            FileRow.tenant == tenant, FileRow.state.in_(_KEPT)
        )
        batches = select(func.count(BatchRow.id)).where(BatchRow.tenant == tenant, BatchRow.status.in_(OPEN))
        return Held(
            Quotas(**{name: int(own.get(name, getattr(self._of_all, name))) for name in QUOTAS}),
            int(await session.scalar(files) or 0),
            int(await session.scalar(batches) or 0),
        )

    async def most_used(
        self,
        *,
        organization_id: str | None = None,
        quotas: Iterable[QuotaName] = QUOTAS,
        min_share: float = 0.0,
        most: int,
    ) -> list[Quota]:
        """Return what organisations have of their quotas, the most used-up first: of which at least `min_share` is used, at most `most`."""
        found: list[Quota] = []
        async with self._database.read() as session:
            for name in quotas:
                query = self._used(name, organization_id, min_share).limit(most)
                found += (quota_of(name, InUse(*row)) for row in (await session.execute(query)).all())
        return most_used(found, most)

    async def file_bytes(self) -> int:
        """Return the bytes of all files of all tenants."""
        async with self._database.read() as session:
            return int(await session.scalar(select(func.sum(FileRow.bytes)).where(FileRow.state.in_(_KEPT))) or 0)

    def _used(self, name: QuotaName, organization_id: str | None, min_share: float) -> Select[Any]:
        of_tenants = (_BYTES if name == "file_bytes" else _BATCHES).subquery()
        own = OrganizationRow.limits[name].as_float()
        limit = func.coalesce(own, literal(float(getattr(self._of_all, name))))
        used = func.coalesce(of_tenants.c.used, 0)
        share = case((limit > 0, used / func.nullif(limit, 0.0)), (used > 0, 1.0), else_=0.0)
        columns = (OrganizationRow.id, OrganizationRow.name, OrganizationRow.tenant, own, limit, used, share)
        query = select(*columns).outerjoin(of_tenants, of_tenants.c.tenant == OrganizationRow.tenant)
        query = query.where(OrganizationRow.deleted_at.is_(None), share >= min_share)
        if organization_id is not None:
            query = query.where(OrganizationRow.id == organization_id)
        return query.order_by(share.desc(), OrganizationRow.id)


_BYTES = (
    select(FileRow.tenant, func.sum(FileRow.bytes).label("used"))
    .where(FileRow.state.in_(_KEPT))
    .group_by(FileRow.tenant)
)
_BATCHES = (
    select(BatchRow.tenant, func.count(BatchRow.id).label("used"))
    .where(BatchRow.status.in_(OPEN))
    .group_by(BatchRow.tenant)
)
