"""Questions to the guardrail service and its verdicts (result shapes F268 and F272)."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request

MAX_SEGMENTS = 512
MAX_TEXT = 1_000_000
MAX_DETAILS = 1000
"""A verdict names at most so many findings; `issues` and the filtered text take account of all of them."""

Stage = Literal["input", "output"]
IssueAction = Literal["redact", "block", "flag"]


class Segment(Request):
    """One piece of text with its place in the request: `id` is the caller's and comes back unchanged."""

    id: Annotated[str, Field(max_length=100)]
    role: Annotated[str, Field(max_length=40)] = "user"
    text: Annotated[str, Field(max_length=MAX_TEXT)]


class CheckRequest(Request):
    """Check one text or many segments of one request; exactly one of `text` and `segments` is given."""

    stage: Stage
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    segments: Annotated[tuple[Segment, ...], Field(max_length=MAX_SEGMENTS)] | None = None
    policy: Annotated[str, Field(max_length=100)] = "default"


class IssueDetail(Reply):
    """One finding: `code` as in `issues`, the detector that found it, a score 0–1, and the span it covers.

    `start` and `end` count characters of the original text of segment `segment_id` (None for a single text).
    The matched text itself is never returned, so that a verdict can be logged.
    """

    code: str
    detector: str
    kind: str
    action: IssueAction
    score: Annotated[float, Field(ge=0, le=1)]
    segment_id: str | None = None
    start: int
    end: int


class InputVerdict(Reply):
    """The handbook's input result: `safe`, `issues`, `filtered_input` (the text that may go on, or None if blocked).

    With segments, `filtered_segments` holds every segment in order, changed or not, and `filtered_input` is None.
    """

    stage: Literal["input"] = "input"
    safe: bool
    issues: tuple[str, ...]
    filtered_input: str | None = None
    filtered_segments: tuple[Segment, ...] | None = None
    details: tuple[IssueDetail, ...] = ()
    policy: str
    policy_hash: str


class OutputVerdict(Reply):
    """The handbook's output result: `safe`, `issues`, `filtered_response` (what may be shown in its place).

    With segments, `filtered_segments` holds every segment in order, an unsafe one with the refusal as its text, and
    `filtered_response` is None. Segments of role `system` are not checked: an answer that repeats them is a leak.
    """

    stage: Literal["output"] = "output"
    safe: bool
    issues: tuple[str, ...]
    filtered_response: str | None = None
    filtered_segments: tuple[Segment, ...] | None = None
    details: tuple[IssueDetail, ...] = ()
    policy: str
    policy_hash: str


class PolicySummary(Reply):
    """A guard policy in force; `hash` is the one that verdicts carry."""

    name: str
    description: str = ""
    mode: Literal["enforce", "observe"]
    hash: str


class PolicyListing(Reply):
    """All guard policies; `reload_error` says why a changed guard.yaml was not taken over, if it was not."""

    version: str
    data: tuple[PolicySummary, ...]
    reload_error: str | None = None
