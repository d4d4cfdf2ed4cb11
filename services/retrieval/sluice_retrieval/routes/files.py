"""Files of a vector store and batches of them, in OpenAI's shape."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from sluice.auth import CallerDep
from sluice.contracts.paging import Page
from sluice.contracts.retrieval import ChunkingOptions, ContentQuery, Deleted
from sluice.contracts.vector_files import (
    MAX_BATCH,
    BatchEntry,
    ChunkingStrategyChoice,
    FileAdd,
    FileBatch,
    FileBatchCreate,
    FileContent,
    FileQuery,
    FileUpdate,
    TextPart,
    VectorStoreFile,
)
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_retrieval.domain.chunking import effective
from sluice_retrieval.domain.documents import check_plain
from sluice_retrieval.domain.errors import (
    BatchNotFound,
    DocumentNotFound,
    DocumentTooLarge,
    DocumentTypeUnknown,
    DocumentUnreadable,
    StoreNotFound,
)
from sluice_retrieval.domain.extraction import FileFormat, format_of
from sluice_retrieval.domain.library import Waiting
from sluice_retrieval.domain.recordings import check_heard
from sluice_retrieval.store.files import NewFile
from sluice_retrieval.wiring import Deps, DepsDep

_log = logging.getLogger(__name__)
_GRACE_S = 5.0
_AT_ONCE = 8
_REFUSED = (DocumentNotFound, DocumentUnreadable, DocumentTooLarge, DocumentTypeUnknown, DependencyUnavailable)


async def require_gateway(caller: CallerDep) -> None:
    """Let only the gateway in, which keeps the files."""
    if caller.role != "service" or caller.subject != "gateway":
        raise Forbidden("Only the gateway, which keeps the files, may use this.")


forgetting = APIRouter(
    tags=["internal"], dependencies=[Depends(require_gateway)], responses=problem_responses(Unauthorized, Forbidden)
)
router = APIRouter(
    prefix="/v1/vector_stores/{store_id}",
    tags=["files"],
    responses=problem_responses(Unauthorized, StoreNotFound),
)


@router.post("/files", summary="Add a file", responses=problem_responses(*_REFUSED))
async def add_file(store_id: str, body: FileAdd, caller: CallerDep, deps: DepsDep) -> VectorStoreFile:
    """Add a file that was uploaded with POST /v1/files; a worker reads, parses and indexes it.

    Once this is answered the file will be ingested, also after a crash. A file that cannot be parsed ends as `failed` with
    the reason in `last_error`.
    """
    entry = BatchEntry(file_id=body.file_id, attributes=body.attributes, chunking_strategy=body.chunking_strategy)
    await add_entries(deps, caller.tenant, store_id, [entry], None)
    return await deps.files.get(caller.tenant, store_id, body.file_id)


@router.get("/files", summary="List files")
async def list_files(
    store_id: str, page: Annotated[FileQuery, Query()], caller: CallerDep, deps: DepsDep
) -> Page[VectorStoreFile]:
    """List a store's files, newest first unless asked otherwise; `filter` keeps those in one state."""
    return Page[VectorStoreFile].of(await deps.files.page(caller.tenant, store_id, page), page.limit)


@router.get("/files/{file_id}", summary="Get a file", responses=problem_responses(DocumentNotFound))
async def get_file(store_id: str, file_id: str, caller: CallerDep, deps: DepsDep) -> VectorStoreFile:
    """Return a file and how far its ingestion is."""
    return await deps.files.get(caller.tenant, store_id, file_id)


@router.post(
    "/files/{file_id}",
    summary="Change a file's attributes",
    responses=problem_responses(DocumentNotFound, DocumentUnreadable),
)
async def update_file(
    store_id: str, file_id: str, body: FileUpdate, caller: CallerDep, deps: DepsDep
) -> VectorStoreFile:
    """Replace the attributes that filters compare; searches see the new ones at once."""
    attributes = body.attributes or {}
    check_plain(*attributes, *(value for value in attributes.values() if isinstance(value, str)))
    await deps.files.set_attributes(caller.tenant, store_id, file_id, attributes)
    return await deps.files.get(caller.tenant, store_id, file_id)


@router.delete("/files/{file_id}", summary="Take a file out", responses=problem_responses(DocumentNotFound))
async def delete_file(store_id: str, file_id: str, caller: CallerDep, deps: DepsDep) -> Deleted:
    """Take a file out of the store; the file itself stays with the gateway until it is deleted there."""
    await deps.files.remove(caller.tenant, store_id, file_id)
    deps.removing.wake()
    return Deleted(id=file_id, object="vector_store.file.deleted")


