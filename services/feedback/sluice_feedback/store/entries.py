"""Entries: stored together with their event, read with what is known of their interaction."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, case, delete, func, select
from sqlalchemy.exc import IntegrityError

from sluice.contracts.feedback import (
    FeedbackEntry,
    FeedbackQuery,
    FeedbackSummary,
    PromptFeedbackQuery,
    PromptVersionFeedback,
    RatingSummary,
    ThumbsSummary,
)
from sluice.db import Database, ReadSession
from sluice_feedback.domain.entries import IdempotencyKey, NewEntry
from sluice_feedback.domain.errors import FeedbackNotFound, IdempotencyKeyReused
from sluice_feedback.tables import FeedbackRow, InteractionRow, OutboxRow, ReviewRow

_Found = Select[FeedbackRow, str]


class Stored(NamedTuple):
    """An entry, and whether this call made it (False: an earlier call with the same Idempotency-Key did)."""

    entry: FeedbackEntry
    created: bool


@dataclass(frozen=True, slots=True)
class EntryStore:
    """Entries of all tenants; every method raises DependencyUnavailable while the database is away."""

    database: Database

    async def add(self, new: NewEntry) -> Stored:
        """Store an entry and the event that tells of it, both or none.

        Raises:
            IdempotencyKeyReused: the key belongs to feedback with other content.
        """
        repeated = await self._repeated(new)
        if repeated is not None:
            return Stored(repeated, created=False)
        try:
            async with self.database.write() as session:
                session.add(_row(new))
                session.add(OutboxRow(feedback_id=new.id, payload=new.event.model_dump_json()))
        except IntegrityError:
            # Another call with the same key was faster.
            repeated = await self._repeated(new)
            if repeated is None:
                raise
            return Stored(repeated, created=False)
        return Stored(await self.get(new.tenant, new.id), created=True)

    async def get(self, tenant: str, entry_id: str) -> FeedbackEntry:
        """Return one entry.

        Raises:
            FeedbackNotFound: this tenant has none of that id.
        """
        async with self.database.read() as session:
            found = (await session.execute(_select(tenant).where(FeedbackRow.id == entry_id))).first()
            if found is None:
                raise _not_found(entry_id)
            return _entry(*found)

    async def page(self, tenant: str, query: FeedbackQuery) -> list[FeedbackEntry]:
        """Return the entries of a page and, if there are more, one further."""
        statement = _filtered(_select(tenant), query)
        if query.order == "asc":
            statement = statement.order_by(FeedbackRow.id)
            after = FeedbackRow.id > query.after if query.after else None
        else:
            statement = statement.order_by(FeedbackRow.id.desc())
            after = FeedbackRow.id < query.after if query.after else None
        if after is not None:
            statement = statement.where(after)
        async with self.database.read() as session:
            return [_entry(*found) for found in await session.execute(statement.limit(query.limit + 1))]

    async def summary(self, tenant: str, interaction_id: str) -> FeedbackSummary:
        """Return the counts of one interaction; all are 0 when nobody has said anything."""
        async with self.database.read() as session:
            counted = (await session.execute(_counts(tenant, interaction_id))).one()
            model = await _model(session, tenant, interaction_id)
        return FeedbackSummary(
            interaction_id=interaction_id,
            interaction_known=model is not None,
            model=model,
            count=counted.entries,
            thumbs=ThumbsSummary(up=counted.up or 0, down=counted.down or 0),
            rating=RatingSummary(
                count=counted.ratings,
                mean=float(counted.mean) if counted.mean is not None else None,
                lowest=counted.lowest,
                highest=counted.highest,
                escalate=counted.escalate or 0,
            ),
            texts=counted.texts or 0,
            corrections=counted.corrections or 0,
            last_at=counted.last_at,
        )

    async def of_prompt(self, tenant: str, query: PromptFeedbackQuery) -> list[PromptVersionFeedback]:
        """Return what was said of a prompt's answers by version, newest first."""
        async with self.database.read() as session:
            return [
                PromptVersionFeedback(
                    version=row.version,
                    answers=row.answers,
                    score=row.score,
                    thumbs=ThumbsSummary(up=row.up, down=row.down),
                    ratings=row.ratings,
                    rating=row.rated / row.ratings if row.ratings else None,
                )
                for row in await session.execute(_by_version(tenant, query))
            ]

    async def delete(self, tenant: str, entry_id: str) -> None:
        """Delete an entry, its review, and its event if that is not published yet.

        Raises:
            FeedbackNotFound: this tenant has none of that id.
        """
        async with self.database.write() as session:
            row = await session.get(FeedbackRow, entry_id)
            if row is None or row.tenant != tenant:
                raise _not_found(entry_id)
            await session.execute(delete(OutboxRow).where(OutboxRow.feedback_id == entry_id))
            await session.execute(delete(ReviewRow).where(ReviewRow.feedback_id == entry_id))
            await session.delete(row)

    async def _repeated(self, new: NewEntry) -> FeedbackEntry | None:
        key = new.idempotency
        if key is None:
            return None
        statement = _select(new.tenant).where(FeedbackRow.idempotency_key == key.key)
        async with self.database.read() as session:
            found = (await session.execute(statement)).first()
            if found is None:
                return None
            _same_request(found[0], key)
            return _entry(*found)


