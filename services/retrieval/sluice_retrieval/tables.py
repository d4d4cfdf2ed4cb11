"""Retrieval's tables."""

from typing import Any

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of retrieval's tables."""


class StoreRow(Base):
    """A vector store."""

    __tablename__ = "vector_stores"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float)
    chunking: Mapped[dict[str, Any]] = mapped_column(JSON)
    details: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    expires_days: Mapped[int | None] = mapped_column(Integer)
    last_active_at: Mapped[float] = mapped_column(Float, default=0.0)
    languages: Mapped[str] = mapped_column(String(400), default="")
    understand: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    version: Mapped[int] = mapped_column(Integer, default=0)
    metric: Mapped[str] = mapped_column(String(16), default="cosine")
    keywords: Mapped[str] = mapped_column(String(16), default="bm25")
    captions: Mapped[bool] = mapped_column(Boolean, default=True)


class DocumentRow(Base):
    """A document. `next_send_at` is when the sweep looks at it again: for `processing` it is the end of the lease.

    `indexed` is null until a worker has begun: from then on chunks may lie in the index, and until the document is ready
    searches hide it. `stems` is how its terms were made. `planned` chunks are to be indexed; `plan` is a hash of how the text was cut and embedded.
    """

    __tablename__ = "documents"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    store_id: Mapped[str] = mapped_column(ForeignKey("vector_stores.id", ondelete="CASCADE"))
    file_id: Mapped[str | None] = mapped_column(String(64))
    batch_id: Mapped[str | None] = mapped_column(String(64))
    chunking: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    name: Mapped[str] = mapped_column(String(500))
    media_type: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    bytes: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str | None] = mapped_column(String(64))
    chunks: Mapped[int] = mapped_column(Integer)
    terms: Mapped[int] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer)
    next_send_at: Mapped[float] = mapped_column(Float)
    not_before: Mapped[float] = mapped_column(Float, default=0.0)
    indexed: Mapped[int | None] = mapped_column(Integer)
    planned: Mapped[int | None] = mapped_column(Integer)
    plan: Mapped[str | None] = mapped_column(String(64))
    stems: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[float] = mapped_column(Float)
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    space: Mapped[str] = mapped_column(String(300), default="")
    ready_at: Mapped[float] = mapped_column(Float, default=0.0)
    transcribed_s: Mapped[float | None] = mapped_column(Float)


class SpaceRow(Base):
    """An embedding model's vectors; `holder` moves documents into it until `lease_until`. One space is `active`.

    A ready document's `space` is the one it was put into last; it has vectors in the active one too, unless it was made ready in the moment
    of a switch: then it is moved at once.
    """

    __tablename__ = "embedding_spaces"

    id: Mapped[str] = mapped_column(String(300), primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    since: Mapped[float] = mapped_column(Float)
    holder: Mapped[str] = mapped_column(String(64), default="")
    lease_until: Mapped[float] = mapped_column(Float, default=0.0)
    error: Mapped[str | None] = mapped_column(Text)


class FileBatchRow(Base):
    """Files that were added together."""

    __tablename__ = "file_batches"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(128))
    store_id: Mapped[str] = mapped_column(ForeignKey("vector_stores.id", ondelete="CASCADE"))
    created_at: Mapped[float] = mapped_column(Float)
    cancelled: Mapped[bool] = mapped_column(Boolean)


class TextRow(Base):
    """The text of a document."""

    __tablename__ = "document_texts"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)


class ImageRow(Base):
    """What is kept of a document that is an image: its size, the hash of its looks in hexadecimal, and a small WebP; `space` is where the vector of its looks lies."""

    __tablename__ = "document_images"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str] = mapped_column(String(16))
    thumbnail: Mapped[bytes] = mapped_column(LargeBinary)
    space: Mapped[str] = mapped_column(String(300), default="")


class RecordingRow(Base):
    """A recording that was sent as a document, until it is read; `filename` is what it was called."""

    __tablename__ = "document_recordings"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    filename: Mapped[str] = mapped_column(String(500))
    raw: Mapped[bytes] = mapped_column(LargeBinary)


class RecordingPartRow(Base):
    """What a model heard in a part of a recording, or `seen` in a video, until all of it is read; `lines` are start, end and text."""

    __tablename__ = "document_recording_parts"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    seen: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    start_s: Mapped[float] = mapped_column(Float, primary_key=True)
    until_s: Mapped[float] = mapped_column(Float)
    ended: Mapped[bool] = mapped_column(Boolean)
    lines: Mapped[list[list[Any]]] = mapped_column(JSON)


class AttributeRow(Base):
    """One value of a document's metadata; `kind` is text, number or boolean, and booleans are the numbers 0 and 1."""

    __tablename__ = "document_attributes"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    store_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))
    text: Mapped[str | None] = mapped_column(Text)
    number: Mapped[float | None] = mapped_column(Float)


class RemovalRow(Base):
    """Points that are still to be removed from the index; without a document, all of a store."""

    __tablename__ = "removals"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(String(128))
    store_id: Mapped[str] = mapped_column(String(64))
    document_id: Mapped[str | None] = mapped_column(String(64))
