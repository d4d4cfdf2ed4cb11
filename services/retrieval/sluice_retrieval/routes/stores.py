"""Vector stores."""

from typing import Annotated

from fastapi import APIRouter, Query

from sluice.auth import CallerDep
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.contracts.retrieval import Deleted, VectorStore, VectorStoreCreate
from sluice.contracts.vector_files import BatchEntry, VectorStoreUpdate
from sluice.errors import DependencyUnavailable, SluiceError, Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_retrieval.domain.chunking import effective
from sluice_retrieval.domain.documents import check_plain
from sluice_retrieval.domain.errors import (
    DocumentNotFound,
    DocumentTooLarge,
    DocumentTypeUnknown,
    DocumentUnreadable,
    StoreNotFound,
)
from sluice_retrieval.routes.files import add_entries, chunking_of
from sluice_retrieval.wiring import DepsDep

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"], responses=problem_responses(Unauthorized))


@router.post(
    "",
    status_code=201,
    summary="Make a vector store",
    responses=problem_responses(
        DocumentUnreadable, DocumentNotFound, DocumentTypeUnknown, DocumentTooLarge, DependencyUnavailable
    ),
)
async def create_store(body: VectorStoreCreate, caller: CallerDep, deps: DepsDep) -> VectorStore:
    """Make a vector store; the answer shows the chunking that will really be used."""
    check_plain(body.name, *body.metadata, *body.metadata.values())
    store = VectorStore(
        id=new_id("vs"),
        name=body.name,
        created_at=int(deps.clock.now()),
        documents=0,
        chunks=0,
        chunking=chunking_of(body.chunking_strategy, body.chunking) or effective(body.chunking),
        metadata=body.metadata,
        expires_after=body.expires_after,
        understand=body.understand,
        metric=body.metric,
        keywords=body.keywords,
        captions=body.captions,
    )
    await deps.library.add_store(caller.tenant, store)
    if body.file_ids:
        try:
            await add_entries(deps, caller.tenant, store.id, [BatchEntry(file_id=one) for one in body.file_ids], None)
        except SluiceError:
            await deps.library.remove_store(caller.tenant, store.id)
            raise
    return await deps.library.store(caller.tenant, store.id, deps.clock.now())


class StoreQuery(PageQuery):
    """Which vector stores are wanted."""

    after: Annotated[Cursor | None, id_of("vs")] = None


@router.get("", summary="List vector stores")
async def list_stores(page: Annotated[StoreQuery, Query()], caller: CallerDep, deps: DepsDep) -> Page[VectorStore]:
    """List the tenant's vector stores, newest first unless asked otherwise."""
    return Page[VectorStore].of(await deps.library.stores(caller.tenant, page, deps.clock.now()), page.limit)


@router.get("/{store_id}", summary="Get a vector store", responses=problem_responses(StoreNotFound))
async def get_store(store_id: str, caller: CallerDep, deps: DepsDep) -> VectorStore:
    """Return one vector store with its numbers of documents and chunks."""
    return await deps.library.store(caller.tenant, store_id, deps.clock.now())


@router.post(
    "/{store_id}", summary="Change a vector store", responses=problem_responses(StoreNotFound, DocumentUnreadable)
)
async def update_store(store_id: str, body: VectorStoreUpdate, caller: CallerDep, deps: DepsDep) -> VectorStore:
    """Change a store's name, metadata, expiry or what is done with questions; what is left out stays."""
    metadata = body.metadata or {}
    check_plain(body.name or "", *metadata, *metadata.values())
    await deps.library.update_store(caller.tenant, store_id, body, deps.clock.now())
    return await deps.library.store(caller.tenant, store_id, deps.clock.now())


@router.delete("/{store_id}", summary="Delete a vector store", responses=problem_responses(StoreNotFound))
async def delete_store(store_id: str, caller: CallerDep, deps: DepsDep) -> Deleted:
    """Delete a vector store with its documents; it is gone at once, its chunks leave the index shortly after."""
    await deps.library.remove_store(caller.tenant, store_id)
    deps.removing.wake()
    return Deleted(id=store_id, object="vector_store.deleted")
