"""What is kept of documents that are images."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, select

from sluice.db import Database
from sluice_retrieval.domain.errors import DocumentNotFound
from sluice_retrieval.domain.images import Picture
from sluice_retrieval.tables import DocumentRow, ImageRow


class KeptImage(NamedTuple):
    """An image of a store, without its thumbnail."""

    document_id: str
    name: str
    media_type: str
    width: int
    height: int
    hash: str


class Images:
    """Images of a store; every query is limited to one tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str, store_id: str, document_id: str) -> tuple[KeptImage, list[KeptImage]]:
        """Return one image and all others of its store, or raise `DocumentNotFound`."""
        columns = (DocumentRow.id, DocumentRow.name, DocumentRow.media_type)
        query = (
            select(*columns, ImageRow.width, ImageRow.height, ImageRow.hash)
            .join(ImageRow, ImageRow.document_id == DocumentRow.id)
            .where(_in_store(tenant, store_id))
        )
        async with self._database.read() as session:
            found = [KeptImage(*row) for row in await session.execute(query)]
        one = next((image for image in found if image.document_id == document_id), None)
        if one is None:
            raise _no_image(document_id, store_id)
        return one, [image for image in found if image.document_id != document_id]

    async def thumbnail(self, tenant: str, store_id: str, document_id: str) -> bytes:
        """Return an image's small WebP, or raise `DocumentNotFound`."""
        query = (
            select(ImageRow.thumbnail)
            .join(DocumentRow, ImageRow.document_id == DocumentRow.id)
            .where(_in_store(tenant, store_id), DocumentRow.id == document_id)
        )
        async with self._database.read() as session:
            found: bytes | None = await session.scalar(query)
        if found is None:
            raise _no_image(document_id, store_id)
        return found


def image_row(document_id: str, picture: Picture) -> ImageRow:
    """Return what is kept of an image."""
    return ImageRow(
        document_id=document_id,
        width=picture.width,
        height=picture.height,
        hash=picture.hash,
        thumbnail=picture.thumbnail,
    )


def _in_store(tenant: str, store_id: str) -> ColumnElement[bool]:
    return (DocumentRow.tenant == tenant) & (DocumentRow.store_id == store_id)


def _no_image(document_id: str, store_id: str) -> DocumentNotFound:
    return DocumentNotFound(f"There is no image {document_id!r} in vector store {store_id!r}.")
