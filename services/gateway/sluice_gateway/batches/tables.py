"""The tables of batches and of their answers."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sluice_gateway.tables import Base


class BatchRow(Base):
    """A batch. `look_at` is when the sweep looks at it again: for one in work it is the end of its worker's lease.

    `outcome` is how it will end, decided when its files begin to be written. `attempts` counts workers that were lost over it
    since it last made progress. Times are unix seconds.
    """

    __tablename__ = "batches"
    __table_args__ = (
        Index("ix_batches_tenant", "tenant", "id"),
        Index("ix_batches_tenant_status", "tenant", "status"),
        Index("ix_batches_status", "status", "look_at"),
        Index("ix_batches_input_file_id", "input_file_id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63))
    key_id: Mapped[str] = mapped_column(String(64))
    endpoint: Mapped[str] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(200))
    input_file_id: Mapped[str] = mapped_column(String(40))
    completion_window: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str | None] = mapped_column(String(16))
    errors: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    output_file_id: Mapped[str | None] = mapped_column(String(40))
    error_file_id: Mapped[str | None] = mapped_column(String(40))
    output_keep_s: Mapped[int] = mapped_column(BigInteger)
    details: Mapped[dict[str, str] | None] = mapped_column("metadata", JSON(none_as_null=True))
    total: Mapped[int] = mapped_column(Integer)
    completed: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    unanswered: Mapped[int] = mapped_column(Integer, server_default="0")
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    cached_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    in_progress_at: Mapped[int | None] = mapped_column(BigInteger)
    finalizing_at: Mapped[int | None] = mapped_column(BigInteger)
    cancelling_at: Mapped[int | None] = mapped_column(BigInteger)
    ended_at: Mapped[int | None] = mapped_column(BigInteger)
    idempotency_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(Integer)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    look_at: Mapped[float] = mapped_column(Float(53))


class BatchAnswerRow(Base):
    """The one answer to a line of a batch, as it will stand in a file: the primary key sees to it that there is no second.

    Answers wait here until the batch ends; then they are in its files, and the rows go.
    """

    __tablename__ = "batch_answers"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ok: Mapped[bool] = mapped_column(Boolean)
    text: Mapped[str] = mapped_column(Text)
