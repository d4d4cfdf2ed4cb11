"""Recordings until they are read, and what was heard and seen in their parts."""

from typing import Any

from sqlalchemy import delete, select, update

from sluice.db import Database, Session
from sluice.errors import DependencyUnavailable
from sluice_retrieval.domain.errors import DocumentNotFound
from sluice_retrieval.domain.extraction import Source
from sluice_retrieval.domain.recordings import Heard, Part
from sluice_retrieval.domain.timed import Line
from sluice_retrieval.store.library import UNFINISHED
from sluice_retrieval.tables import DocumentRow, RecordingPartRow, RecordingRow


class KeptRecordings:
    """The port `RecordingRecord` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def source(self, document_id: str) -> Source:
        """Return a recording that was sent as a document."""
        query = select(RecordingRow.filename, RecordingRow.raw).where(RecordingRow.document_id == document_id)
        async with self._database.read() as session:
            found = (await session.execute(query)).first()
        if found is None:
            raise DocumentNotFound("The recording is not there any more.")
        return Source(found[0], found[1])

    async def heard(self, document_id: str) -> Heard:
        """Return what earlier runs heard and saw."""
        rows = select(RecordingPartRow).where(RecordingPartRow.document_id == document_id)
        async with self._database.read() as session:
            found = (await session.scalars(rows.order_by(RecordingPartRow.start_s))).all()
            sound = tuple(_part(row) for row in found if not row.seen)
            return Heard(sound, tuple(_part(row) for row in found if row.seen))

    async def keep(self, document_id: str, start_s: float, part: Part, *, seen: bool, until: float) -> None:
        """Keep a part, and take the claim again if it was lost; earlier runs are forgiven."""
        told: dict[str, Any] = {} if seen else {"transcribed_s": part.until_s}
        told |= {"status": "processing", "next_send_at": until, "not_before": until, "attempts": 1}
        async with self._database.write() as session:
            status = await session.scalar(select(DocumentRow.status).where(DocumentRow.id == document_id))
            if status is None:
                raise DocumentNotFound("The document was deleted while its recording was read.")
            if status not in UNFINISHED:
                raise DependencyUnavailable("Another worker has read the recording to its end.")
            await session.execute(update(DocumentRow).where(DocumentRow.id == document_id).values(**told))
            lines = [[line.start_s, line.end_s, line.text] for line in part.lines]
            row = {"document_id": document_id, "seen": seen, "start_s": start_s}
            await session.merge(RecordingPartRow(**row, until_s=part.until_s, ended=part.ended, lines=lines))


def forget(session: Session, document_id: str) -> None:
    """Forget a recording and its parts: its text is known, or never will be."""
    for table in (RecordingRow, RecordingPartRow):
        session.execute(delete(table).where(table.document_id == document_id))


def _part(row: RecordingPartRow) -> Part:
    lines = tuple(Line(start_s, end_s, text, row.seen) for start_s, end_s, text in row.lines)
    return Part(lines, row.until_s, row.ended)