@router.get("/files/{file_id}/content", summary="Get a file's text", responses=problem_responses(DocumentNotFound))
async def get_file_content(store_id: str, file_id: str, caller: CallerDep, deps: DepsDep) -> FileContent:
    """Return the text that was extracted from a file."""
    file = await deps.files.get(caller.tenant, store_id, file_id)
    part = ContentQuery(length=1_000_000)
    parts: list[TextPart] = []
    while True:
        found = await deps.library.content(caller.tenant, store_id, file.document_id, part)
        parts.append(TextPart(text=found.text))
        if found.end >= found.length:
            return FileContent(data=tuple(parts))
        part = part.model_copy(update={"start": found.end})


@router.post("/file_batches", summary="Add several files", responses=problem_responses(*_REFUSED))
async def add_batch(store_id: str, body: FileBatchCreate, caller: CallerDep, deps: DepsDep) -> FileBatch:
    """Add files together: all of them, or none if one is not there or of a type that is not read."""
    entries = body.files or tuple(
        BatchEntry(file_id=one, attributes=body.attributes, chunking_strategy=body.chunking_strategy)
        for one in body.file_ids
    )
    if not entries:
        raise DocumentUnreadable(f"A batch has 1 to {MAX_BATCH} files; name them in `file_ids` or `files`.")
    batch_id = new_id("vsfb")
    await add_entries(deps, caller.tenant, store_id, entries, batch_id)
    return await deps.files.batch(caller.tenant, store_id, batch_id)


@router.get("/file_batches/{batch_id}", summary="Get a batch", responses=problem_responses(BatchNotFound))
async def get_batch(store_id: str, batch_id: str, caller: CallerDep, deps: DepsDep) -> FileBatch:
    """Return a batch and how many of its files are in which state."""
    return await deps.files.batch(caller.tenant, store_id, batch_id)


@router.post("/file_batches/{batch_id}/cancel", summary="Cancel a batch", responses=problem_responses(BatchNotFound))
async def cancel_batch(store_id: str, batch_id: str, caller: CallerDep, deps: DepsDep) -> FileBatch:
    """Keep the files that no worker has begun from being ingested; those that are begun go on, and a batch that is through stays so."""
    await deps.files.cancel(caller.tenant, store_id, batch_id)
    return await deps.files.batch(caller.tenant, store_id, batch_id)


@router.get("/file_batches/{batch_id}/files", summary="List a batch", responses=problem_responses(BatchNotFound))
async def list_batch(
    store_id: str, batch_id: str, page: Annotated[FileQuery, Query()], caller: CallerDep, deps: DepsDep
) -> Page[VectorStoreFile]:
    """List the files of a batch."""
    await deps.files.batch(caller.tenant, store_id, batch_id)
    return Page[VectorStoreFile].of(await deps.files.page(caller.tenant, store_id, page, batch_id), page.limit)


@forgetting.delete("/internal/files/{file_id}", summary="Take a file out of all stores")
async def forget_file(file_id: str, caller: CallerDep, deps: DepsDep) -> Deleted:
    """Take a file that was deleted out of all stores of its tenant; searches no longer find it from now on."""
    if await deps.files.forget(caller.tenant, file_id):
        deps.removing.wake()
    return Deleted(id=file_id, object="vector_store.file.deleted")


async def add_entries(
    deps: Deps, tenant: str, store_id: str, entries: Sequence[BatchEntry], batch_id: str | None
) -> None:
    """Look the files up at the gateway, record them and send their jobs."""
    store = await deps.library.store(tenant, store_id, deps.clock.now())  # before anybody is asked about the files
    slots = asyncio.Semaphore(_AT_ONCE)

    async def made(entry: BatchEntry) -> NewFile:
        async with slots:
            name, size = await deps.sources.describe(tenant, entry.file_id)
        if format_of(name, "") is FileFormat.RECORDING:
            check_heard(hears=bool(deps.settings.transcription_url), allowed=store.captions)
        deps.sizes.check(size, name)
        attributes = entry.attributes or {}
        check_plain(name, *attributes, *(value for value in attributes.values() if isinstance(value, str)))
        chunking = chunking_of(entry.chunking_strategy, store.chunking)
        return NewFile(new_id("doc"), entry.file_id, name[:500], size, attributes, chunking)

    files = await asyncio.gather(*(made(entry) for entry in entries))
    now = deps.clock.now()
    await deps.files.add(tenant, store_id, files, batch_id, now, now + _GRACE_S)
    deps.activity.touch(store_id, now)
    deps.sending.wake()
    for file in files:
        deps.dispatch.tell(Waiting(tenant, store_id, file.document_id))


def chunking_of(choice: ChunkingStrategyChoice | None, store: ChunkingOptions) -> ChunkingOptions | None:
    """Return how a file is cut when it says so itself, None for the store's way."""
    if choice is None or choice.static is None:
        return None
    size = min(choice.static.max_chunk_size_tokens, 512)
    overlap = min(choice.static.chunk_overlap_tokens, 256)
    return effective(ChunkingOptions(strategy="fixed", max_tokens=size, overlap_tokens=overlap))
