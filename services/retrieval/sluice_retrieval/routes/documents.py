"""Documents of a vector store."""

from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from sluice.auth import CallerDep
from sluice.contracts.paging import Page, PageQuery
from sluice.contracts.retrieval import (
    ContentQuery,
    Deleted,
    Document,
    DocumentContent,
    DocumentCreate,
    DocumentStatus,
)
from sluice.errors import Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_retrieval.domain.documents import checked_bytes
from sluice_retrieval.domain.errors import (
    DocumentNotFound,
    DocumentTooLarge,
    DocumentTypeUnknown,
    DocumentUnreadable,
    StoreNotFound,
)
from sluice_retrieval.domain.library import Waiting
from sluice_retrieval.routes.upload import Reading, read_document
from sluice_retrieval.wiring import DepsDep

_GRACE_S = 5.0
_FORMATS = "text, Markdown, code, JSON (all UTF-8), HTML, PDF, DOCX, PPTX, XLSX, CSV, subtitles (VTT, SRT), PNG, JPEG, WebP or GIF; recordings and videos where a model hears them"
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": DocumentCreate.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": _FORMATS},
                        "name": {"type": "string", "description": "the file's name if left out"},
                        "caption": {"type": "string", "description": "what an image shows"},
                        "metadata": {"type": "string", "description": "a JSON object of texts, numbers and booleans"},
                    },
                }
            },
        },
    }
}

router = APIRouter(
    prefix="/v1/vector_stores/{store_id}/documents",
    tags=["documents"],
    responses=problem_responses(Unauthorized, StoreNotFound),
)


class DocumentQuery(PageQuery):
    """Which part of a list of documents."""

    status: DocumentStatus | None = None


@router.post(
    "",
    status_code=202,
    summary="Add a document",
    openapi_extra=_UPLOAD,
    responses=problem_responses(DocumentUnreadable, DocumentTooLarge, DocumentTypeUnknown),
)
async def add_document(store_id: str, request: Request, caller: CallerDep, deps: DepsDep) -> Document:
    """Store a document and queue its ingestion; one of the same name gives way once the new one is ready.

    Once this is answered the document survives a crash, also when the queue is away: it is sent when the queue is back.
    """
    settings = deps.settings
    allowed = partial(deps.library.describes, caller.tenant, store_id)
    async with AsyncExitStack() as held:
        room = partial(held.enter_async_context, deps.room)
        reading = Reading(deps.sizes, deps.extractor, bool(settings.transcription_url), allowed, room)
        body, sha256, picture, recording = await read_document(request, reading)
        now = deps.clock.now()
        document = Document(
            id=new_id("doc"),
            vector_store_id=store_id,
            name=body.name,
            media_type=body.media_type if picture is None else picture.media_type,
            status="queued",
            bytes=checked_bytes(body, settings.max_document_bytes, None if recording is None else len(recording.raw)),
            sha256=sha256,
            chunks=0,
            created_at=int(now),
            metadata=body.metadata,
        )
        await deps.library.add_document(caller.tenant, document, body.text, now + _GRACE_S, picture, recording)
    deps.activity.touch(store_id, now)
    deps.sending.wake()
    deps.dispatch.tell(Waiting(caller.tenant, store_id, document.id))
    return document


@router.get("", summary="List documents")
async def list_documents(
    store_id: str, page: Annotated[DocumentQuery, Query()], caller: CallerDep, deps: DepsDep
) -> Page[Document]:
    """List a store's documents, newest first unless asked otherwise; `status` keeps those in one state."""
    rows = await deps.library.documents(caller.tenant, store_id, page, page.status)
    return Page[Document].of(rows, page.limit)


@router.get("/{document_id}", summary="Get a document", responses=problem_responses(DocumentNotFound))
async def get_document(store_id: str, document_id: str, caller: CallerDep, deps: DepsDep) -> Document:
    """Return one document and how far its ingestion is."""
    return await deps.library.document(caller.tenant, store_id, document_id)


@router.get("/{document_id}/content", summary="Get a document's text", responses=problem_responses(DocumentNotFound))
async def get_content(
    store_id: str, document_id: str, part: Annotated[ContentQuery, Query()], caller: CallerDep, deps: DepsDep
) -> DocumentContent:
    """Return the text that the `start` and `end` of hits and citations mean, or a part of it."""
    return await deps.library.content(caller.tenant, store_id, document_id, part)


@router.delete("/{document_id}", summary="Delete a document", responses=problem_responses(DocumentNotFound))
async def delete_document(store_id: str, document_id: str, caller: CallerDep, deps: DepsDep) -> Deleted:
    """Delete a document; searches no longer find it from now on."""
    await deps.library.remove_document(caller.tenant, store_id, document_id)
    deps.removing.wake()
    return Deleted(id=document_id, object="vector_store.document.deleted")
