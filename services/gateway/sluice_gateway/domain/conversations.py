"""Conversations of /v1/conversations: items that requests add to, and that further requests go on from."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import orjson

from sluice_gateway.domain.responses import Item, StoredResponse, added

ID = "conv"
MOST_AT_ONCE = 20


class StoredConversation(NamedTuple):
    """A conversation without its items; times are unix seconds."""

    id: str
    tenant: str
    organization_id: str
    key_id: str
    metadata: Mapping[str, str]
    created_at: int
    expires_at: int


class Placed(NamedTuple):
    """An item with its place: items stand in the order of that, whoever writes them first."""

    place: str
    item: Item

    @property
    def text(self) -> str:
        """The item as JSON."""
        return orjson.dumps(self.item).decode()


class Said(NamedTuple):
    """The items of a conversation in their order; `whole` is False where the oldest were left out for their size."""

    items: Sequence[Placed]
    whole: bool


class ConversationRows(Protocol):
    """Where conversations lie; raises DependencyUnavailable while it is away."""

    async def said(self, tenant: str, conversation_id: str, now: float, most_bytes: int) -> Said:
        """Return the newest items that have so many bytes together, in their order; raises ConversationNotFound."""
        ...


def placed(items: Sequence[Item], begins: str) -> list[Placed]:
    """Return items with their places, which sort behind those of earlier ids; `begins` is the end of an id that sorts by time."""
    return [Placed(f"{begins}{number:05d}", item) for number, item in enumerate(items)]


def placed_by(response: StoredResponse) -> list[Placed]:
    """Return what a response adds to its conversation."""
    return placed(added(response), response.id.rpartition("_")[2])


def within(items: Sequence[Placed], most_bytes: int) -> Said:
    """Return the newest items that have so many bytes together."""
    size = 0
    for number in range(len(items) - 1, -1, -1):
        size += len(items[number].text)
        if size > most_bytes:
            return Said(items[number + 1 :], whole=False)
    return Said(items, whole=True)
