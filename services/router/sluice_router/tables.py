"""The router's tables: the registry, as far as it was made through the API."""

from typing import Any

from sqlalchemy import JSON, Float, Integer, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of the router's tables."""


class HeadRow(Base):
    """The one row with the version in force; whoever changes the registry locks it first."""

    __tablename__ = "registry_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)


class EntryRow(Base):
    """One object; `spec` holds what was said of it."""

    __tablename__ = "registry_entries"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)
    updated_by: Mapped[str] = mapped_column(String(200))


class VersionRow(Base):
    """One change."""

    __tablename__ = "registry_versions"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[float] = mapped_column(Float)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(16))
    request_id: Mapped[str] = mapped_column(String(64))
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


class CreationRow(Base):
    """A creation with an Idempotency-Key, of which only a digest is kept."""

    __tablename__ = "registry_creations"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    at: Mapped[float] = mapped_column(Float)


class ClassifierRow(Base):
    """A trained classifier, which all routers use."""

    __tablename__ = "classifiers"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    trained_at: Mapped[float] = mapped_column(Float)
    trained_by: Mapped[str] = mapped_column(String(200))


class OffersRow(Base):
    """What a place that serves models listed last."""

    __tablename__ = "offers"

    place_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    place: Mapped[dict[str, Any]] = mapped_column(JSON)
    models: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    at: Mapped[float] = mapped_column(Float)
