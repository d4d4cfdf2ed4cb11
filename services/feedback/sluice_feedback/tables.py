"""The feedback service's tables."""

from typing import Any

from sqlalchemy import JSON, Boolean, Float, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of feedback's tables."""


class FeedbackRow(Base):
    """One entry; `processed` holds the computed facts that are not columns of their own."""

    __tablename__ = "feedback"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    interaction_id: Mapped[str] = mapped_column(String(200))
    at: Mapped[float] = mapped_column(Float)
    feedback_type: Mapped[str] = mapped_column(String(16))
    raw: Mapped[str] = mapped_column(Text)
    rating: Mapped[int | None] = mapped_column(Integer)
    negative: Mapped[bool | None] = mapped_column(Boolean)
    escalate: Mapped[bool | None] = mapped_column(Boolean)
    processed: Mapped[dict[str, Any]] = mapped_column(JSON)
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_digest: Mapped[str | None] = mapped_column(String(64))


class OutboxRow(Base):
    """An event that is stored and not yet on its stream."""

    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    feedback_id: Mapped[str] = mapped_column(String(64))
    payload: Mapped[str] = mapped_column(Text)


class InteractionRow(Base):
    """An interaction that usage told of, with the version of the stored prompt that it was asked with, if any."""

    __tablename__ = "interactions"

    tenant: Mapped[str] = mapped_column(String(128), primary_key=True)
    interaction_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    model: Mapped[str] = mapped_column(String(200))
    at: Mapped[float] = mapped_column(Float)
    prompt: Mapped[str | None] = mapped_column(String(63))
    prompt_version: Mapped[int | None] = mapped_column(Integer)


class ReviewRow(Base):
    """A piece of feedback, or a critical answer (which has no `feedback_id`), that a person should look at."""

    __tablename__ = "reviews"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    feedback_id: Mapped[str | None] = mapped_column(String(64))
    interaction_id: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(String(32))
    issues: Mapped[list[str] | None] = mapped_column(JSON)
    decision: Mapped[str | None] = mapped_column(String(16))
    cause: Mapped[str | None] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    note: Mapped[str | None] = mapped_column(Text)
    reviewer: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float)
    closed_at: Mapped[float | None] = mapped_column(Float)
