"""Batches as the API and the sweep read and change them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from sluice.contracts.batches import (
    Batch,
    BatchCounts,
    BatchCreate,
    BatchError,
    BatchErrors,
    BatchUsage,
    InputTokensDetails,
    OutputTokensDetails,
)
from sluice.contracts.paging import PageQuery
from sluice.db import AsyncSession, Database
from sluice_gateway.batches.tables import BatchRow
from sluice_gateway.domain.batches import (
    ENDED,
    IDEMPOTENCY_WINDOW_S,
    OPEN,
    BatchKey,
    OnBehalf,
    check_wish,
    pause_after_loss,
    repetition_digest,
    window_s,
    wish_digest,
)
from sluice_gateway.domain.errors import IdempotencyKeyReused
from sluice_gateway.domain.file_errors import BatchHasEnded, BatchNotFound, BatchRefused
from sluice_gateway.domain.quotas import check_batch
from sluice_gateway.files.store import ready_file, shown_file
from sluice_gateway.quota_store import QuotaStore

_TRIES = 3
_RAREST_SEND_S = 600.0


class Stored(NamedTuple):
    """A batch, and whether an earlier creation is answered again."""

    batch: Batch
    replayed: bool


class BatchStore:
    """Batches of all tenants; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database, quotas: QuotaStore, max_bytes: int, keep_s: int) -> None:
        self._database = database
        self._quotas = quotas
        self._max_bytes = max_bytes
        self._keep_s = keep_s

    async def add(
        self,
        batch_id: str,
        owner: OnBehalf,
        wish: BatchCreate,
        repetition: str | None,
        now: float,
        look_at: float,
        *,
        total: int = 0,
    ) -> Stored:
        """Keep a batch, of `total` requests if that is known; with the Idempotency-Key of an earlier one of the last 24 hours, that one is returned.

        Raises:
            BatchRefused: it cannot be made as it is asked for.
            TooManyBatches: as many of the tenant as may be have not ended.
            StorageFull: its answers would have no room.
            IdempotencyKeyReused: the Idempotency-Key was used for another wish.
        """
        digest = None if repetition is None else repetition_digest(owner.tenant, owner.key_id, repetition)
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._database.write() as session:
                    found = None if digest is None else await _repeated(session, digest, wish, now)
                    if found is not None:
                        return Stored(shown_batch(found), replayed=True)
                    held = await self._quotas.hold(session, owner.tenant)
                    check_batch(held.unfinished_batches, held.file_bytes, held.quotas)
                    row = await self._new(session, owner, wish, now)
                    row.id, row.idempotency_digest, row.look_at, row.total = batch_id, digest, look_at, total
                    session.add(row)
                return Stored(shown_batch(row), replayed=False)
            except IntegrityError:  # the same creation was made twice at once: the second look finds it
                if attempt == _TRIES:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _new(self, session: AsyncSession, owner: OnBehalf, wish: BatchCreate, now: float) -> BatchRow:
        # The lock keeps the file from being deleted between this look and the batch that needs it.
        file = await session.scalar(ready_file(owner.tenant, wish.input_file_id).with_for_update())
        if file is None:
            raise BatchRefused(f"`input_file_id`: there is no file {wish.input_file_id!r}. GET /v1/files lists yours.")
        check_wish(wish, shown_file(file), self._max_bytes)
        return BatchRow(
            tenant=owner.tenant,
            key_id=owner.key_id,
            endpoint=wish.endpoint,
            input_file_id=file.id,
            completion_window=wish.completion_window,
            status="validating",
            output_keep_s=wish.output_expires_after.seconds if wish.output_expires_after else self._keep_s,
            details=wish.metadata,
            total=0,
            completed=0,
            failed=0,
            unanswered=0,
            input_tokens=0,
            cached_tokens=0,
            output_tokens=0,
            reasoning_tokens=0,
            created_at=int(now),
            expires_at=int(now) + window_s(wish.completion_window),
            request_digest=wish_digest(wish),
            attempts=0,
        )

    async def get(self, tenant: str, batch_id: str) -> Batch:
        """Return a batch.

        Raises:
            BatchNotFound: this tenant has none of this id.
        """
        async with self._database.read() as session:
            row = await session.get(BatchRow, batch_id)
            if row is None or row.tenant != tenant:
                raise _not_found(batch_id)
            return shown_batch(row)

    async def page(self, tenant: str, page: PageQuery, endpoint: str | None = None) -> list[Batch]:
        """Return a page of a tenant's batches, of one endpoint or of all, and one more if there are more."""
        query = select(BatchRow).where(BatchRow.tenant == tenant).limit(page.limit + 1)
        if endpoint is not None:
            query = query.where(BatchRow.endpoint == endpoint)
        ascending = page.order == "asc"
        if page.after is not None:
            query = query.where(BatchRow.id > page.after if ascending else BatchRow.id < page.after)
        query = query.order_by(BatchRow.id.asc() if ascending else BatchRow.id.desc())
        async with self._database.read() as session:
            return [shown_batch(row) for row in await session.scalars(query)]

    async def cancel(self, tenant: str, batch_id: str, now: float) -> Batch:
        """Have a batch cancelled; its worker, or the next one, writes what there is into its files.

        Raises:
            BatchNotFound: this tenant has none of this id.
            BatchHasEnded: it has ended, or its files are being written.
        """
        async with self._database.write() as session:
            row = await session.get(BatchRow, batch_id, with_for_update=True)
            if row is None or row.tenant != tenant:
                raise _not_found(batch_id)
            if row.status not in ("validating", "in_progress", "cancelling"):
                raise BatchHasEnded(f"The batch is {row.status}; only one that is not at its end can be cancelled.")
            if row.status != "cancelling":
                row.status, row.cancelling_at = "cancelling", int(now)
            return shown_batch(row)

    async def delete(self, tenant: str, batch_id: str) -> None:
        """Forget a batch that has ended.

        Raises:
            BatchNotFound: this tenant has none of this id.
        """
        async with self._database.write() as session:
            row = await session.get(BatchRow, batch_id, with_for_update=True)
            if row is None or row.tenant != tenant or row.status not in ENDED:
                raise _not_found(batch_id)
            await session.delete(row)

    async def put_off(self, keys: Sequence[BatchKey], look_at: float) -> None:
        """Have the sweep look again at batches that could not be sent."""
        ids = [key.batch_id for key in keys]
        async with self._database.write() as session:
            waiting = update(BatchRow).where(BatchRow.id.in_(ids), BatchRow.lease_owner.is_(None))
            await session.execute(waiting.values(look_at=look_at))

    async def unfinished(self) -> int:
        """Return how many batches of all tenants have not ended."""
        async with self._database.read() as session:
            return int(await session.scalar(select(func.count(BatchRow.id)).where(BatchRow.status.in_(OPEN))))

    async def due(self, now: float, resend_s: float, limit: int = 50) -> list[BatchKey]:
        """Return batches that wait too long or whose worker was lost, and look at them again after `resend_s` or more.

        The longer a batch waits, the more seldom it is sent again: it is in the queue already. The lease of a lost worker is taken from it, so that it can write no more, should it live. A batch that lost several
        in a row rests before it is sent again.
        """
        query = (
            select(BatchRow)
            .where(BatchRow.status.in_(OPEN), BatchRow.look_at <= now)
            .order_by(BatchRow.look_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as session:
            rows = list(await session.scalars(query))
            return [BatchKey(row.tenant, row.id) for row in rows if _is_sent(row, now, resend_s)]


def _is_sent(row: BatchRow, now: float, resend_s: float) -> bool:
    row.look_at = now + max(resend_s, min((now - row.created_at) / 10, _RAREST_SEND_S))
    if row.lease_owner is None:
        return True
    row.lease_owner = None
    row.attempts += 1
    rest = pause_after_loss(row.attempts)
    if rest:
        row.look_at = now + rest
    return not rest


async def _repeated(session: AsyncSession, digest: str, wish: BatchCreate, now: float) -> BatchRow | None:
    row: BatchRow | None = await session.scalar(
        select(BatchRow).where(BatchRow.idempotency_digest == digest).with_for_update()
    )
    if row is None:
        return None
    if row.created_at <= now - IDEMPOTENCY_WINDOW_S:
        row.idempotency_digest = None
        await session.flush()
        return None
    if row.request_digest != wish_digest(wish):
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used within the last 24 hours for another request; send a new one."
        )
    return row


def shown_batch(row: BatchRow) -> Batch:
    """Return a batch as the API answers it."""
    ended = {f"{row.status}_at": row.ended_at} if row.status in ("failed", "completed", "expired", "cancelled") else {}
    return Batch.model_validate(
        {
            "id": row.id,
            "endpoint": row.endpoint,
            "model": row.model,
            "errors": BatchErrors(data=tuple(map(BatchError.model_validate, row.errors))) if row.errors else None,
            "input_file_id": row.input_file_id,
            "completion_window": row.completion_window,
            "status": row.status,
            "output_file_id": row.output_file_id,
            "error_file_id": row.error_file_id,
            "created_at": row.created_at,
            "in_progress_at": row.in_progress_at,
            "expires_at": row.expires_at,
            "finalizing_at": row.finalizing_at,
            "cancelling_at": row.cancelling_at,
            **ended,
            "request_counts": BatchCounts(
                total=row.total, completed=row.completed, failed=row.failed, unanswered=row.unanswered
            ),
            "usage": BatchUsage(
                input_tokens=row.input_tokens,
                input_tokens_details=InputTokensDetails(cached_tokens=row.cached_tokens),
                output_tokens=row.output_tokens,
                output_tokens_details=OutputTokensDetails(reasoning_tokens=row.reasoning_tokens),
                total_tokens=row.input_tokens + row.output_tokens,
            ),
            "metadata": row.details,
        }
    )


def _not_found(batch_id: str) -> BatchNotFound:
    return BatchNotFound(f"There is no batch {batch_id!r}. GET /v1/batches lists yours.")
