"""Batches as workers take and write them. Each write looks first, in its own transaction, whether the batch is still theirs."""

from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet

from sqlalchemy import delete, select

from sluice.contracts.batches import BatchError
from sluice.db import AsyncSession, Database
from sluice_gateway.batches.tables import BatchAnswerRow, BatchRow
from sluice_gateway.domain.batches import (
    OPEN,
    BatchFiles,
    BatchKey,
    Counted,
    Held,
    LineAnswer,
    OnBehalf,
    Outcome,
    Work,
)
from sluice_gateway.domain.file_errors import BatchLost
from sluice_gateway.files.store import finish_file

_PAGE = 50


class SqlBatchBook:
    """The batch book in the gateway's database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def take(self, key: BatchKey, owner: str, now: float, lease_s: float) -> Work | None:
        """Take a batch that waits or whose worker was lost; None if there is nothing to do for it here."""
        async with self._db.write() as session:
            row = await _locked(session, key)
            if row is None or row.status not in OPEN or (row.lease_owner is not None and row.look_at > now):
                return None
            if row.lease_owner is not None:
                row.attempts += 1
            row.lease_owner, row.look_at = owner, now + lease_s
            return _work(row)

    async def hold(self, key: BatchKey, owner: str, until: float) -> Held:
        """Prolong the lease, and learn whether the batch is to be cancelled, or no longer ours."""
        async with self._db.write() as session:
            row = await _locked(session, key)
            if row is None or row.lease_owner != owner:
                return "lost"
            row.look_at = until
            return "cancelling" if row.status == "cancelling" else "ours"

    async def begin(self, key: BatchKey, owner: str, found: Counted, now: float) -> None:
        """Note that the input is right, or raise BatchLost."""
        async with self._db.write() as session:
            row = await _ours(session, key, owner)
            row.total, row.model, row.in_progress_at = found.requests, found.model, int(now)
            if row.status == "validating":
                row.status = "in_progress"

    async def reject(self, key: BatchKey, owner: str, errors: Sequence[BatchError], now: float) -> None:
        """End a batch whose input cannot be used, or raise BatchLost."""
        async with self._db.write() as session:
            row = await _ours(session, key, owner)
            row.errors = [error.model_dump() for error in errors]
            _end(row, "failed", now)

    async def answered(self, key: BatchKey) -> AbstractSet[int]:
        """Return the numbers of the lines that have their answer."""
        async with self._db.read() as session:
            query = select(BatchAnswerRow.line).where(BatchAnswerRow.batch_id == key.batch_id)
            return set(await session.scalars(query))

    async def write(self, key: BatchKey, owner: str, answers: Sequence[LineAnswer]) -> None:
        """Keep answers, the first of each line only, or raise BatchLost."""
        async with self._db.write() as session:
            row = await _ours(session, key, owner)
            lines = [answer.line for answer in answers]
            known = set(
                await session.scalars(
                    select(BatchAnswerRow.line).where(
                        BatchAnswerRow.batch_id == key.batch_id, BatchAnswerRow.line.in_(lines)
                    )
                )
            )
            for answer in answers:
                if answer.line in known:
                    continue
                known.add(answer.line)
                session.add(BatchAnswerRow(batch_id=key.batch_id, line=answer.line, ok=answer.ok, text=answer.text))
                row.completed += answer.ok
                row.failed += not answer.ok
                row.input_tokens += answer.tokens.input
                row.cached_tokens += answer.tokens.cached
                row.output_tokens += answer.tokens.output
                row.reasoning_tokens += answer.tokens.reasoning
            row.attempts = 0

    async def close(
        self, key: BatchKey, owner: str, outcome: Outcome, errors: Sequence[BatchError], now: float
    ) -> Work:
        """Decide how the batch ends; from now on no line is asked. Raises BatchLost."""
        async with self._db.write() as session:
            row = await _ours(session, key, owner)
            if row.outcome is None:
                in_time = outcome == "expired" and row.completed + row.failed == row.total
                row.outcome = "cancelled" if row.status == "cancelling" else "completed" if in_time else outcome
                row.finalizing_at = int(now)
                if row.status != "cancelling":
                    row.status = "finalizing"
                if errors:
                    row.errors = [error.model_dump() for error in errors]
            return _work(row)

    async def answers(self, key: BatchKey, *, ok: bool) -> AsyncIterator[LineAnswer]:
        """Yield the good answers or the others, in the order of the lines."""
        last = 0
        while True:
            query = (
                select(BatchAnswerRow)
                .where(BatchAnswerRow.batch_id == key.batch_id, BatchAnswerRow.line > last, BatchAnswerRow.ok.is_(ok))
                .order_by(BatchAnswerRow.line)
                .limit(_PAGE)
            )
            async with self._db.read() as session:
                found = [LineAnswer(row.line, row.ok, row.text) for row in await session.scalars(query)]
            for answer in found:
                yield answer
            if len(found) < _PAGE:
                return
            last = found[-1].line

    async def finish(self, key: BatchKey, owner: str, files: BatchFiles, now: float) -> None:
        """Show the files, end the batch and forget its answers, all or nothing; or raise BatchLost."""
        async with self._db.write() as session:
            row = await _ours(session, key, owner)
            for file in (files.output, files.errors):
                if file is not None:
                    await finish_file(session, file)
            row.output_file_id = files.output.id if files.output else None
            row.error_file_id = files.errors.id if files.errors else None
            row.failed += files.unanswered
            row.unanswered = files.unanswered
            _end(row, row.outcome or "completed", now)
            await _forget_answers(session, key)

    async def release(self, key: BatchKey, owner: str, look_at: float) -> None:
        """Give the batch back unfinished, for any worker to take; the sweep sends it at `look_at`."""
        async with self._db.write() as session:
            row = await _locked(session, key)
            if row is not None and row.lease_owner == owner:
                row.lease_owner, row.look_at = None, look_at

    async def others_wait(self, than: str | None = None) -> bool:
        """Tell whether a batch waits that no worker holds, of other tenants `than` one if that is named."""
        query = select(BatchRow.id).where(BatchRow.status.in_(OPEN), BatchRow.lease_owner.is_(None)).limit(1)
        if than is not None:
            query = query.where(BatchRow.tenant != than)
        async with self._db.read() as session:
            return await session.scalar(query) is not None


async def _locked(session: AsyncSession, key: BatchKey) -> BatchRow | None:
    query = select(BatchRow).where(BatchRow.id == key.batch_id, BatchRow.tenant == key.tenant).with_for_update()
    found: BatchRow | None = await session.scalar(query)
    return found


async def _ours(session: AsyncSession, key: BatchKey, owner: str) -> BatchRow:
    row = await _locked(session, key)
    if row is None or row.lease_owner != owner:
        raise BatchLost(f"The batch {key.batch_id} is no longer this worker's.")
    return row


async def _forget_answers(session: AsyncSession, key: BatchKey) -> None:
    await session.execute(delete(BatchAnswerRow).where(BatchAnswerRow.batch_id == key.batch_id))


def _end(row: BatchRow, status: str, now: float) -> None:
    row.status, row.ended_at, row.lease_owner = status, int(now), None


def _work(row: BatchRow) -> Work:
    return Work(
        key=BatchKey(row.tenant, row.id),
        on_behalf=OnBehalf(row.tenant, row.key_id),
        status=row.status,  # type: ignore[arg-type] # the column holds nothing else
        outcome=row.outcome,  # type: ignore[arg-type] # the column holds nothing else
        endpoint=row.endpoint,
        input_file_id=row.input_file_id,
        expires_at=row.expires_at,
        output_keep_s=row.output_keep_s,
        total=row.total,
        completed=row.completed,
        failed=row.failed,
    )
