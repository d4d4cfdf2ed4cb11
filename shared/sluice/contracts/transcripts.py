"""Transcripts: what was asked and answered, kept where a policy says so."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sluice.contracts.base import Reply
from sluice.contracts.usage import UsageStatus


class TranscriptPolicy(Reply):
    """Which requests leave a transcript, what of it is masked, and how long it is kept.

    `share` of the requests leave one. With `redact` the guardrail's detectors (those of the policy's `guard_policy`) put placeholders in
    the place of personal data and secrets before anything is stored; what they could not look through is not stored.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    redact: bool = True
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30


class Transcript(Reply):
    """One request with its answer, in the words of the API that was called; a stream is joined into a whole answer.

    `answer` is null when it was no JSON (sound), over 1 MiB, or a stream in which nobody said anything; `complete` says whether it was
    given to its end. In the place of pictures and other data stands how long they were. `at` and `expires_at` are unix seconds.
    """

    id: str
    object: Literal["transcript"] = "transcript"
    request_id: str
    at: float
    expires_at: float
    tenant: str
    organization_id: str
    team_id: str | None = None
    key_id: str
    end_user: str | None = None
    endpoint: str
    model: str
    status: UsageStatus
    http_status: int
    redacted: bool
    complete: bool
    request: Any = None
    answer: Any = None


class TranscriptsDeleted(Reply):
    """How many transcripts were deleted."""

    object: Literal["transcripts.deleted"] = "transcripts.deleted"
    deleted: int
