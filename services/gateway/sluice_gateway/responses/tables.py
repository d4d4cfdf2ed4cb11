"""The tables of kept responses and conversations."""

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sluice_gateway.tables import Base


class ResponseRow(Base):
    """A kept response; `input` and `response` are JSON, `size` their length, times are unix seconds."""

    __tablename__ = "responses"
    __table_args__ = (
        Index("ix_responses_tenant", "tenant", "created_at"),
        Index("ix_responses_organization_id", "organization_id"),
        Index("ix_responses_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63))
    organization_id: Mapped[str] = mapped_column(String(40))
    key_id: Mapped[str] = mapped_column(String(64))
    previous_id: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(Integer)
    input: Mapped[str] = mapped_column(Text)
    response: Mapped[str] = mapped_column(Text)


class BackgroundRow(Base):
    """A response in the background that has no answer yet; it goes when the response has one, or is deleted.

    `look_at` is when a worker may look at it: for one in work it is the end of its worker's lease. `attempts` counts workers that
    were lost over it. `body` and `headers` are what is asked, as JSON.
    """

    __tablename__ = "background_responses"
    __table_args__ = (
        Index("ix_background_responses_look_at", "look_at"),
        Index("ix_background_responses_tenant", "tenant"),
        Index("ix_background_responses_lease_owner", "lease_owner"),
    )

    id: Mapped[str] = mapped_column(String(64), ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63))
    body: Mapped[str] = mapped_column(Text)
    headers: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[float] = mapped_column(Float(53))
    attempts: Mapped[int] = mapped_column(Integer)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    look_at: Mapped[float] = mapped_column(Float(53))


class ConversationRow(Base):
    """A conversation of /v1/conversations; times are unix seconds."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_organization_id", "organization_id"),
        Index("ix_conversations_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63))
    organization_id: Mapped[str] = mapped_column(String(40))
    key_id: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger)


class ConversationItemRow(Base):
    """An item of a conversation, as JSON; items stand in the order of `place`."""

    __tablename__ = "conversation_items"
    __table_args__ = (Index("ix_conversation_items_item_id", "conversation_id", "item_id"),)

    conversation_id: Mapped[str] = mapped_column(
        String(64), ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    )
    place: Mapped[str] = mapped_column(String(40), primary_key=True)
    item_id: Mapped[str] = mapped_column(String(128))
    size: Mapped[int] = mapped_column(Integer)
    item: Mapped[str] = mapped_column(Text)
