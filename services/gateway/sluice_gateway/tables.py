"""The gateway's SQL tables; `migrations/` makes them."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_ALIVE = text("deleted_at IS NULL")
_PROMPTED = text("prompt IS NOT NULL")


class Base(DeclarativeBase):
    """The base of the gateway's tables."""


class OrganizationRow(Base):
    """An organisation; the row of a deleted one stays, so that its tenant is never given away again."""

    __tablename__ = "organizations"
    __table_args__ = (
        UniqueConstraint("id", "tenant", name="uq_organizations_id_tenant"),
        Index("uq_organizations_name", "name", unique=True, sqlite_where=_ALIVE, postgresql_where=_ALIVE),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    disabled: Mapped[bool] = mapped_column(Boolean)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    allowed_regions: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    sampling: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    default_model: Mapped[str | None] = mapped_column(String(200))
    policy: Mapped[str | None] = mapped_column(String(200))
    tags: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    limits: Mapped[dict[str, float]] = mapped_column(JSON)
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)
    deleted_at: Mapped[int | None] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)


class TeamRow(Base):
    """A team of an organisation."""

    __tablename__ = "teams"
    __table_args__ = (
        UniqueConstraint("id", "organization_id", name="uq_teams_id_organization"),
        Index("uq_teams_name", "organization_id", "name", unique=True, sqlite_where=_ALIVE, postgresql_where=_ALIVE),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str] = mapped_column(String(100))
    disabled: Mapped[bool] = mapped_column(Boolean)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    sampling: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    default_model: Mapped[str | None] = mapped_column(String(200))
    policy: Mapped[str | None] = mapped_column(String(200))
    tags: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    limits: Mapped[dict[str, float]] = mapped_column(JSON)
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)
    deleted_at: Mapped[int | None] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)


