"""Files: OpenAI's /v1/files, and a check of what a file holds."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from sluice.auth import CallerDep
from sluice.contracts.finetune import DatasetReport, FileDeleted, FileObject
from sluice.contracts.paging import Cursor, Order, Page, PageQuery
from sluice.errors import Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_finetune.adapters.blobs import BlobWriter
from sluice_finetune.adapters.form import UploadForm, read_upload
from sluice_finetune.domain.errors import (
    BlobMissing,
    FileInUse,
    FileNotFound,
    FileTooLarge,
    FormUnreadable,
    NotAForm,
    UnknownPurpose,
)
from sluice_finetune.domain.submission import new_file
from sluice_finetune.domain.validation import validate
from sluice_finetune.wiring import DepsDep

router = APIRouter(prefix="/v1/files", tags=["files"])

_FORM_OVERHEAD = 64 * 1024
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["purpose", "file"],
                    "properties": {
                        "purpose": {"type": "string", "enum": ["fine-tune"]},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}


@router.post(
    "",
    summary="Upload a training file",
    openapi_extra=_FORM,
    responses=problem_responses(Unauthorized, FormUnreadable, UnknownPurpose, NotAForm, FileTooLarge),
)
async def upload(request: Request, caller: CallerDep, deps: DepsDep) -> FileObject:
    """Store a file; it is on disk when the answer comes. The fields may stand in any order."""
    _check_length(request, deps.settings.max_file_bytes)
    file_id = new_id("file")
    async with deps.blobs.create(file_id) as writer:
        form = await _receive(request, writer, deps.settings.max_file_bytes)
        purpose = form.fields.get("purpose")
        file = new_file(file_id, form.filename, purpose, writer.size, writer.sha256, deps.clock.now())
    await deps.files.add(caller.tenant, file, file_id)
    deps.metrics.uploads.inc()
    deps.metrics.uploaded_bytes.inc(file.bytes)
    return file


@router.get("", summary="List files", responses=problem_responses(Unauthorized))
async def list_files(
    caller: CallerDep,
    deps: DepsDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[Cursor | None, Query(max_length=64)] = None,
    order: Order = "desc",
    purpose: Annotated[str | None, Query(max_length=64)] = None,
) -> Page[FileObject]:
    """Return the tenant's files, newest first."""
    return await deps.files.list(caller.tenant, PageQuery(limit=limit, after=after, order=order), purpose)


@router.get("/{file_id}", summary="Get a file's record", responses=problem_responses(Unauthorized, FileNotFound))
async def get_file(file_id: str, caller: CallerDep, deps: DepsDep) -> FileObject:
    """Return what is known of a file."""
    return (await deps.files.get(caller.tenant, file_id)).file


@router.get(
    "/{file_id}/content",
    summary="Download a file",
    response_class=StreamingResponse,
    responses={
        **problem_responses(Unauthorized, FileNotFound, BlobMissing),
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def get_content(file_id: str, caller: CallerDep, deps: DepsDep) -> StreamingResponse:
    """Return the bytes that were uploaded."""
    found = await deps.files.get(caller.tenant, file_id)
    size = await deps.blobs.size(found.blob)
    headers = {"content-length": str(size), "x-content-type-options": "nosniff"}
    return StreamingResponse(deps.blobs.chunks(found.blob), media_type="application/octet-stream", headers=headers)


@router.get(
    "/{file_id}/validation",
    summary="Check a training file",
    responses=problem_responses(Unauthorized, FileNotFound, BlobMissing),
)
async def check_file(file_id: str, caller: CallerDep, deps: DepsDep) -> DatasetReport:
    """Read a training file through and return its format, wrong lines, lengths and exact duplicates."""
    found = await deps.files.get(caller.tenant, file_id)
    return await asyncio.to_thread(lambda: validate(deps.blobs.lines(found.blob), lambda: None))


@router.delete(
    "/{file_id}", summary="Delete a file", responses=problem_responses(Unauthorized, FileNotFound, FileInUse)
)
async def delete_file(file_id: str, caller: CallerDep, deps: DepsDep) -> FileDeleted:
    """Remove a file that no open job needs."""
    await deps.blobs.remove(await deps.files.remove(caller.tenant, file_id))
    return FileDeleted(id=file_id)


def _check_length(request: Request, max_bytes: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes + _FORM_OVERHEAD:
        raise _too_large(max_bytes)


async def _receive(request: Request, writer: BlobWriter, max_bytes: int) -> UploadForm:
    async def write(data: bytes) -> None:
        if writer.size + len(data) > max_bytes:
            raise _too_large(max_bytes)
        await writer.write(data)

    try:
        return await read_upload(request.headers.get("content-type", ""), request.stream(), write)
    except ClientDisconnect as exc:
        raise FormUnreadable("The upload was cut off.") from exc


def _too_large(max_bytes: int) -> FileTooLarge:
    return FileTooLarge(f"A file may have {max_bytes} bytes. Send less, or raise SLUICE_FINETUNE_MAX_FILE_BYTES.")
