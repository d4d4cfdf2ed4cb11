"""Deletes from the gateway's database what is older than it has to be kept."""

from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select

from sluice.db import Database
from sluice_gateway.responses.tables import ConversationItemRow, ConversationRow, ResponseRow
from sluice_gateway.tables import (
    AuditRow,
    OrganizationRow,
    RetiredSecretRow,
    TranscriptRow,
    UsageRollupRow,
    UsageRow,
    UsageTagRollupRow,
    UsageTagRow,
)

_BATCH = 2000
_FEW = 100  # conversations, of which each may have many items
_DAY_S = 86_400


class RetentionStore:
    """Deletes old rows, at most 2,000 in one transaction, so that nobody waits long for a lock.

    Every method returns how many rows it deleted; fewer than `batch` means that no more are old. It raises
    DependencyUnavailable when the database is away.
    """

    batch = _BATCH

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_usage(self, before: float) -> int:
        """Delete usage records of requests before a time (unix seconds), then the sums of hours and days that ended before it."""
        deleted = await self._delete(UsageRow, UsageRow.event_id, UsageRow.at < before, UsageRow.at, UsageTagRow)
        if deleted < _BATCH:
            async with self._database.write() as session:
                for sums in (UsageRollupRow, UsageTagRollupRow):
                    await session.execute(delete(sums).where(sums.starts < before - _DAY_S))
        return deleted

    async def delete_audit(self, before: float) -> int:
        """Delete audit records of changes before a time (unix seconds)."""
        return await self._delete(AuditRow, AuditRow.id, AuditRow.at < before, AuditRow.at)

    async def delete_retired_secrets(self, now: float) -> int:
        """Delete digests of rotated secrets whose grace is over."""
        until = RetiredSecretRow.valid_until
        return await self._delete(RetiredSecretRow, RetiredSecretRow.digest, until < now, until)

    async def delete_transcripts(self, now: float) -> int:
        """Delete transcripts that have expired."""
        until = TranscriptRow.expires_at
        return await self._delete(TranscriptRow, TranscriptRow.id, until <= now, until)

    async def delete_responses(self, now: float) -> int:
        """Delete kept responses that have expired, or whose organisation is deleted."""
        gone = select(OrganizationRow.id).where(OrganizationRow.deleted_at.is_not(None))
        until = ResponseRow.expires_at
        old = or_(until <= now, ResponseRow.organization_id.in_(gone))
        return await self._delete(ResponseRow, ResponseRow.id, old, until)

    async def delete_conversations(self, now: float) -> int:
        """Delete conversations that have expired, or whose organisation is deleted, with their items."""
        gone = select(OrganizationRow.id).where(OrganizationRow.deleted_at.is_not(None))
        until = ConversationRow.expires_at
        old = or_(until <= now, ConversationRow.organization_id.in_(gone))
        chosen = select(ConversationRow.id).where(old).order_by(until).limit(_FEW)
        gone_now = 0
        while True:
            async with self._database.write() as session:
                ids = list(await session.scalars(chosen))
                items = ConversationItemRow.conversation_id.in_(ids)
                await session.execute(delete(ConversationItemRow).where(items))
                await session.execute(delete(ConversationRow).where(ConversationRow.id.in_(ids)))
            gone_now += len(ids)
            if len(ids) < _FEW:
                return gone_now

    async def _delete(
        self, table: Any, key: Any, old: ColumnElement[bool], order: Any, beside: Any | None = None
    ) -> int:
        chosen = select(key).where(old).order_by(order).limit(_BATCH)
        async with self._database.write() as session:
            ids = list(await session.scalars(chosen))
            if ids:
                await session.execute(delete(table).where(key.in_(ids)))
                if beside is not None:
                    await session.execute(delete(beside).where(getattr(beside, key.key).in_(ids)))
        return len(ids)
