"""Batches in the shape of Anthropic's Message Batches API."""

from typing import Any, Literal

from pydantic import Field

from sluice.contracts.base import Reply


class MessageBatchRequest(Reply):
    """One request of a batch: `params` is the body of `/v1/messages`."""

    custom_id: str
    params: dict[str, Any]


class CreateMessageBatch(Reply):
    """A wish for a batch of messages."""

    requests: tuple[MessageBatchRequest, ...] = Field(min_length=1)


class MessageBatchCounts(Reply):
    """Requests by what became of them; until the batch has ended all of them are `processing`."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(Reply):
    """A batch; times are RFC 3339. `results_url` is a path of this gateway, once the batch has ended."""

    id: str
    type: Literal["message_batch"] = "message_batch"
    processing_status: Literal["in_progress", "canceling", "ended"]
    request_counts: MessageBatchCounts
    created_at: str
    expires_at: str
    ended_at: str | None = None
    cancel_initiated_at: str | None = None
    archived_at: str | None = None
    results_url: str | None = None


class DeletedMessageBatch(Reply):
    """A batch is gone."""

    id: str
    type: Literal["message_batch_deleted"] = "message_batch_deleted"


class MessageBatchPage(Reply):
    """One page of batches, newest first."""

    data: tuple[MessageBatch, ...]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None


class MessagesErrorFields(Reply):
    """What is wrong and what to change."""

    type: str
    message: str


class MessagesError(Reply):
    """An error in Anthropic's shape."""

    type: Literal["error"] = "error"
    error: MessagesErrorFields
