"""Batches of messages: Anthropic's /v1/messages/batches, over the batches of /v1/batches."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import ValidationError

from sluice.contracts.batches import BatchCreate
from sluice.contracts.message_batches import (
    CreateMessageBatch,
    DeletedMessageBatch,
    MessageBatch,
    MessageBatchPage,
    MessagesError,
)
from sluice.contracts.paging import Cursor, PageQuery, id_of
from sluice.errors import SluiceError
from sluice.ids import new_id
from sluice.sentences import faults
from sluice_gateway import nesting
from sluice_gateway.dataplane.errors import ApiError, InvalidRequest
from sluice_gateway.dataplane.stages.admit import read_body
from sluice_gateway.domain.batch_lines import split_lines
from sluice_gateway.domain.batches import ENDED, OnBehalf
from sluice_gateway.domain.errors import CursorUnknown
from sluice_gateway.domain.file_errors import BatchNotEnded, BatchNotFound, FileInUse, FileNotFound
from sluice_gateway.domain.files import BATCH_INPUT, Content, new_file
from sluice_gateway.domain.message_batches import MESSAGES, PATH, first_mistake, input_lines, result_of, shown
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.quotas import Expected, QuotaReached
from sluice_gateway.routes.admin import PathId
from sluice_gateway.routes.batches import wake
from sluice_gateway.routes.public import converted, key_of
from sluice_gateway.translate.messages.answer import to_error
from sluice_gateway.translate.shapes import Failure
from sluice_gateway.wiring import Deps, DepsDep

_LONGEST_LINE = 64 * 1024 * 1024  # an answer is never longer
_api_key = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="An API key of the gateway (`sk-…`)")
_MEANINGS = {
    400: "The request cannot be used as it is",
    401: "No API key, or not a valid one",
    403: "The key may not do this",
    404: "There is no such batch of this tenant",
    409: "Its state does not allow this",
    413: "Over the size limit",
    429: "A limit is reached",
    503: "Something that the request needs is away",
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["requests"],
                    "properties": {
                        "requests": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["custom_id", "params"],
                                "properties": {"custom_id": {"type": "string"}, "params": {"type": "object"}},
                            },
                        }
                    },
                }
            }
        },
    }
}


class MessagesRoute(APIRoute):
    """A route whose errors have Anthropic's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with our errors around FastAPI's."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except ApiError as exc:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exc.headers}
                return _refusal(exc.failure(), headers)
            except (SluiceError, RequestValidationError) as exc:
                error = converted(exc)
                said = Failure(error.status, error.type, error.message, error.param, error.code)
                return _refusal(said, dict(getattr(exc, "headers", None) or {}))

        return answered


def _refusal(said: Failure, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(to_error(said)), said.status, headers, "application/json")


async def require_key(request: Request, deps: DepsDep, _: Annotated[object, Depends(_api_key)]) -> KeyRecord:
    """FastAPI dependency: the API key in `x-api-key`, where Anthropic's clients send it, or in `Authorization`; else 401."""
    given = request.headers.get("authorization") or f"Bearer {request.headers.get('x-api-key', '')}"
    return key_of(deps, given.encode("latin-1"))


KeyDep = Annotated[KeyRecord, Depends(require_key)]
router = APIRouter(
    prefix=PATH,
    tags=["batches"],
    route_class=MessagesRoute,
    responses={status: {"model": MessagesError, "description": text} for status, text in _MEANINGS.items()},
)


@router.post("", summary="Make a batch of messages", openapi_extra=_BODY)
async def create_message_batch(request: Request, key: KeyDep, deps: DepsDep) -> MessageBatch:
    """Have requests of `/v1/messages` answered within a day, when there is room, with the rights and limits of this API key."""
    wish = _wish(await read_body(request.receive, deps.settings.max_body_bytes))
    lines = list(input_lines(one.model_dump() for one in wish.requests))
    mistake = first_mistake(lines, deps.settings.batch_max_requests, deps.settings.max_body_bytes)
    if mistake is not None:
        raise InvalidRequest(mistake, code="invalid_value")
    now, owner = deps.clock.now(), OnBehalf(key.tenant, key.key_id)
    look_at = now + deps.settings.batch_resend_s
    with deps.batch_metrics.refusals():
        file_id = await _keep(deps, key, lines)
        asked = BatchCreate(input_file_id=file_id, endpoint=MESSAGES)
        try:
            stored = await deps.batches.add(new_id("msgbatch"), owner, asked, None, now, look_at, total=len(lines))
        except QuotaReached:
            await deps.files.remove(key.tenant, file_id)
            raise
    deps.batch_metrics.created.inc()
    await wake(deps, key.tenant, stored.batch.id)
    return shown(stored.batch)


