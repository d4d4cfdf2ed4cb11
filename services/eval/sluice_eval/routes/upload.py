"""Reading a suite from a request: JSON, YAML, or a YAML file in a form."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.types import Message

from sluice.contracts.evals import CreateEval
from sluice_eval.domain.errors import SuiteInvalid, SuiteMediaType, SuiteTooLarge
from sluice_eval.domain.suites import finished, parse_suite

_FORM_OVERHEAD = 64 * 1024
_YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/CreateEval"}},
            "application/yaml": {"schema": {"type": "string", "description": "the same as YAML"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary", "description": "a YAML file"}},
                }
            },
        },
    }
}


async def read_suite(request: Request, max_bytes: int) -> CreateEval:
    """Return the suite that a request brings, checked, with an id for every item.

    Raises:
        SuiteMediaType: the body is neither JSON nor YAML nor a form.
        SuiteTooLarge: the body is over the limit; it is not read to its end.
        SuiteInvalid: it cannot be read, or an item cannot be used.
        RequestValidationError: the JSON is not a `CreateEval`.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type == "application/json":
        return finished(_from_json(await _read(request, max_bytes)))
    if media_type in _YAML_TYPES:
        return finished(parse_suite(await _read(request, max_bytes)))
    if media_type == "multipart/form-data":
        return finished(parse_suite(await _file(request, await _read(request, max_bytes + _FORM_OVERHEAD))))
    raise SuiteMediaType("Send the suite as application/json, application/yaml, or as a file in multipart/form-data.")


def _from_json(body: bytes) -> CreateEval:
    try:
        return CreateEval.model_validate_json(body)
    except ValidationError as exc:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in exc.errors(include_url=False)]
        raise RequestValidationError(errors) from exc


async def _read(request: Request, limit: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise SuiteTooLarge(f"The suite is larger than {limit} bytes. Split it, or raise SLUICE_EVAL_MAX_SUITE_BYTES.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise SuiteTooLarge(
                f"The suite is larger than {limit} bytes. Split it, or raise SLUICE_EVAL_MAX_SUITE_BYTES."
            )
    return bytes(body)


async def _file(request: Request, body: bytes) -> bytes:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        form = await Request(request.scope, receive).form(max_files=1, max_fields=8)
    except (HTTPException, MultiPartException, KeyError) as exc:  # which of them depends on where the form breaks
        raise SuiteInvalid("The form cannot be read; send multipart/form-data with a part named `file`.") from exc
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise SuiteInvalid("The form has no file; send it in a part named `file`.")
        return await file.read()
    finally:
        await form.close()
