"""Queries on the gateway's database: the audit log."""

from sqlalchemy import ColumnElement, select

from sluice.contracts.paging import Order
from sluice.contracts.tenancy import AuditRecord
from sluice.db import Database
from sluice_gateway.domain.audit import AuditFilter
from sluice_gateway.domain.errors import AuditRecordNotFound
from sluice_gateway.tables import AuditRow

_FIELDS = tuple(name for name in AuditRecord.model_fields if name != "object")


class AuditStore:
    """The audit log, read; records are written by the stores whose changes they tell of (`audit_row`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: AuditFilter, *, limit: int, after: str | None, order: Order) -> list[AuditRecord]:
        """Return at most `limit + 1` records by id, which is by time."""
        query = select(AuditRow).where(*_conditions(wanted)).limit(limit + 1)
        if order == "asc":
            query = query.order_by(AuditRow.id.asc())
            query = query.where(AuditRow.id > after) if after else query
        else:
            query = query.order_by(AuditRow.id.desc())
            query = query.where(AuditRow.id < after) if after else query
        async with self._database.read() as session:
            return [_record(row) for row in await session.scalars(query)]

    async def get(self, record_id: str, within: str | None) -> AuditRecord:
        """Return one record, or raise AuditRecordNotFound; `within` is the only organisation to look in, None all."""
        async with self._database.read() as session:
            row = await session.get(AuditRow, record_id)
            if row is None or within not in (None, row.organization_id):
                raise AuditRecordNotFound(f"There is no audit record with id {record_id}.")
            return _record(row)


def audit_row(record: AuditRecord) -> AuditRow:
    """Return the row of a record, for the transaction of the change that it tells of."""
    return AuditRow(**{name: getattr(record, name) for name in _FIELDS})


def _record(row: AuditRow) -> AuditRecord:
    return AuditRecord(**{name: getattr(row, name) for name in _FIELDS})


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for column, value in (
        (AuditRow.organization_id, wanted.organization_id),
        (AuditRow.actor_id, wanted.actor_id),
        (AuditRow.action, wanted.action),
        (AuditRow.target, wanted.target),
        (AuditRow.target_id, wanted.target_id),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.since is not None:
        found.append(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        found.append(AuditRow.at < wanted.until)
    return found
