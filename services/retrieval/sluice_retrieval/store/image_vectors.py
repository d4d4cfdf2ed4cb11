"""The record of which images have vectors of their looks, and in which space."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select, update

from sluice.db import Database
from sluice_retrieval.domain.image_vectors import Unseen, is_image_space
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.tables import DocumentRow, ImageRow, RemovalRow, SpaceRow

IMAGES = "images"
"""The status of a space that holds vectors of images."""


class ImageVectorRecords:
    """The port `ImageRecord` in SQL, and what the API process asks beside it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def aim(self, space: str | None, now: float) -> None:
        """Have images seen by the model of a space from now on; vectors of another model are removed in time."""
        async with self._database.write() as session:
            rows = {row.id: row for row in await session.scalars(select(SpaceRow).with_for_update())}
            for row in rows.values():
                if row.status == IMAGES and row.id != space:
                    row.status, row.since = "retiring", now
            if space is None:
                return
            if space in rows:
                rows[space].status = IMAGES
            else:
                session.add(SpaceRow(id=space, status=IMAGES, since=now))
                # whatever lay there once was removed with the space
                await session.execute(update(ImageRow).where(ImageRow.space == space).values(space=""))

    async def claim(self, space: str, holder: str, now: float, until: float) -> bool:
        """Let one worker fill a space until its lease ends; false if another one does."""
        free = (SpaceRow.lease_until <= now) | (SpaceRow.holder == holder)
        query = update(SpaceRow).where(SpaceRow.id == space, SpaceRow.status == IMAGES, free)
        async with self._database.write() as session:
            claimed = await session.execute(query.values(holder=holder, lease_until=until).returning(SpaceRow.id))
            return claimed.first() is not None

    async def unseen(self, space: str, limit: int, skip: Collection[str]) -> Sequence[Unseen]:
        """Return ready images without a vector in a space, oldest first."""
        query = (
            select(DocumentRow.tenant, DocumentRow.store_id, DocumentRow.id, DocumentRow.space, ImageRow.thumbnail)
            .join(ImageRow, ImageRow.document_id == DocumentRow.id)
            .where(DocumentRow.status == "ready", ImageRow.space != space, DocumentRow.id.not_in(skip))
            .order_by(DocumentRow.id)
            .limit(limit)
        )
        async with self._database.read() as session:
            return [Unseen(Selector(*row[:3]), row[3], row[4]) for row in await session.execute(query)]

    async def seen(self, document_id: str, space: str) -> bool:
        """Note that an image has its vector; false if it is gone."""
        query = update(ImageRow).where(ImageRow.document_id == document_id).values(space=space)
        async with self._database.write() as session:
            return (await session.execute(query.returning(ImageRow.document_id))).first() is not None

    async def unsee(self, space: str, counts: Mapping[str, int]) -> int:
        """Have images seen again whose vectors are not in the index; returns how many."""
        assert is_image_space(space)
        async with self._database.write() as session:
            rows = await session.scalars(select(ImageRow).where(ImageRow.space == space))
            lost = [row for row in rows if row.document_id not in counts]
            for row in lost:
                row.space = ""
            return len(lost)

    async def note_removal(self, selector: Selector) -> None:
        """Remember that points are to be removed."""
        async with self._database.write() as session:
            session.add(
                RemovalRow(tenant=selector.tenant, store_id=selector.store_id, document_id=selector.document_id)
            )
