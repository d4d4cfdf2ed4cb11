"""The record of memories: documents of one vector store for each tenant, by end user."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from sluice.contracts.memories import RESERVED, Memory, MemoryKind, MemoryQuery
from sluice.contracts.retrieval import ChunkingOptions
from sluice.db import Database
from sluice_retrieval.domain.errors import MemoryNotFound
from sluice_retrieval.store.library import MEMORY_PREFIX
from sluice_retrieval.store.versions import bump
from sluice_retrieval.tables import AttributeRow, DocumentRow, RemovalRow, StoreRow, TextRow

NEVER = 9e15
"""When a memory ends that never does, in unix seconds."""
_CHUNKING = ChunkingOptions(strategy="paragraph", max_tokens=512)
_BYTES = 16


def store_of(tenant: str) -> str:
    """Return the id of the vector store that holds a tenant's memories."""
    return f"{MEMORY_PREFIX}{hashlib.blake2b(tenant.encode(), digest_size=_BYTES).hexdigest()}"


class Memories:
    """Memories as the API sees them; every query is limited to one tenant.

    A memory is a document whose name is the memory's id; its end user, kind and end are attributes. A changed memory is a newer document of that name,
    so the old text is found until the new one is ready.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make_store(self, tenant: str, now: float) -> str:
        """Return the store for a tenant's memories; it is made with the first one."""
        store_id = store_of(tenant)
        async with self._database.read() as session:
            if await session.scalar(select(StoreRow.id).where(StoreRow.id == store_id)) is not None:
                return store_id
        try:
            async with self._database.write() as session:
                session.add(
                    StoreRow(
                        id=store_id,
                        tenant=tenant,
                        name="memory",
                        created_at=now,
                        chunking=_CHUNKING.model_dump(mode="json"),
                        details={"purpose": "memory"},
                        last_active_at=now,
                    )
                )
        except IntegrityError:  # another request made it at the same moment
            pass
        return store_id

    async def has_store(self, tenant: str) -> bool:
        """Tell whether the tenant has memories, or had some."""
        async with self._database.read() as session:
            return await session.scalar(select(StoreRow.id).where(StoreRow.id == store_of(tenant))) is not None

    async def get(self, tenant: str, memory_id: str, now: float) -> Memory:
        """Return one memory, or raise `MemoryNotFound`."""
        async with self._database.read() as session:
            row = (await session.execute(_memories(tenant, now).where(DocumentRow.name == memory_id))).first()
            found = None if row is None else _memory_of(row)
        if found is None:
            raise MemoryNotFound(f"There is no memory {memory_id!r}. List a user's with GET /v1/memories?user=….")
        return found

    async def same(self, tenant: str, user: str, kind: MemoryKind, sha256: str, now: float) -> Memory | None:
        """Return the memory of this text that the user has already."""
        query = _memories(tenant, now).where(
            DocumentRow.sha256 == sha256,
            _has(store_of(tenant), "user", user),
            _is_of(kind),
            DocumentRow.status != "failed",
        )
        async with self._database.read() as session:
            row = (await session.execute(query.limit(1))).first()
            return None if row is None else _memory_of(row)

    async def page(self, tenant: str, asked: MemoryQuery, now: float) -> list[Memory]:
        """Return a page of an end user's memories, and one more if there are more."""
        query = _memories(tenant, now).where(_has(store_of(tenant), "user", asked.user))
        if asked.kind is not None:
            query = query.where(_is_of(asked.kind))
        falls = asked.order == "desc"
        if asked.after is not None:
            query = query.where(DocumentRow.name < asked.after if falls else DocumentRow.name > asked.after)
        query = query.order_by(DocumentRow.name.desc() if falls else DocumentRow.name).limit(asked.limit + 1)
        async with self._database.read() as session:
            return [_memory_of(row) for row in await session.execute(query)]

    async def named(self, tenant: str, document_ids: Collection[str], now: float) -> dict[str, Memory]:
        """Return the memories that documents hold, by the documents' ids; an outdated text is left out."""
        query = _memories(tenant, now).where(DocumentRow.id.in_(document_ids))
        async with self._database.read() as session:
            return {row[0].id: _memory_of(row) for row in await session.execute(query)}

    async def forget(self, tenant: str, memory_id: str) -> None:
        """Remove one memory, or raise `MemoryNotFound`."""
        if not await self._remove(tenant, DocumentRow.name == memory_id):
            raise MemoryNotFound(f"There is no memory {memory_id!r}. List a user's with GET /v1/memories?user=….")

    async def forget_user(self, tenant: str, user: str) -> int:
        """Remove all that is remembered of an end user; returns how many memories."""
        return len(set(await self._remove(tenant, _has(store_of(tenant), "user", user))))

    async def forget_expired(self, now: float) -> int:
        """Remove memories whose time is over, of all tenants; returns how many."""
        stores = select(StoreRow.id).where(StoreRow.id.startswith(MEMORY_PREFIX, autoescape=True))
        over = select(AttributeRow.document_id).where(
            AttributeRow.store_id.in_(stores),
            AttributeRow.key == "expires_at",
            AttributeRow.kind == "number",
            AttributeRow.number <= now,
        )
        query = select(DocumentRow.tenant, DocumentRow.name).where(
            DocumentRow.store_id.startswith(MEMORY_PREFIX, autoescape=True), DocumentRow.id.in_(over)
        )
        async with self._database.read() as session:
            ended = [(row[0], row[1]) for row in await session.execute(query.limit(1000))]
        for tenant, memory_id in set(ended):
            await self._remove(tenant, (DocumentRow.name == memory_id) & DocumentRow.id.in_(over))
        return len(ended)

    async def _remove(self, tenant: str, chosen: ColumnElement[bool]) -> Sequence[str]:
        store_id = store_of(tenant)
        async with self._database.write() as session:
            await session.run_sync(bump, [store_id])
            gone = await session.execute(
                delete(DocumentRow)
                .where(DocumentRow.tenant == tenant, DocumentRow.store_id == store_id, chosen)
                .returning(DocumentRow.id, DocumentRow.name)
                .execution_options(synchronize_session=False)
            )
            rows = gone.all()
            session.add_all(RemovalRow(tenant=tenant, store_id=store_id, document_id=row[0]) for row in rows)
            return [row[1] for row in rows]


