"""Reading a document from a request: JSON, or a file in a form."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Json, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.types import Message

from sluice.contracts.base import Metadata
from sluice.contracts.retrieval import DocumentCreate
from sluice_retrieval.domain.documents import check_size, decoded, media_type_of
from sluice_retrieval.domain.errors import DocumentTypeUnknown, DocumentUnreadable

_ESCAPED = 6  # JSON may write one byte as \u00xx
_OVERHEAD = 64 * 1024
_METADATA: TypeAdapter[Any] = TypeAdapter(Json[Metadata])


async def read_document(request: Request, max_bytes: int) -> DocumentCreate:
    """Return the document that a request brings.

    Raises:
        DocumentTypeUnknown: the body is neither JSON nor a form, or the file neither text nor Markdown.
        DocumentTooLarge: the body is over the limit; it is not read to its end.
        DocumentUnreadable: the form cannot be parsed, or the file is not UTF-8.
        RequestValidationError: the JSON is not a `DocumentCreate`.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type == "application/json":
        body = await _read(request, max_bytes, _ESCAPED * max_bytes + _OVERHEAD)
        try:
            return DocumentCreate.model_validate_json(body)
        except ValidationError as exc:
            raise _invalid(exc, "body") from exc
    if media_type == "multipart/form-data":
        return await _from_form(request, await _read(request, max_bytes, max_bytes + _OVERHEAD), max_bytes)
    raise DocumentTypeUnknown("Send the document as application/json, or as a file in multipart/form-data.")


async def _read(request: Request, max_bytes: int, limit: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        check_size(int(length), max_bytes)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            check_size(len(body), max_bytes)
    return bytes(body)


async def _from_form(request: Request, body: bytes, max_bytes: int) -> DocumentCreate:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        form: FormData = await Request(request.scope, receive).form(max_files=1, max_fields=8)
    except (MultiPartException, KeyError) as exc:
        raise DocumentUnreadable("The form cannot be read; send multipart/form-data with a part named `file`.") from exc
    try:
        return await _from_fields(form, max_bytes)
    except ValidationError as exc:
        raise _invalid(exc, "form") from exc
    finally:
        await form.close()


async def _from_fields(form: FormData, max_bytes: int) -> DocumentCreate:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise DocumentUnreadable("The form has no file; send it in a part named `file`.")
    filename = file.filename or ""
    return DocumentCreate.model_validate(
        {
            "name": form.get("name") or filename,
            "text": decoded(await file.read(), max_bytes),
            "media_type": media_type_of(filename, file.content_type or ""),
            "metadata": _METADATA.validate_python(form.get("metadata") or "{}"),
        }
    )


def _invalid(exc: ValidationError, where: str) -> RequestValidationError:
    errors = exc.errors(include_url=False)
    return RequestValidationError([{**error, "loc": (where, *error["loc"])} for error in errors])
