"""Conversations: OpenAI's /v1/conversations."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints

from sluice.contracts.base import Metadata, Request
from sluice.contracts.paging import Order
from sluice.contracts.responses import Conversation, ConversationDeleted, ItemPage
from sluice.ids import new_id
from sluice_gateway import nesting
from sluice_gateway.dataplane.errors import InvalidRequest, wrong_value
from sluice_gateway.domain.conversations import ID, MOST_AT_ONCE, Placed, StoredConversation, placed
from sluice_gateway.domain.responses import Item, items_of, with_ids
from sluice_gateway.routes.admin import PathId
from sluice_gateway.routes.described import public_errors
from sluice_gateway.routes.public import KeyDep, PublicRoute
from sluice_gateway.routes.responses import Include
from sluice_gateway.wiring import Deps, DepsDep

router = APIRouter(
    prefix="/v1/conversations", tags=["openai"], route_class=PublicRoute, responses=public_errors(400, 404)
)

Items = Annotated[list[dict[str, Any]], Field(max_length=MOST_AT_ONCE)]
ItemId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f/]*$")]


class NewConversation(Request):
    """A conversation to begin, with its first items."""

    items: Items | None = None
    metadata: Metadata | None = None


class NewMetadata(Request):
    """What replaces a conversation's metadata."""

    metadata: Metadata | None = None


class NewItems(Request):
    """Items to add."""

    items: Annotated[Items, Field(min_length=1)]


@router.post("", summary="Begin a conversation")
async def create_conversation(key: KeyDep, deps: DepsDep, body: NewConversation | None = None) -> Conversation:
    """Begin a conversation, which requests to /v1/responses then name in `conversation`."""
    keeper = _keeper(deps)
    asked, now = body or NewConversation(), int(deps.clock.now())
    made = StoredConversation(
        new_id(ID), key.tenant, key.organization_id, key.key_id, asked.metadata or {}, now, now + keeper
    )
    await deps.conversations.add(made, _new(deps, asked.items or []))
    return _shown(made)


@router.get("/{conversation_id}", summary="Get a conversation")
async def get_conversation(conversation_id: PathId, key: KeyDep, deps: DepsDep) -> Conversation:
    """Return a conversation; its items are listed by themselves."""
    return _shown(await deps.conversations.get(key.tenant, conversation_id, deps.clock.now()))


@router.post("/{conversation_id}", summary="Change a conversation")
async def change_conversation(conversation_id: PathId, body: NewMetadata, key: KeyDep, deps: DepsDep) -> Conversation:
    """Replace a conversation's metadata."""
    now = deps.clock.now()
    await deps.conversations.describe(key.tenant, conversation_id, body.metadata or {}, now)
    return _shown(await deps.conversations.get(key.tenant, conversation_id, now))


@router.delete("/{conversation_id}", summary="Delete a conversation")
async def delete_conversation(conversation_id: PathId, key: KeyDep, deps: DepsDep) -> ConversationDeleted:
    """Erase a conversation with its items; responses that were kept beside it stay."""
    await deps.conversations.delete(key.tenant, conversation_id, deps.clock.now())
    return ConversationDeleted(id=conversation_id)


@router.post("/{conversation_id}/items", summary="Add items to a conversation")
async def create_items(
    conversation_id: PathId, body: NewItems, key: KeyDep, deps: DepsDep, include: Include = None
) -> ItemPage:
    """Add up to 20 items at the end of a conversation."""
    now, new = deps.clock.now(), _new(deps, body.items)
    await deps.conversations.add_items(key.tenant, conversation_id, new, now, int(now) + _keeper(deps))
    return _page(new, more=False)


@router.get("/{conversation_id}/items", summary="List the items of a conversation")
async def list_items(
    conversation_id: PathId,
    key: KeyDep,
    deps: DepsDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[ItemId | None, Query()] = None,
    order: Order = "desc",
    include: Include = None,
) -> ItemPage:
    """List what was said, the newest first unless asked otherwise."""
    found = await deps.conversations.page(
        key.tenant, conversation_id, limit=limit, after=after, order=order, now=deps.clock.now()
    )
    return _page(found[:limit], more=len(found) > limit)


@router.get("/{conversation_id}/items/{item_id}", summary="Get an item of a conversation")
async def get_item(
    conversation_id: PathId, item_id: PathId, key: KeyDep, deps: DepsDep, include: Include = None
) -> dict[str, Any]:
    """Return one item."""
    return (await deps.conversations.item(key.tenant, conversation_id, item_id, deps.clock.now())).item


@router.delete("/{conversation_id}/items/{item_id}", summary="Delete an item of a conversation")
async def delete_item(conversation_id: PathId, item_id: PathId, key: KeyDep, deps: DepsDep) -> Conversation:
    """Erase one item; the conversation goes on without it."""
    return _shown(await deps.conversations.delete_item(key.tenant, conversation_id, item_id, deps.clock.now()))


def _keeper(deps: Deps) -> int:
    if deps.responses is None:
        raise InvalidRequest(
            "This gateway keeps no conversations (SLUICE_GATEWAY_RESPONSES_KEEP_DAYS is 0). Send the whole conversation as `input`.",
            code="store_not_allowed",
        )
    return deps.responses.keep_s


def _new(deps: Deps, items: list[Item]) -> list[Placed]:
    for place, item in enumerate(items):
        if not isinstance(item.get("type", "message"), str) or item.get("type") == "item_reference":
            raise wrong_value(f"items[{place}].type", "must be the type of an item, such as `message`.")
        _check_writable(item, f"items[{place}]")
    begins = new_id("it").rpartition("_")[2]
    new = placed(with_ids(items_of(items), begins), begins)
    if sum(len(one.text) for one in new) > deps.settings.responses_max_bytes:
        raise wrong_value("items", f"must have at most {deps.settings.responses_max_bytes} bytes together.")
    return new


def _check_writable(item: Item, where: str) -> None:
    # The framework reads more than can be written again.
    try:
        nesting.loads(orjson.dumps(item))
    except nesting.TooDeep as exc:
        raise wrong_value(where, f"is wrong: {exc.msg}.") from exc
    except (TypeError, RecursionError) as exc:
        raise wrong_value(
            where, "must be JSON that can be kept: no lone surrogates, whole numbers of 64 bits, not nested too deep."
        ) from exc


def _page(found: list[Placed], *, more: bool) -> ItemPage:
    items = [one.item for one in found]
    return ItemPage(
        data=tuple(items),
        first_id=items[0]["id"] if items else None,
        last_id=items[-1]["id"] if items else None,
        has_more=more,
    )


def _shown(found: StoredConversation) -> Conversation:
    return Conversation(id=found.id, created_at=found.created_at, metadata=dict(found.metadata))
