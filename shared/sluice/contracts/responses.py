"""Kept responses of OpenAI's Responses API, and its conversations."""

from typing import Any, Literal

from sluice.contracts.base import Reply


class ResponseDeleted(Reply):
    """A response that is gone."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ItemPage(Reply):
    """A page of the items of a conversation."""

    object: Literal["list"] = "list"
    data: tuple[dict[str, Any], ...]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class ResponsesDeleted(Reply):
    """How many responses were deleted, and how many conversations with all their items."""

    object: Literal["responses.deleted"] = "responses.deleted"
    deleted: int
    conversations: int = 0


class Conversation(Reply):
    """A conversation; `created_at` is in unix seconds."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str]


class ConversationDeleted(Reply):
    """A conversation that is gone."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True
