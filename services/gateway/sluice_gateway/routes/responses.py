"""Kept responses: OpenAI's /v1/responses/{id}, and their deletion by an administrator."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from sluice.contracts.base import Request
from sluice.contracts.gateway import Tenant
from sluice.contracts.paging import Cursor, Order
from sluice.contracts.responses import ItemPage, ResponseDeleted, ResponsesDeleted
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.dataplane.errors import wrong_value
from sluice_gateway.domain.errors import FilterMissing, NotCancellable, ResponseNotFound
from sluice_gateway.domain.responses import UNFINISHED, ResponseFilter, StoredResponse, page_of, shown
from sluice_gateway.routes.admin import OperatorsTrailDep, PathId
from sluice_gateway.routes.described import public_errors
from sluice_gateway.routes.public import KeyDep, PublicRoute
from sluice_gateway.routes.response_shapes import ResponseReply
from sluice_gateway.routes.usage import At, KeyId
from sluice_gateway.translate.responses.retold import stream_of
from sluice_gateway.wiring import Deps, DepsDep

router = APIRouter(prefix="/v1/responses", tags=["openai"], route_class=PublicRoute)
admin = APIRouter(
    prefix="/admin/responses",
    tags=["responses"],
    responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable),
)

Include = Annotated[
    list[Annotated[str, Field(max_length=64)]] | None,
    Field(max_length=20),
    Query(description="accepted for OpenAI's clients: all that is kept is answered"),
]
_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One server-sent event of the stream; `data` is JSON",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}
_EVENTS: dict[str, Any] = {"content": {"text/event-stream": {"schema": _EVENT}}}


@router.get(
    "/{response_id}",
    summary="Get a kept response",
    response_model=ResponseReply,
    responses={200: _EVENTS, **public_errors(400, 404)},
)
async def get_response(
    response_id: PathId,
    key: KeyDep,
    deps: DepsDep,
    stream: bool = False,
    starting_after: Annotated[int, Query(ge=0, le=1_000_000_000)] | None = None,
    include: Include = None,
    include_obfuscation: bool | None = None,
) -> Response:
    """Return a response as it was answered, or how far one in the background is; with `stream` as its events, after the one with the number
    `starting_after`: those of one in the background come as it goes on."""
    kept = await _one(deps, key.tenant, response_id)
    if not stream:
        return Response(kept.response, media_type="application/json")
    after = -1 if starting_after is None else starting_after
    if deps.follower is None or kept.status not in UNFINISHED:
        return Response(stream_of(orjson.loads(kept.response), after), headers=_STREAM)
    return StreamingResponse(deps.follower.events(key.tenant, response_id, after), headers=_STREAM)


@router.delete("/{response_id}", summary="Delete a kept response", responses=public_errors(404))
async def delete_response(response_id: PathId, key: KeyDep, deps: DepsDep) -> ResponseDeleted:
    """Erase a response with its input. A conversation that went on from it can be read no more from there, and does not go on."""
    if deps.responses is None or not await deps.responses.delete(key.tenant, response_id):
        raise _unknown(response_id)
    return ResponseDeleted(id=response_id)


@router.get("/{response_id}/input_items", summary="List what a response answers", responses=public_errors(400, 404))
async def list_input_items(
    response_id: PathId,
    key: KeyDep,
    deps: DepsDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[Cursor | None, Query()] = None,
    order: Order = "desc",
    include: Include = None,
) -> ItemPage:
    """List the items of the conversation that the response was answered from, the newest first unless asked otherwise."""
    turns: Sequence[StoredResponse] = [await _one(deps, key.tenant, response_id)]
    if deps.responses is not None and turns[0].previous_id is not None:
        found = await deps.responses.chain(key.tenant, response_id)
        turns = turns if found is None else found.turns  # what was before it may have been deleted
    page = page_of(shown(turns), limit, after or None, order)
    if page is None:
        raise wrong_value("after", "names no item of this response; use `last_id` of the page before.")
    items, more = page
    return ItemPage(
        data=tuple(items),
        first_id=items[0]["id"] if items else None,
        last_id=items[-1]["id"] if items else None,
        has_more=more,
    )


@router.post(
    "/{response_id}/cancel",
    summary="Cancel a response",
    response_model=ResponseReply,
    responses=public_errors(400, 404),
)
async def cancel_response(response_id: PathId, key: KeyDep, deps: DepsDep) -> Response:
    """End a response in the background that has no answer yet, and return it; one that has ended is returned as it is."""
    kept = (await _one(deps, key.tenant, response_id)).response
    if orjson.loads(kept).get("background") is True:
        found = await deps.background.cancel(key.tenant, response_id, deps.clock.now())
        if found is None:
            raise _unknown(response_id)
        return Response(found, media_type="application/json")
    raise NotCancellable(
        "Only a response that was made with `background: true` can be cancelled. To stop one that is under way, close its connection."
    )


class Which(Request):
    """Which responses are meant; `from` is included, `to` is not."""

    tenant: Tenant | None = None
    key_id: KeyId | None = None
    since: At | None = Field(None, alias="from")
    until: At | None = Field(None, alias="to")


@admin.delete("", summary="Delete kept responses and conversations", responses=problem_responses(FilterMissing))
async def delete_responses(
    query: Annotated[Which, Query()], deps: DepsDep, trail: OperatorsTrailDep
) -> ResponsesDeleted:
    """Delete all kept responses that match, and all conversations that were begun so, such as those of a key; at least one filter is needed. The audit log says so."""
    if not query.model_fields_set:
        raise FilterMissing("Say which responses: `tenant`, `key_id`, `from` or `to`.")
    bound = trail.actor.tenant
    wanted = ResponseFilter(query.tenant if bound is None else bound, query.key_id, query.since, query.until)
    conversations = await deps.conversations.delete_matching(wanted, trail)
    return ResponsesDeleted(
        deleted=await deps.response_store.delete_matching(wanted, trail), conversations=conversations
    )


async def _one(deps: Deps, tenant: str, response_id: str) -> StoredResponse:
    found = None if deps.responses is None else await deps.responses.get(tenant, response_id)
    if found is None:
        raise _unknown(response_id)
    return found


def _unknown(response_id: str) -> ResponseNotFound:
    return ResponseNotFound(
        f"Response with id '{response_id}' not found: it was not kept (`store`), was deleted or has expired."
    )