class ApiKeyRow(Base):
    """An API key; times are unix seconds, `changed_ms` unix milliseconds of the last change.

    The two foreign keys have two columns each: the database itself refuses a key whose tenant is not its
    organisation's, or whose team is another organisation's.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "tenant"], ["organizations.id", "organizations.tenant"], name="fk_api_keys_organization"
        ),
        ForeignKeyConstraint(
            ["team_id", "organization_id"], ["teams.id", "teams.organization_id"], name="fk_api_keys_team"
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    prefix: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(100))
    tenant: Mapped[str] = mapped_column(String(63), index=True)
    organization_id: Mapped[str] = mapped_column(String(40), index=True)
    team_id: Mapped[str | None] = mapped_column(String(40), index=True)
    role: Mapped[str] = mapped_column(String(16))
    disabled: Mapped[bool] = mapped_column(Boolean)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    policy: Mapped[str | None] = mapped_column(String(200))
    user_type: Mapped[str | None] = mapped_column(String(40))
    sampling: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    default_model: Mapped[str | None] = mapped_column(String(200))
    tags: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    limits: Mapped[dict[str, float]] = mapped_column(JSON)
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)
    rotated_at: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class RetiredSecretRow(Base):
    """The digest of a secret that a rotation replaced, for as long as it may still work."""

    __tablename__ = "api_key_retired_secrets"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), index=True)
    valid_until: Mapped[int] = mapped_column(BigInteger, index=True)


class AuditRow(Base):
    """One change of an organisation, team or key; `at` is unix seconds."""

    __tablename__ = "audit_records"
    __table_args__ = (
        Index("ix_audit_records_organization", "organization_id", "id"),
        Index("ix_audit_records_target", "target_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[float] = mapped_column(Float(53), index=True)
    actor: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(16))
    target_id: Mapped[str] = mapped_column(String(40))
    organization_id: Mapped[str] = mapped_column(String(40))
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    request_id: Mapped[str] = mapped_column(String(64))


class KeyCreationRow(Base):
    """A creation that may be repeated with the same Idempotency-Key; both texts are kept as digests only."""

    __tablename__ = "api_key_creations"

    idempotency_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str] = mapped_column(String(40))
    salt: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[int] = mapped_column(BigInteger, index=True)


class PriceOverrideRow(Base):
    """A price that an administrator set; times are unix seconds. Rows stay: usage names them."""

    __tablename__ = "price_overrides"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    model: Mapped[str] = mapped_column(String(200), index=True)
    price: Mapped[dict[str, Any]] = mapped_column(JSON)
    valid_from: Mapped[float] = mapped_column(Float(53))
    created_at: Mapped[float] = mapped_column(Float(53))
    deleted_at: Mapped[float | None] = mapped_column(Float(53))


class UsageRow(Base):
    """One request; `at` is unix seconds, `day` the number of days since 1970-01-01 (UTC)."""

    __tablename__ = "usage"
    __table_args__ = (
        Index("ix_usage_tenant_at", "tenant", "at", "event_id"),
        Index("ix_usage_key_at", "key_id", "at"),
        Index("ix_usage_at", "at", "event_id"),
        Index(
            "ix_usage_prompt",
            *("tenant", "prompt", "prompt_version", "at"),
            sqlite_where=_PROMPTED,
            postgresql_where=_PROMPTED,
        ),
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
    cost_usd: Mapped[float | None] = mapped_column(Float(53))
    ttft_ms: Mapped[float | None] = mapped_column(Float(53))
    duration_ms: Mapped[float] = mapped_column(Float(53))
    guard_issues: Mapped[list[str]] = mapped_column(JSON)
    citations: Mapped[int] = mapped_column(Integer)
    trace_id: Mapped[str | None] = mapped_column(Text)
    life: Mapped[str] = mapped_column(String(32), server_default="")
    organization_id: Mapped[str] = mapped_column(String(40), server_default="")
    team_id: Mapped[str | None] = mapped_column(String(40))
    end_user: Mapped[str | None] = mapped_column(String(128))
    cached_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    audio_input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    image_input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    audio_output_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    price_source: Mapped[str | None] = mapped_column(String(100))
    user_type: Mapped[str | None] = mapped_column(String(40))
    tags: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    prompt: Mapped[str | None] = mapped_column(String(63))
    prompt_version: Mapped[int | None] = mapped_column(Integer)


class UsageTagRow(Base):
    """One tag of one request, by which its record is found."""

    __tablename__ = "usage_tags"
    __table_args__ = (Index("ix_usage_tags_event_id", "event_id"),)

    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63), primary_key=True)
    at: Mapped[float] = mapped_column(Float(53), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class UsageSums:
    """Sums of the requests of an hour or a day; `starts` is unix seconds, an empty text stands for none."""

    grain: Mapped[str] = mapped_column(String(4), primary_key=True)
    starts: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant: Mapped[str] = mapped_column(String(63), primary_key=True)
    organization_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    team_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_type: Mapped[str] = mapped_column(String(40), primary_key=True)
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    deployment: Mapped[str] = mapped_column(String(200), primary_key=True)
    status: Mapped[str] = mapped_column(String(16), primary_key=True)
    day: Mapped[int] = mapped_column(Integer)
    requests: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    cached_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger)
    cost_usd: Mapped[float] = mapped_column(Float(53))


class UsageRollupRow(UsageSums, Base):
    """Sums of all requests."""

    __tablename__ = "usage_rollups"
    __table_args__ = (Index("ix_usage_rollups_tenant", "tenant", "grain", "starts"),)


class UsageTagRollupRow(UsageSums, Base):
    """Sums of the requests with a tag; one with several is in those of each."""

    __tablename__ = "usage_tag_rollups"
    __table_args__ = (Index("ix_usage_tag_rollups_tenant", "tenant", "tag", "grain", "starts"),)

    tag: Mapped[str] = mapped_column(String(64), primary_key=True)


class TranscriptRow(Base):
    """What was asked and answered, as JSON; `at` and `expires_at` are unix seconds."""

    __tablename__ = "transcripts"
    __table_args__ = (
        Index("ix_transcripts_tenant_at", "tenant", "at", "id"),
        Index("ix_transcripts_at", "at", "id"),
        Index("ix_transcripts_request_id", "request_id"),
        Index("ix_transcripts_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(64))
    at: Mapped[float] = mapped_column(Float(53))
    expires_at: Mapped[float] = mapped_column(Float(53))
    tenant: Mapped[str] = mapped_column(String(63))
    organization_id: Mapped[str] = mapped_column(String(40))
    team_id: Mapped[str | None] = mapped_column(String(40))
    key_id: Mapped[str] = mapped_column(String(64))
    end_user: Mapped[str | None] = mapped_column(String(128))
    endpoint: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(16))
    http_status: Mapped[int] = mapped_column(SmallInteger)
    complete: Mapped[bool] = mapped_column(Boolean)
    redacted: Mapped[bool] = mapped_column(Boolean)
    request: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)


class AnswerRow(Base):
    """A kept answer; `stored_at` and `ends` are unix seconds, `size` is the length of `body`."""

    __tablename__ = "answers"
    __table_args__ = (
        Index("ix_answers_stored_at", "stored_at", "size"),
        Index("ix_answers_ends", "ends"),
        Index("ix_answers_tenant", "tenant"),
    )

    key: Mapped[bytes] = mapped_column(LargeBinary(20), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63))
    model: Mapped[str] = mapped_column(String(200))
    key_id: Mapped[str] = mapped_column(String(64))
    stored_at: Mapped[float] = mapped_column(Float(53))
    ends: Mapped[float] = mapped_column(Float(53))
    size: Mapped[int] = mapped_column(Integer)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class ForgottenAnswersRow(Base):
    """Kept answers of a scope (`tenant:acme`, `model:small`, `key:key_1`, `all`) that are not younger than `at` count no more."""

    __tablename__ = "forgotten_answers"

    scope: Mapped[str] = mapped_column(String(220), primary_key=True)
    at: Mapped[float] = mapped_column(Float(53))


class PromptRow(Base):
    """A prompt: its name within a tenant, and which of its versions is in use; `split` is the JSON of `PromptSplit`."""

    __tablename__ = "prompts"
    __table_args__ = (UniqueConstraint("tenant", "name", name="uq_prompts_tenant_name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(63))
    description: Mapped[str] = mapped_column(String(500))
    default_version: Mapped[int] = mapped_column(Integer)
    newest_version: Mapped[int] = mapped_column(Integer)
    split: Mapped[str | None] = mapped_column(Text)
    split_began_at: Mapped[int | None] = mapped_column(BigInteger)
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[int] = mapped_column(BigInteger)


class PromptVersionRow(Base):
    """One version of a prompt, which never changes; `template` is the JSON of `PromptTemplate`."""

    __tablename__ = "prompt_versions"

    prompt_id: Mapped[str] = mapped_column(String(40), ForeignKey("prompts.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    template: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)


class PromptSplitChangeRow(Base):
    """One change of a prompt's split; `content` is the JSON of what `PromptSplitChange` says besides the columns."""

    __tablename__ = "prompt_split_changes"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    prompt_id: Mapped[str] = mapped_column(String(40), ForeignKey("prompts.id"), index=True)
    at: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[str] = mapped_column(Text)


class BudgetAlertRow(Base):
    """An alert that a worker has taken to send, and when it arrived; `id` names budget, period, threshold and limit."""

    __tablename__ = "budget_alerts"

    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    taken_at: Mapped[int] = mapped_column(BigInteger)
    sent_at: Mapped[int | None] = mapped_column(BigInteger)
