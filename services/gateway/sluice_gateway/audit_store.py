"""Queries on the gateway's database: the audit log."""

from collections import Counter
from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import InstrumentedAttribute

from sluice.contracts.paging import Order
from sluice.contracts.tenancy import AuditRecord
from sluice.db import Database
from sluice_gateway.domain.audit import AuditFilter
from sluice_gateway.domain.errors import AuditRecordNotFound
from sluice_gateway.responses.tables import ConversationRow, ResponseRow
from sluice_gateway.tables import AuditRow, TranscriptRow

_AT_ONCE = 500
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


async def erase(
    database: Database,
    row: type[TranscriptRow | ResponseRow | ConversationRow],
    conditions: Sequence[ColumnElement[bool]],
    record: Callable[[str, int], AuditRecord],
    *,
    beneath: InstrumentedAttribute[str] | None = None,
) -> int:
    """Delete all rows that match, some at a time, with those that name them in `beneath`, and return how many.

    Of each organisation one audit record, which `record` makes of it and a count, says how many are gone, at every moment.
    """
    records: dict[str, AuditRecord] = {}
    gone = 0
    while True:
        chosen = select(row.id, row.organization_id).where(*conditions).limit(_AT_ONCE)
        async with database.write() as session:
            found = (await session.execute(chosen)).all()
            ids = [one.id for one in found]
            if beneath is not None:
                await session.execute(delete(beneath.class_).where(beneath.in_(ids)))
            await session.execute(delete(row).where(row.id.in_(ids)))
            for organization, count in Counter(one.organization_id for one in found).items():
                known = records.get(organization)
                if known is None:
                    records[organization] = record(organization, count)
                    session.add(audit_row(records[organization]))
                    continue
                before = {**(known.before or {}), "deleted": (known.before or {})["deleted"] + count}
                records[organization] = known.model_copy(update={"before": before})
                await session.execute(update(AuditRow).where(AuditRow.id == known.id).values(before=before))
        gone += len(found)
        if len(found) < _AT_ONCE:
            return gone
