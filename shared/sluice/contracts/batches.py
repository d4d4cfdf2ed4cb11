"""Batches in OpenAI's shape."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Metadata, Reply
from sluice.contracts.files import ExpiresAfter, FileId

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
MAX_BATCH_ERRORS = 100


class BatchCreate(Reply):
    """A wish for a batch; unknown fields are left alone, as on OpenAI's API.

    `completion_window` is `24h` as with OpenAI, or another number of hours from `1h` to `168h`.
    """

    input_file_id: FileId
    endpoint: Annotated[str, Field(min_length=1, max_length=64)]
    completion_window: Annotated[str, Field(min_length=1, max_length=16)] = "24h"
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None


class BatchError(Reply):
    """Why a batch failed; `line` counts from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchErrors(Reply):
    """The first mistakes of a batch."""

    object: Literal["list"] = "list"
    data: tuple[BatchError, ...]


class BatchCounts(Reply):
    """How many requests there are, and how many were answered well and not well; `unanswered` of the latter were not asked."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    unanswered: int = 0


class InputTokensDetails(Reply):
    """What the input's tokens were."""

    cached_tokens: int = 0


class OutputTokensDetails(Reply):
    """What the output's tokens were."""

    reasoning_tokens: int = 0


class BatchUsage(Reply):
    """Tokens of all answers so far, as their providers counted them."""

    input_tokens: int = 0
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int = 0


class Batch(Reply):
    """A batch: a file of requests that are answered when there is room."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None = None
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: BatchCounts
    usage: BatchUsage
    metadata: dict[str, str] | None = None
