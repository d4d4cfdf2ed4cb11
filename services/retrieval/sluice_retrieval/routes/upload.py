"""Reading a document from a request: JSON, or a file in a form."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
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
from sluice_retrieval.domain.extraction import AS_TEXT, Extractor, FileFormat, Sizes, Source, format_of
from sluice_retrieval.domain.images import CAPTION, Picture, caption_in, text_of
from sluice_retrieval.domain.recordings import check_heard

_ESCAPED = 6  # JSON may write one byte as \u00xx
_OVERHEAD = 64 * 1024
_METADATA: TypeAdapter[Any] = TypeAdapter(Json[Attributes])


class Upload(NamedTuple):
    """A document and the SHA-256 of what it came as: a file's bytes, or a JSON text in UTF-8. A recording has no text yet."""

    document: DocumentCreate
    sha256: str
    picture: Picture | None = None
    recording: Source | None = None


class Reading(NamedTuple):
    """What files are read by; `allowed` tells whether a model may see and hear what is in the store, and `hears` whether one is there that hears.

    `room` waits until a recording may be taken into memory, which ends with the request.
    """

    sizes: Sizes
    extractor: Extractor
    hears: bool
    allowed: Callable[[], Awaitable[bool]]
    room: Callable[[], Awaitable[None]]


async def read_document(request: Request, reading: Reading) -> Upload:
    """Return the document that a request brings.

    Raises:
        DocumentTypeUnknown: the body is neither JSON nor a form, or there is no parser for the file.
        DocumentTooLarge: the body is over the limit; it is not read to its end.
        DocumentUnreadable: the form or the file cannot be read.
        RequestValidationError: the JSON is not a `DocumentCreate`.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    max_bytes = reading.sizes.other
    if media_type == "application/json":
        body = await _read(request, max_bytes)
        try:
            document = DocumentCreate.model_validate_json(body)
        except ValidationError as exc:
            raise _invalid(exc, "body") from exc
        return Upload(document, _hashed(document.text.encode(errors="surrogatepass")))
    if media_type == "multipart/form-data":
        return await _from_form(request, reading)
    raise DocumentTypeUnknown("Send the document as application/json, or as a file in multipart/form-data.")


async def _read(request: Request, max_bytes: int) -> bytes:
    counted = _Counted(request, partial(check_size, max_bytes=max_bytes), _ESCAPED * max_bytes + _OVERHEAD)
    return await Request(request.scope, counted.receive).body()


class _Counted:
    """Reads a request, and with the first byte over a limit has `check` raise `DocumentTooLarge`."""

    def __init__(self, request: Request, check: Callable[[int], None], limit: int) -> None:
        self._request, self._check, self._limit, self._size = request, check, limit, 0
        length = request.headers.get("content-length", "")
        self._promised = int(length) if length.isdigit() else 0

    async def receive(self) -> Message:
        message = await self._request.receive() if self._promised <= self._limit else {}
        self._size += len(message.get("body", b""))
        if max(self._size, self._promised) > self._limit:
            self._check(max(self._size, self._promised))
        return message


async def _from_form(request: Request, reading: Reading) -> Upload:
    counted = _Counted(request, reading.sizes.check_any, max(reading.sizes) + _OVERHEAD)
    try:
        form: FormData = await Request(request.scope, counted.receive).form(max_files=1, max_fields=8)
    except (MultiPartException, KeyError) as exc:
        raise DocumentUnreadable("The form cannot be read; send multipart/form-data with a part named `file`.") from exc
    try:
        return await _from_fields(form, reading)
    except ValidationError as exc:
        raise _invalid(exc, "form") from exc
    finally:
        await form.close()


async def _from_fields(form: FormData, reading: Reading) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise DocumentUnreadable("The form has no file; send it in a part named `file`.")
    filename = file.filename or ""
    file_format = format_of(filename, file.content_type or "")
    if file_format is FileFormat.RECORDING:
        check_heard(hears=reading.hears, allowed=await reading.allowed())
    metadata = _metadata(form.get("metadata") or "{}")
    reading.sizes.check(file.size or 0, filename)
    if file_format is FileFormat.RECORDING:
        await reading.room()
    raw = await file.read()
    picture: Picture | None = None
    recording: Source | None = None
    text = ""
    if file_format in AS_TEXT:
        text = decoded(raw, reading.sizes.other)
    elif file_format is FileFormat.RECORDING:
        recording = Source(filename, raw)
    elif file_format is FileFormat.IMAGE:
        given = form.get(CAPTION) or caption_in(metadata)
        caption = given if isinstance(given, str) else ""
        picture = await reading.extractor.picture(raw, captioned=bool(caption) or not await reading.allowed())
        text = text_of(filename, picture, caption)
    else:
        text = await reading.extractor.extract(raw, file_format)
    document = DocumentCreate.model_validate(
        {
            "name": form.get("name") or filename,
            "text": text,
            "media_type": PLAIN if file_format in (FileFormat.PLAIN, FileFormat.IMAGE) else MARKDOWN,
            "metadata": metadata,
        }
    )
    return Upload(document, await asyncio.to_thread(_hashed, raw), picture, recording)


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
