"""Files: OpenAI's /v1/files."""

from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer
from starlette.requests import ClientDisconnect

from sluice.contracts.files import FileDeleted, FileObject
from sluice.contracts.paging import Cursor, Order, Page, id_of
from sluice.errors import Unauthorized
from sluice_gateway.dataplane.errors import InvalidKey
from sluice_gateway.domain.file_errors import FormUnreadable
from sluice_gateway.domain.files import PURPOSES
from sluice_gateway.domain.keys import bearer_token
from sluice_gateway.routes.admin import PathId
from sluice_gateway.routes.described import public_errors
from sluice_gateway.routes.public import KeyDep, PublicRoute, key_of
from sluice_gateway.wiring import DepsDep

router = APIRouter(prefix="/v1/files", tags=["files"], route_class=PublicRoute)

_api_key = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="An API key of the gateway (`sk-…`)")
_OF_STORES = "retrieval"
_READERS = frozenset({"finetune", "finetune-worker", _OF_STORES})
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["purpose", "file"],
                    "properties": {
                        "purpose": {"type": "string", "enum": list(PURPOSES)},
                        "file": {"type": "string", "format": "binary"},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
                    },
                }
            }
        },
    }
}
_CONTENT: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


class Reader(NamedTuple):
    """Whose files may be read, and the service that reads, if it is one."""

    tenant: str
    service: str | None = None


async def require_file_reader(request: Request, deps: DepsDep, _: Annotated[object, Depends(_api_key)]) -> Reader:
    """FastAPI dependency: an API key, or one of Sluice's services that reads files for a tenant; else 401."""
    authorization = request.headers.get("authorization", "").encode("latin-1")
    try:
        return Reader(key_of(deps, authorization).tenant)
    except InvalidKey:
        token = bearer_token(authorization)
        if token is None:
            raise
        reader = _read_for(deps, token.decode("latin-1"))
        if reader is None:
            raise
        return reader


def _read_for(deps: DepsDep, token: str) -> Reader | None:
    try:
        caller = deps.tokens.verify(token, "gateway")
    except Unauthorized:
        return None
    reads = caller.role == "service" and caller.subject in _READERS
    return Reader(caller.tenant, caller.subject) if reads else None


FileReaderDep = Annotated[Reader, Depends(require_file_reader)]


@router.post("", summary="Upload a file", openapi_extra=_FORM, responses=public_errors(400, 403, 413, 415))
async def create_file(request: Request, key: KeyDep, deps: DepsDep) -> FileObject:
    """Store a file; it is stored for good when the answer comes. The form's fields may stand in any order."""
    length = request.headers.get("content-length", "")
    try:
        with deps.batch_metrics.refusals():
            file = await deps.files.receive(
                key.tenant,
                key.key_id,
                request.headers.get("content-type", ""),
                int(length) if length.isdigit() else None,
                request.stream(),
            )
    except ClientDisconnect as exc:
        raise FormUnreadable("The upload was cut off.") from exc
    deps.batch_metrics.uploaded_bytes.inc(file.bytes)
    return file


@router.get("", summary="List files", responses=public_errors(400))
async def list_files(
    key: KeyDep,
    deps: DepsDep,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    after: Annotated[Cursor | None, id_of("file"), Query()] = None,
    order: Order = "desc",
    purpose: Annotated[str | None, Query(max_length=64, pattern=r"^[a-z_-]*$")] = None,
) -> Page[FileObject]:
    """List the tenant's files, newest first unless asked otherwise."""
    rows = await deps.files.store.page(key.tenant, purpose, limit, after, order)
    return Page[FileObject].of(rows, limit)


@router.get("/{file_id}", summary="Get a file's record", responses=public_errors(404))
async def get_file(file_id: PathId, reader: FileReaderDep, deps: DepsDep) -> FileObject:
    """Return what is known of a file."""
    if reader.service == _OF_STORES:
        await deps.files.store.note_reader(reader.tenant, file_id)
    return await deps.files.store.get(reader.tenant, file_id)


@router.get(
    "/{file_id}/content",
    summary="Download a file",
    response_class=StreamingResponse,
    responses={
        200: _CONTENT,
        206: {**_CONTENT, "description": "The part that was asked for"},
        **public_errors(404, 416),
    },
)
async def get_file_content(
    file_id: PathId, request: Request, reader: FileReaderDep, deps: DepsDep
) -> StreamingResponse:
    """Return the bytes that were stored, or one range of them."""
    opened = await deps.files.open(reader.tenant, file_id, request.headers.get("range"))
    start, stop = opened.span or (0, opened.size)
    headers = {
        "content-length": str(stop - start),
        "accept-ranges": "bytes",
        "content-disposition": f"attachment; filename*=UTF-8''{quote(opened.file.filename, safe='')}",
        "etag": f'"{opened.file.sha256}"',
        "x-content-type-options": "nosniff",
    }
    if opened.span is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{opened.size}"
    return StreamingResponse(
        opened.chunks, 206 if opened.span is not None else 200, headers, "application/octet-stream"
    )


@router.delete("/{file_id}", summary="Delete a file", responses=public_errors(404, 409))
async def delete_file(file_id: PathId, key: KeyDep, deps: DepsDep) -> FileDeleted:
    """Remove a file that no open batch needs, and take it out of all vector stores."""
    await deps.files.remove(key.tenant, file_id)
    return FileDeleted(id=file_id)