@router.get("", summary="List batches of messages")
async def list_message_batches(
    key: KeyDep,
    deps: DepsDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after_id: Annotated[Cursor | None, id_of("msgbatch", "batch"), Query()] = None,
    before_id: Annotated[Cursor | None, id_of("msgbatch", "batch"), Query()] = None,
) -> MessageBatchPage:
    """List the tenant's batches of messages, newest first: those after `after_id`, or just before `before_id`."""
    if after_id is not None and before_id is not None:
        raise CursorUnknown("Send `after_id` or `before_id`, not both.")
    backwards = before_id is not None
    page = PageQuery(limit=limit, after=before_id if backwards else after_id, order="asc" if backwards else "desc")
    rows = await deps.batches.page(key.tenant, page, MESSAGES)
    found = [shown(row) for row in rows[:limit]]
    if backwards:
        found.reverse()
    ends = (found[0].id, found[-1].id) if found else (None, None)
    return MessageBatchPage(data=tuple(found), has_more=len(rows) > limit, first_id=ends[0], last_id=ends[1])


@router.get("/{batch_id}", summary="Get a batch of messages")
async def get_message_batch(batch_id: PathId, key: KeyDep, deps: DepsDep) -> MessageBatch:
    """Return a batch; its counts are told when it has ended."""
    return shown(await _found(deps, key, batch_id))


@router.delete("/{batch_id}", summary="Delete a batch of messages")
async def delete_message_batch(batch_id: PathId, key: KeyDep, deps: DepsDep) -> DeletedMessageBatch:
    """Delete a batch that has ended with its requests and results; a file of it that another batch still needs stays."""
    batch = await _found(deps, key, batch_id)
    if batch.status not in ENDED:
        raise BatchNotEnded(f"The batch {batch_id} has not ended. Cancel it first, and delete it when it has.")
    for name in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
        if name is not None:
            with suppress(FileNotFound, FileInUse):
                await deps.files.remove(key.tenant, name)
    await deps.batches.delete(key.tenant, batch_id)  # last, so that one that was broken off can be asked for again
    return DeletedMessageBatch(id=batch_id)


@router.post("/{batch_id}/cancel", summary="Cancel a batch of messages")
async def cancel_message_batch(batch_id: PathId, key: KeyDep, deps: DepsDep) -> MessageBatch:
    """Have a batch end early; what was answered by then is in its results."""
    await _found(deps, key, batch_id)
    batch = await deps.batches.cancel(key.tenant, batch_id, deps.clock.now())
    await wake(deps, key.tenant, batch_id)
    return shown(batch)


@router.get(
    "/{batch_id}/results",
    summary="Get the results of a batch of messages",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-jsonl": {"schema": {"type": "string"}}}}},
)
async def get_message_batch_results(batch_id: PathId, key: KeyDep, deps: DepsDep) -> StreamingResponse:
    """Return a line for each request of a batch that has ended: the answers first, in the order of the requests, then the others."""
    batch = await _found(deps, key, batch_id)
    if shown(batch).results_url is None:
        raise BatchNotFound(f"The batch {batch_id} has no results yet: wait until its `processing_status` is `ended`.")
    names = [name for name in (batch.output_file_id, batch.error_file_id) if name is not None]
    opened = [await deps.files.open(key.tenant, name, None) for name in names]

    async def lines() -> AsyncIterator[bytes]:
        for file in opened:
            async for line in split_lines(file.chunks, _LONGEST_LINE):
                if line.data is not None:
                    yield result_of(line.data)

    return StreamingResponse(lines(), media_type="application/x-jsonl")


async def _found(deps: Deps, key: KeyRecord, batch_id: str) -> Any:
    batch = await deps.batches.get(key.tenant, batch_id)
    if batch.endpoint != MESSAGES:
        raise BatchNotFound(f"The batch {batch_id!r} is not one of messages: GET /v1/batches/{batch_id} shows it.")
    return batch


async def _keep(deps: Deps, key: KeyRecord, lines: list[bytes]) -> str:
    content = b"".join(lines)
    expected = Expected(len(content), len(content))
    async with deps.files.making(key.tenant, key.key_id, expected) as (file_id, writer, _):
        await writer.write(content)
    stored, name = Content(writer.size, writer.sha256), "message_batch.jsonl"
    keep_s = deps.settings.batch_keep_s
    file = new_file(file_id, name, {"purpose": BATCH_INPUT}, stored, deps.clock.now(), keep_s)
    await deps.files.show(key.tenant, file)
    return file_id


def _wish(raw: bytes) -> CreateMessageBatch:
    try:
        return CreateMessageBatch.model_validate(nesting.loads(raw))
    except nesting.TooDeep as exc:
        raise InvalidRequest(f"In the body {exc.msg}. Send it flatter.", code="too_deep") from exc
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest(f"The body is not valid JSON: {exc.msg}.", code="invalid_json") from exc
    except ValidationError as exc:
        first = faults(exc.errors(include_url=False))[0]
        raise InvalidRequest(first.sentence, param=first.field, code="invalid_value") from exc
