"""Queries on the gateway's database: prices that administrators set."""

from dataclasses import replace

from sqlalchemy import func, select

from sluice.contracts.paging import Order
from sluice.contracts.routing import Price
from sluice.db import Database
from sluice_gateway.audit_store import audit_row
from sluice_gateway.domain.audit import Trail
from sluice_gateway.domain.errors import PriceNotFound
from sluice_gateway.domain.prices import StoredPrice
from sluice_gateway.tables import PriceOverrideRow

Row = PriceOverrideRow


class PriceStore:
    """Price overrides; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, stored: StoredPrice, trail: Trail) -> StoredPrice:
        """Add a price with its audit record."""
        async with self._database.write() as session:
            session.add(
                Row(
                    id=stored.id,
                    model=stored.model,
                    price=stored.price.model_dump(mode="json", exclude_none=True),
                    valid_from=stored.valid_from,
                    created_at=stored.created_at,
                )
            )
            session.add(audit_row(trail.made(stored)))
        return stored

    async def delete(self, price_id: str, trail: Trail) -> StoredPrice:
        """Delete a price with an audit record, or raise PriceNotFound; its row stays."""
        async with self._database.write() as session:
            row = await session.get(Row, price_id, with_for_update=True)
            if row is None or row.deleted_at is not None:
                raise _none(price_id)
            stored = _stored(row)
            row.deleted_at = trail.at
            session.add(audit_row(trail.deleted(stored)))
        return replace(stored, deleted_at=trail.at)

    async def get(self, price_id: str) -> StoredPrice:
        """Return one price, a deleted one too, or raise PriceNotFound."""
        async with self._database.read() as session:
            row = await session.get(Row, price_id)
            if row is None:
                raise _none(price_id)
            return _stored(row)

    async def page(
        self, *, model: str | None, deleted: bool, limit: int, after: str | None, order: Order
    ) -> list[StoredPrice]:
        """Return at most `limit + 1` prices by id, which is by time of creation."""
        query = select(Row).limit(limit + 1)
        if model is not None:
            query = query.where(Row.model == model)
        if not deleted:
            query = query.where(Row.deleted_at.is_(None))
        if order == "asc":
            query = (query.where(Row.id > after) if after else query).order_by(Row.id.asc())
        else:
            query = (query.where(Row.id < after) if after else query).order_by(Row.id.desc())
        async with self._database.read() as session:
            return [_stored(row) for row in await session.scalars(query)]

    async def all(self) -> tuple[StoredPrice, ...]:
        """Return every price that is not deleted."""
        async with self._database.read() as session:
            return tuple(_stored(row) for row in await session.scalars(select(Row).where(Row.deleted_at.is_(None))))

    async def mark(self) -> tuple[int, int]:
        """Return what changes whenever any price does."""
        async with self._database.read() as session:
            count, deleted = (await session.execute(select(func.count(), func.count(Row.deleted_at)))).one()
            return int(count), int(deleted)


def _none(price_id: str) -> PriceNotFound:
    return PriceNotFound(f"There is no price with id {price_id}. GET /admin/prices/overrides lists them.")


def _stored(row: PriceOverrideRow) -> StoredPrice:
    price = Price.model_validate(row.price)
    return StoredPrice(row.id, row.model, price, row.valid_from, row.created_at, row.deleted_at)
