"""Reading a document from a request: JSON, or a file in a form."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Json, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.types import Message

from sluice.contracts.retrieval import DocumentCreate
from sluice.contracts.searching import Attributes
from sluice_retrieval.domain.documents import MARKDOWN, PLAIN, check_size, decoded
from sluice_retrieval.domain.errors import DocumentTypeUnknown, DocumentUnreadable
from sluice_retrieval.domain.extraction import AS_TEXT, Extractor, FileFormat, format_of
from sluice_retrieval.domain.images import CAPTION, Picture, caption_in, text_of

_ESCAPED = 6  # JSON may write one byte as \u00xx
_OVERHEAD = 64 * 1024
_METADATA: TypeAdapter[Any] = TypeAdapter(Json[Attributes])


Describes = Callable[[], Awaitable[bool]]


class Upload(NamedTuple):
    """A document and the SHA-256 of what it came as: a file's bytes, or a JSON text in UTF-8."""

    document: DocumentCreate
    sha256: str
    picture: Picture | None = None


async def read_document(request: Request, max_bytes: int, extractor: Extractor, describes: Describes) -> Upload:
    """Return the document that a request brings; `describes` tells whether a model may say what an image shows.

    Raises:
        DocumentTypeUnknown: the body is neither JSON nor a form, or there is no parser for the file.
        DocumentTooLarge: the body is over the limit; it is not read to its end.
        DocumentUnreadable: the form or the file cannot be read.
        RequestValidationError: the JSON is not a `DocumentCreate`.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type == "application/json":
        body = await _read(request, max_bytes, _ESCAPED * max_bytes + _OVERHEAD)
        try:
            document = DocumentCreate.model_validate_json(body)
        except ValidationError as exc:
            raise _invalid(exc, "body") from exc
        return Upload(document, _hashed(document.text.encode(errors="surrogatepass")))
    if media_type == "multipart/form-data":
        whole = await _read(request, max_bytes, max_bytes + _OVERHEAD)
        return await _from_form(request, whole, max_bytes, extractor, describes)
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


async def _from_form(
    request: Request, body: bytes, max_bytes: int, extractor: Extractor, describes: Describes
) -> Upload:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        form: FormData = await Request(request.scope, receive).form(max_files=1, max_fields=8)
    except (MultiPartException, KeyError) as exc:
        raise DocumentUnreadable("The form cannot be read; send multipart/form-data with a part named `file`.") from exc
    try:
        return await _from_fields(form, max_bytes, extractor, describes)
    except ValidationError as exc:
        raise _invalid(exc, "form") from exc
    finally:
        await form.close()


async def _from_fields(form: FormData, max_bytes: int, extractor: Extractor, describes: Describes) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise DocumentUnreadable("The form has no file; send it in a part named `file`.")
    filename = file.filename or ""
    file_format = format_of(filename, file.content_type or "")
    metadata = _metadata(form.get("metadata") or "{}")
    raw = await file.read()
    picture: Picture | None = None
    if file_format in AS_TEXT:
        text = decoded(raw, max_bytes)
    else:
        check_size(len(raw), max_bytes)
        if file_format is FileFormat.IMAGE:
            given = form.get(CAPTION) or caption_in(metadata)
            caption = given if isinstance(given, str) else ""
            picture = await extractor.picture(raw, captioned=bool(caption) or not await describes())
            text = text_of(filename, picture, caption)
        else:
            text = await extractor.extract(raw, file_format)
    document = DocumentCreate.model_validate(
        {
            "name": form.get("name") or filename,
            "text": text,
            "media_type": PLAIN if file_format in (FileFormat.PLAIN, FileFormat.IMAGE) else MARKDOWN,
            "metadata": metadata,
        }
    )
    return Upload(document, _hashed(raw), picture)


def _metadata(given: object) -> Attributes:
    try:
        found: Attributes = _METADATA.validate_python(given)
    except ValidationError as exc:
        if any(error["type"] in ("json_invalid", "dict_type") for error in exc.errors()):
            raise DocumentUnreadable('The part `metadata` must be a JSON object, such as {"year": 2026}.') from exc
        raise
    return found


def _hashed(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _invalid(exc: ValidationError, where: str) -> RequestValidationError:
    errors = exc.errors(include_url=False)
    return RequestValidationError([{**error, "loc": (where, *error["loc"])} for error in errors])
