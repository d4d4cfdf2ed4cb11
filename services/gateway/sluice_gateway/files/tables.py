"""The table of files."""

from sqlalchemy import BigInteger, Boolean, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from sluice_gateway.tables import Base


class FileRow(Base):
    """A file; its content is the blob of the same name.

    `state`: `uploading` (its content is still coming), `ready`, or `removing` (its content is to be removed, then the row). So
    no content is ever without a row, and whatever a crash cuts off is cleared by the next sweep. While it is uploading `bytes` are those that
    are held of its tenant's quota. `in_stores` says that the retrieval
    service has looked at it, so that vector stores may hold its text.
    """

    __tablename__ = "files"
    __table_args__ = (
        Index("ix_files_tenant", "tenant", "id"),
        Index("ix_files_tenant_bytes", "tenant", "state", "bytes"),
        Index("ix_files_state", "state", "created_at"),
        Index("ix_files_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63))
    key_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    filename: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger)
    in_stores: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