def _memories(tenant: str, now: float) -> Select[*tuple[Any, ...]]:
    newer = aliased(DocumentRow)
    outdated = exists().where(
        newer.store_id == DocumentRow.store_id, newer.name == DocumentRow.name, newer.id > DocumentRow.id
    )
    ended = exists().where(
        AttributeRow.document_id == DocumentRow.id, AttributeRow.key == "expires_at", AttributeRow.number <= now
    )
    return (
        select(DocumentRow, TextRow.text)
        .join(TextRow, TextRow.document_id == DocumentRow.id)
        .where(DocumentRow.tenant == tenant, DocumentRow.store_id == store_of(tenant), ~outdated, ~ended)
    )


def _has(store_id: str, key: str, value: str) -> ColumnElement[bool]:
    held = select(AttributeRow.document_id).where(
        AttributeRow.store_id == store_id,
        AttributeRow.key == key,
        AttributeRow.kind == "text",
        AttributeRow.text == value,
    )
    return DocumentRow.id.in_(held)


def _is_of(kind: MemoryKind) -> ColumnElement[bool]:
    """Ask each memory of a user, who has few, rather than for all of a tenant that are of the kind."""
    return exists().where(
        AttributeRow.document_id == DocumentRow.id, AttributeRow.key == "kind", AttributeRow.text == kind
    )


def _memory_of(row: Any) -> Memory:
    document, text = row
    said = document.details
    return Memory.model_validate(
        {
            "id": document.name,
            "user": said["user"],
            "kind": said["kind"],
            "content": text,
            "metadata": {key: value for key, value in said.items() if key not in RESERVED},
            "status": document.status,
            "created_at": int(said["created_at"]),
            "updated_at": int(document.created_at),
            "expires_at": None if said["expires_at"] >= NEVER else int(said["expires_at"]),
        }
    )
