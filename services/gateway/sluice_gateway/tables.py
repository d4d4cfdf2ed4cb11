"""The gateway's SQL tables; `migrations/` makes them."""

from sqlalchemy import JSON, BigInteger, Boolean, Float, Index, Integer, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of the gateway's tables."""


class ApiKeyRow(Base):
    """An API key; times are unix seconds, `changed_ms` unix milliseconds of the last change."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    prefix: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(100))
    tenant: Mapped[str] = mapped_column(String(63), index=True)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    policy: Mapped[str | None] = mapped_column(String(200))
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class KeyCreationRow(Base):
    """A creation that may be repeated with the same Idempotency-Key; both texts are kept as digests only."""

    __tablename__ = "api_key_creations"

    idempotency_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str] = mapped_column(String(40))
    salt: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[int] = mapped_column(BigInteger, index=True)


class UsageRow(Base):
    """One request; `at` is unix seconds, `day` the number of days since 1970-01-01 (UTC)."""

    __tablename__ = "usage"
    __table_args__ = (
        Index("ix_usage_tenant_at", "tenant", "at", "event_id"),
        Index("ix_usage_key_at", "key_id", "at"),
        Index("ix_usage_at", "at", "event_id"),
    )

    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[float] = mapped_column(Float(53))
    day: Mapped[int] = mapped_column(Integer)
    tenant: Mapped[str] = mapped_column(String(63))
    key_id: Mapped[str] = mapped_column(String(64))
    endpoint: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(200))
    route: Mapped[str | None] = mapped_column(String(200))
    deployment: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(16))
    http_status: Mapped[int] = mapped_column(SmallInteger)
    error_code: Mapped[str | None] = mapped_column(String(100))
    stream: Mapped[bool] = mapped_column(Boolean)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    tokens_exact: Mapped[bool] = mapped_column(Boolean)
    cost_usd: Mapped[float] = mapped_column(Float(53))
    ttft_ms: Mapped[float | None] = mapped_column(Float(53))
    duration_ms: Mapped[float] = mapped_column(Float(53))
    guard_issues: Mapped[list[str]] = mapped_column(JSON)
    citations: Mapped[int] = mapped_column(Integer)
    trace_id: Mapped[str | None] = mapped_column(Text)
