"""Queries for conversations; every query that a caller causes names the tenant."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sluice.contracts.paging import Order
from sluice.db import Database
from sluice_gateway.audit_store import erase
from sluice_gateway.domain.audit import Trail
from sluice_gateway.domain.conversations import Placed, Said, StoredConversation
from sluice_gateway.domain.errors import ConversationItemNotFound, ConversationNotFound
from sluice_gateway.domain.responses import ResponseFilter
from sluice_gateway.responses.tables import ConversationItemRow, ConversationRow, ResponseRow


class ConversationStore:
    """Conversations; every method raises DependencyUnavailable when the database is away, and ConversationNotFound of one that this tenant has not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, conversation: StoredConversation, items: Sequence[Placed]) -> None:
        """Add a conversation with its first items."""

        def work(session: Session) -> None:
            fields = conversation._asdict()
            session.add(ConversationRow(details=dict(fields.pop("metadata")), **fields))
            session.flush()
            insert_items(session, conversation.id, items, sqlite=self._database.is_sqlite)

        await self._database.transact(work)

    async def get(self, tenant: str, conversation_id: str, now: float) -> StoredConversation:
        """Return a conversation."""
        columns = (ConversationRow.id, ConversationRow.tenant, ConversationRow.organization_id, ConversationRow.key_id,
                   ConversationRow.details, ConversationRow.created_at, ConversationRow.expires_at)  # fmt: skip
        rows = await self._database.rows(select(*columns).where(*_this(tenant, conversation_id, now)))
        if not rows:
            raise no_conversation(conversation_id)
        return StoredConversation(*rows[0])

    async def describe(self, tenant: str, conversation_id: str, metadata: Mapping[str, str], now: float) -> None:
        """Replace a conversation's metadata."""
        async with self._database.write() as session:
            changed = await session.execute(
                update(ConversationRow)
                .where(*_this(tenant, conversation_id, now))
                .values(details=dict(metadata))
                .returning(ConversationRow.id)
            )
            if changed.first() is None:
                raise no_conversation(conversation_id)

    async def delete(self, tenant: str, conversation_id: str, now: float) -> None:
        """Erase a conversation with all its items."""
        async with self._database.write() as session:
            mine = select(ConversationRow.id).where(*_this(tenant, conversation_id, now)).with_for_update()
            if await session.scalar(mine) is None:
                raise no_conversation(conversation_id)
            await session.execute(
                delete(ConversationItemRow).where(ConversationItemRow.conversation_id == conversation_id)
            )
            await session.execute(delete(ConversationRow).where(ConversationRow.id == conversation_id))

    async def delete_matching(self, wanted: ResponseFilter, trail: Trail) -> int:
        """Erase all that match, with their items, and return how many; the audit log says so."""
        return await erase(
            self._database,
            ConversationRow,
            matching(ConversationRow, wanted),
            lambda organization, count: trail.kept_deleted("conversations", organization, wanted, count),
            beneath=ConversationItemRow.conversation_id,
        )

    async def add_items(
        self, tenant: str, conversation_id: str, items: Sequence[Placed], now: float, expires_at: int
    ) -> None:
        """Add items at the end of a conversation."""

        def work(session: Session) -> bool:
            return append(
                session, tenant, conversation_id, items, now=now, expires_at=expires_at, sqlite=self._database.is_sqlite
            )

        if not await self._database.transact(work):
            raise no_conversation(conversation_id)

    async def page(
        self, tenant: str, conversation_id: str, *, limit: int, after: str | None, order: Order, now: float
    ) -> list[Placed]:
        """Return at most `limit + 1` items in an order.

        Raises:
            ConversationItemNotFound: `after` names none of them.
        """
        await self.get(tenant, conversation_id, now)
        row = ConversationItemRow
        query = select(row.place, row.item).where(row.conversation_id == conversation_id).limit(limit + 1)
        ascending = order == "asc"
        if after is not None:
            mark = await self._place(conversation_id, after)
            query = query.where(row.place > mark if ascending else row.place < mark)
        query = query.order_by(row.place.asc() if ascending else row.place.desc())
        return [Placed(place, orjson.loads(item)) for place, item in await self._database.rows(query)]

    async def item(self, tenant: str, conversation_id: str, item_id: str, now: float) -> Placed:
        """Return one item; raises ConversationItemNotFound."""
        await self.get(tenant, conversation_id, now)
        place = await self._place(conversation_id, item_id)
        row = ConversationItemRow
        query = select(row.item).where(row.conversation_id == conversation_id, row.place == place)
        return Placed(place, orjson.loads((await self._database.rows(query))[0][0]))

    async def delete_item(self, tenant: str, conversation_id: str, item_id: str, now: float) -> StoredConversation:
        """Erase one item, and return the conversation; raises ConversationItemNotFound."""
        found = await self.get(tenant, conversation_id, now)
        place = await self._place(conversation_id, item_id)
        row = ConversationItemRow
        async with self._database.write() as session:
            await session.execute(delete(row).where(row.conversation_id == conversation_id, row.place == place))
        return found

    async def said(self, tenant: str, conversation_id: str, now: float, most_bytes: int) -> Said:
        """Return the newest items that have so many bytes together, in their order."""
        await self.get(tenant, conversation_id, now)
        row = ConversationItemRow
        sizes = select(row.place, row.size).where(row.conversation_id == conversation_id).order_by(row.place.desc())
        size, first, whole = 0, "", True
        for place, taken in await self._database.rows(sizes):
            size += taken
            if size > most_bytes:
                whole = False
                break
            first = place
        query = select(row.place, row.item).where(row.conversation_id == conversation_id, row.place >= first)
        rows = await self._database.rows(query.order_by(row.place)) if first else ()
        return Said([Placed(place, orjson.loads(item)) for place, item in rows], whole)

    async def _place(self, conversation_id: str, item_id: str) -> str:
        row = ConversationItemRow
        query = select(row.place).where(row.conversation_id == conversation_id, row.item_id == item_id)
        rows = await self._database.rows(query.order_by(row.place).limit(1))
        if not rows:
            raise ConversationItemNotFound(f"The conversation {conversation_id} has no item {item_id!r}.")
        return str(rows[0][0])


