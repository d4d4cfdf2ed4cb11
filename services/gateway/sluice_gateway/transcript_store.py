"""Queries on the gateway's database: transcripts."""

from collections.abc import Sequence

import orjson
from sqlalchemy import ColumnElement, String, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from sluice.contracts.paging import Order
from sluice.contracts.transcripts import Transcript as ShownTranscript
from sluice.db import Database
from sluice_gateway.audit_store import erase
from sluice_gateway.domain.audit import Trail
from sluice_gateway.domain.errors import CursorUnknown, TranscriptNotFound
from sluice_gateway.domain.transcripts import Transcript, TranscriptFilter
from sluice_gateway.tables import TranscriptRow

_PLAIN = (
    "id",
    "request_id",
    "at",
    "expires_at",
    "tenant",
    "organization_id",
    "team_id",
    "key_id",
    "end_user",
    "endpoint",
    "model",
    "status",
    "http_status",
    "complete",
)

_LENGTHS = {
    name: kind.length
    for name in _PLAIN
    if isinstance(kind := TranscriptRow.__table__.columns[name].type, String) and kind.length
}


class TranscriptStore:
    """Transcripts. Every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transcripts: Sequence[Transcript]) -> None:
        """Add new ones; those that are there already change nothing. Texts that callers chose are cut to their columns."""
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        statement = insert(TranscriptRow).on_conflict_do_nothing(index_elements=["id"])
        async with self._database.write() as session:
            await session.execute(statement, [_values(one) for one in transcripts])

    async def page(
        self, wanted: TranscriptFilter, now: float, *, limit: int, after: str | None, order: Order
    ) -> list[ShownTranscript]:
        """Return at most `limit + 1` by time, without their contents, of those that have not expired.

        Raises:
            CursorUnknown: `after` names none.
        """
        columns = [getattr(TranscriptRow, name) for name in (*_PLAIN, "redacted")]
        query = select(*columns).where(*_conditions(wanted), TranscriptRow.expires_at > now).limit(limit + 1)
        place = tuple_(TranscriptRow.at, TranscriptRow.id)
        async with self._database.read() as session:
            if after is not None:
                where = select(TranscriptRow.at, TranscriptRow.id).where(TranscriptRow.id == after)
                mark = (await session.execute(where)).first()
                if mark is None:
                    raise CursorUnknown(
                        f"`after` is {after}, which names no transcript; use `last_id` of the page before."
                    )
                at = tuple_(mark.at, mark.id)
                query = query.where(place > at if order == "asc" else place < at)
            by = (TranscriptRow.at, TranscriptRow.id)
            query = query.order_by(*(one.asc() if order == "asc" else one.desc() for one in by))
            return [ShownTranscript(**row) for row in (await session.execute(query)).mappings()]

    async def get(self, transcript_id: str, tenant: str | None, now: float) -> ShownTranscript:
        """Return one, by its id or by the id of its request; with a tenant, only if it is that tenant's.

        Raises:
            TranscriptNotFound: there is none, or it has expired.
        """
        named = (TranscriptRow.id == transcript_id) | (TranscriptRow.request_id == transcript_id)
        query = select(TranscriptRow).where(named, TranscriptRow.expires_at > now).order_by(TranscriptRow.at.desc())
        if tenant is not None:
            query = query.where(TranscriptRow.tenant == tenant)
        async with self._database.read() as session:
            row = (await session.scalars(query.limit(1))).first()
            if row is not None:
                fields = {name: getattr(row, name) for name in (*_PLAIN, "redacted")}
                return ShownTranscript(**fields, request=orjson.loads(row.request), answer=orjson.loads(row.answer))
        raise TranscriptNotFound(
            f"There is no transcript of {transcript_id}. One is kept where a policy has `transcripts`, and for as long as it says."
        )

    async def delete(self, wanted: TranscriptFilter, trail: Trail) -> int:
        """Delete all that match, and return how many; the audit log says so."""
        return await erase(
            self._database,
            TranscriptRow,
            _conditions(wanted),
            lambda organization, count: trail.transcripts_deleted(organization, wanted, count),
        )


def _values(transcript: Transcript) -> dict[str, object]:
    plain = {name: getattr(transcript, name) for name in _PLAIN}
    for name, most in _LENGTHS.items():
        if isinstance(text := plain[name], str):
            plain[name] = text.replace("\x00", "")[:most]  # PostgreSQL holds none
    return {
        **plain,
        "redacted": transcript.redact is not None,
        "request": orjson.dumps(transcript.request).decode(),
        "answer": orjson.dumps(transcript.answer).decode(),
    }


def _conditions(wanted: TranscriptFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name in ("tenant", "key_id", "team_id", "end_user", "model", "status", "request_id"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(getattr(TranscriptRow, name) == value)
    if wanted.since is not None:
        found.append(TranscriptRow.at >= wanted.since)
    if wanted.until is not None:
        found.append(TranscriptRow.at < wanted.until)
    return found