def _row(new: NewEntry) -> FeedbackRow:
    facts = {name: value for name, value in asdict(new.processed).items() if value is not None}
    value = new.given.value
    return FeedbackRow(
        id=new.id,
        tenant=new.tenant,
        interaction_id=new.given.interaction_id,
        at=new.timestamp,
        feedback_type=new.given.feedback_type,
        raw=str(value),
        rating=value if isinstance(value, int) else None,
        negative=new.processed.negative,
        escalate=new.processed.escalate,
        processed=facts,
        details=dict(new.given.metadata),
        idempotency_key=new.idempotency.key if new.idempotency else None,
        request_digest=new.idempotency.digest if new.idempotency else None,
    )


def _select(tenant: str) -> _Found:
    interaction = and_(
        InteractionRow.tenant == FeedbackRow.tenant, InteractionRow.interaction_id == FeedbackRow.interaction_id
    )
    return (
        select(FeedbackRow, InteractionRow.model)
        .outerjoin(InteractionRow, interaction)
        .where(FeedbackRow.tenant == tenant)
    )


def _filtered(statement: _Found, query: FeedbackQuery) -> _Found:
    if query.interaction_id is not None:
        statement = statement.where(FeedbackRow.interaction_id == query.interaction_id)
    if query.type is not None:
        statement = statement.where(FeedbackRow.feedback_type == query.type)
    if query.from_ is not None:
        statement = statement.where(FeedbackRow.at >= query.from_)
    if query.to is not None:
        statement = statement.where(FeedbackRow.at < query.to)
    return statement


def _counts(tenant: str, interaction_id: str) -> Select[Any]:
    def amount(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    kind = FeedbackRow.feedback_type
    return select(
        func.count().label("entries"),
        amount(and_(kind == "thumbs", FeedbackRow.negative.is_(False))).label("up"),
        amount(and_(kind == "thumbs", FeedbackRow.negative.is_(True))).label("down"),
        func.count(FeedbackRow.rating).label("ratings"),
        func.avg(FeedbackRow.rating).label("mean"),
        func.min(FeedbackRow.rating).label("lowest"),
        func.max(FeedbackRow.rating).label("highest"),
        amount(FeedbackRow.escalate.is_(True)).label("escalate"),
        amount(kind == "text").label("texts"),
        amount(kind == "correction").label("corrections"),
        func.max(FeedbackRow.at).label("last_at"),
    ).where(FeedbackRow.tenant == tenant, FeedbackRow.interaction_id == interaction_id)


def _by_version(tenant: str, query: PromptFeedbackQuery) -> Select[Any]:
    entry, asked = FeedbackRow, InteractionRow
    score = case(
        (entry.feedback_type == "rating", (entry.rating - 1) / 4.0), (entry.negative.is_(False), 1.0), else_=0.0
    )
    thumbs = entry.feedback_type == "thumbs"
    where = [asked.tenant == tenant, asked.prompt == query.prompt, entry.feedback_type.in_(("thumbs", "rating"))]
    if query.from_ is not None:
        where.append(asked.at >= query.from_)
    if query.to is not None:
        where.append(asked.at < query.to)
    each = (
        select(
            asked.prompt_version.label("version"),
            func.avg(score).label("score"),
            func.sum(case((and_(thumbs, entry.negative.is_(False)), 1), else_=0)).label("up"),
            func.sum(case((and_(thumbs, entry.negative.is_(True)), 1), else_=0)).label("down"),
            func.count(entry.rating).label("ratings"),
            func.coalesce(func.sum(entry.rating), 0).label("rated"),
        )
        .join(entry, and_(entry.tenant == asked.tenant, entry.interaction_id == asked.interaction_id))
        .where(*where)
        .group_by(asked.interaction_id, asked.prompt_version)
        .subquery()
    )
    sums = (func.sum(each.c[name]).label(name) for name in ("up", "down", "ratings", "rated"))
    return (
        select(each.c.version, func.count().label("answers"), func.avg(each.c.score).label("score"), *sums)
        .group_by(each.c.version)
        .order_by(each.c.version.desc())
    )


async def _model(session: ReadSession, tenant: str, interaction_id: str) -> str | None:
    found: str | None = await session.scalar(
        select(InteractionRow.model).where(
            InteractionRow.tenant == tenant, InteractionRow.interaction_id == interaction_id
        )
    )
    return found


def _entry(row: FeedbackRow, model: str | None) -> FeedbackEntry:
    known = {"interaction_known": model is not None} | ({"model": model} if model is not None else {})
    return FeedbackEntry.model_validate(
        {
            "id": row.id,
            "interaction_id": row.interaction_id,
            "timestamp": row.at,
            "feedback_type": row.feedback_type,
            "raw_feedback": row.raw,
            "processed_feedback": {**row.processed, **known},
            "metadata": row.details,
        }
    )


def _same_request(row: FeedbackRow, key: IdempotencyKey) -> None:
    if row.request_digest != key.digest:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for other feedback. Send a new key with new content, or the same content again."
        )


def _not_found(entry_id: str) -> FeedbackNotFound:
    return FeedbackNotFound(f"There is no feedback with the id {entry_id!r}.")