def matching(row: type[ResponseRow | ConversationRow], wanted: ResponseFilter) -> list[ColumnElement[bool]]:
    """Return what rows of kept responses or conversations have to be."""
    found: list[ColumnElement[bool]] = []
    if wanted.tenant is not None:
        found.append(row.tenant == wanted.tenant)
    if wanted.key_id is not None:
        found.append(row.key_id == wanted.key_id)
    if wanted.since is not None:
        found.append(row.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(row.created_at < wanted.until)
    return found


def append(
    session: Session, tenant: str, conversation_id: str, items: Sequence[Placed], *, now: float, expires_at: int, sqlite: bool
) -> bool:  # fmt: skip
    """Add items at the end of a conversation, and keep it until `expires_at`; False when this tenant has no such conversation."""
    row = session.execute(
        select(ConversationRow).where(*_this(tenant, conversation_id, now)).with_for_update()
    ).scalar_one_or_none()
    if row is None:
        return False
    row.expires_at = max(row.expires_at, expires_at)
    session.flush()
    insert_items(session, conversation_id, items, sqlite=sqlite)
    return True


def insert_items(session: Session, conversation_id: str, items: Sequence[Placed], *, sqlite: bool) -> None:
    """Write items; one that is there already stays."""
    if not items:
        return
    values = []
    for one in items:
        text = one.text
        values.append(
            {
                "conversation_id": conversation_id,
                "place": one.place,
                "item_id": str(one.item["id"])[:128],
                "size": len(text),
                "item": text,
            }
        )
    session.execute(_insert(sqlite=sqlite).on_conflict_do_nothing(), values)


def _insert(*, sqlite: bool) -> Any:
    return (_sqlite if sqlite else postgresql.insert)(ConversationItemRow)


def _this(tenant: str, conversation_id: str, now: float) -> tuple[Any, ...]:
    return (
        ConversationRow.id == conversation_id,
        ConversationRow.tenant == tenant,
        ConversationRow.expires_at > now,
    )


def no_conversation(conversation_id: str) -> ConversationNotFound:
    """Return the refusal of an id that names no conversation."""
    return ConversationNotFound(f"Conversation with id '{conversation_id}' not found.")


_sqlite = sqlite.insert
