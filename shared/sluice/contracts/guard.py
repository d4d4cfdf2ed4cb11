"""Questions to the guardrail service and its verdicts (result shapes F268 and F272)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request

MAX_SEGMENTS = 512
MAX_TEXT = 1_000_000
MAX_DETAILS = 1000
"""A verdict names at most so many findings; `issues` and the filtered text take account of all of them."""

MAX_BATCH = 64
MAX_VAULT = 20_000
MAX_TRIED = 1000

Stage = Literal["input", "output"]
IssueAction = Literal["redact", "mask", "block", "flag"]
HallucinationCause = Literal["missing_context", "interpolation", "overconfidence", "training_bias", "undetermined"]
"""Why an answer says what nothing supports (handbook F042); `training_bias` is a label for people: no text shows it."""


class VaultEntry(Request):
    """A placeholder and the value that it stands for; the value is not shown when the entry is printed.

    A `verbatim` value is put back as it is, also into a JSON string where others are escaped.
    """

    placeholder: Annotated[str, Field(pattern=r"^<[A-Z][A-Z0-9_]{1,47}>$")]
    value: Annotated[str, Field(max_length=MAX_TEXT, repr=False)]
    verbatim: bool = False


class Segment(Request):
    """One piece of text with its place in the request: `id` is the caller's and comes back unchanged."""

    id: Annotated[str, Field(max_length=100)]
    role: Annotated[str, Field(max_length=40)] = "user"
    text: Annotated[str, Field(max_length=MAX_TEXT)]


ToolKind = Literal["read", "compute", "write", "external"]
ToolRisk = Literal["low", "medium", "high"]
ToolAction = Literal["allow", "flag", "approve", "block"]


class ToolCall(Request):
    """A call that an answer makes; `description` is that of the tool in the request.

    Its arguments (JSON as the model wrote it) are the text of the segment `segment_id`, or the single text: they are checked as that.
    """

    id: Annotated[str, Field(max_length=200)] = ""
    name: Annotated[str, Field(max_length=200)]
    description: Annotated[str, Field(max_length=20_000)] = ""
    segment_id: Annotated[str, Field(max_length=100)] | None = None


class CheckRequest(Request):
    """Check one text or many segments of one request; exactly one of `text` and `segments` is given.

    `vault` holds the placeholders that earlier questions about the same request led to: the same value keeps its placeholder.
    `tool_calls` of an answer are judged by the risk of their tools, besides its texts. `confidence` is how sure the model was of the answer: the geometric mean of its tokens' probabilities.
    With `second_opinion: false` a segment of role `question` is there for other checks, and no second model is asked whether the answer is right. With `turns: false` the segments of an input are texts of their own, not turns of one conversation.
    """

    stage: Stage
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    segments: Annotated[tuple[Segment, ...], Field(max_length=MAX_SEGMENTS)] | None = None
    policy: Annotated[str, Field(max_length=100)] = "default"
    vault: Annotated[tuple[VaultEntry, ...], Field(max_length=MAX_VAULT)] = ()
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    second_opinion: bool | None = None
    turns: bool | None = None
    tool_calls: Annotated[tuple[ToolCall, ...], Field(max_length=128)] = ()


class BatchCheckRequest(Request):
    """Check several texts or requests at once; each is answered on its own."""

    checks: Annotated[tuple[CheckRequest, ...], Field(min_length=1, max_length=MAX_BATCH)]


class IssueDetail(Reply):
    """One finding: `code` as in `issues`, the detector that found it, its category and reason, a score 0–1, and the span it covers.

    `start` and `end` count characters of the original text of segment `segment_id` (None for a single text).
    The matched text itself is never returned, so that a verdict can be logged.
    """

    code: str
    detector: str
    kind: str
    category: str = ""
    reason: str = ""
    action: IssueAction
    score: Annotated[float, Field(ge=0, le=1)]
    segment_id: str | None = None
    start: int
    end: int


class CategoryScore(Reply):
    """How likely one category of harm (OpenAI's names) is in a text, 0 to 1; `segment_id` is None for a single text."""

    category: str
    score: Annotated[float, Field(ge=0, le=1)]
    segment_id: str | None = None


class InputVerdict(Reply):
    """The handbook's input result: `safe`, `issues`, `filtered_input` (the text that may go on, or None if blocked).

    With segments, `filtered_segments` holds every segment in order, changed or not, and `filtered_input` is None.
    `category_scores` holds the categories of harm with a score above 0, whatever became of them, where the policy looks for harm.
    Where the policy masks, `vault` says what the placeholders stand for: it is for putting the values back into the answer,
    and for nothing else.
    """

    stage: Literal["input"] = "input"
    safe: bool
    issues: tuple[str, ...]
    filtered_input: str | None = None
    filtered_segments: tuple[Segment, ...] | None = None
    vault: tuple[VaultEntry, ...] = ()
    details: tuple[IssueDetail, ...] = ()
    category_scores: tuple[CategoryScore, ...] = ()
    policy: str
    policy_hash: str


class SentenceSupport(Reply):
    """How far the context supports one sentence of an answer, 0 to 1, and what is wrong with it.

    `kind` is `supported`, `unsupported`, `number`, `name`, `negation` or `opposite`; `start` and `end` count characters of the answer.
    `causes` says of a sentence that is not supported what its shape, and the model's confidence where that came along, tell of the cause.
    """

    segment_id: str
    start: int
    end: int
    support: Annotated[float, Field(ge=0, le=1)]
    kind: str
    reason: str = ""
    causes: tuple[HallucinationCause, ...] = ()


class Groundedness(Reply):
    """How far the context supports an answer: the mean over its sentences that state something, 1 if none does."""

    score: Annotated[float, Field(ge=0, le=1)]
    sentences: tuple[SentenceSupport, ...] = ()


class ToolVerdict(Reply):
    """What a policy says of one tool call (handbook F155): the tool's kind, what told it (`by`), its risk, and what is to be done.

    A call with the action `approve` must not be made before somebody confirms it: `approval` is a sealed record of the call that
    `POST /v1/guard/approvals/confirm` opens, for the same tenant, until `expires_at` (unix seconds).
    """

    id: str
    name: str
    kind: ToolKind
    by: Literal["declared", "name", "description", "nothing"]
    risk: ToolRisk
    action: ToolAction
    approval: str | None = None
    expires_at: float | None = None


class ConfirmApproval(Request):
    """Confirm a tool call: `approval` is what the answer said, `note` why it is right."""

    approval: Annotated[str, Field(min_length=1, max_length=4_000_000)]
    note: Annotated[str, Field(max_length=2000)] = ""


class ApprovedCall(Reply):
    """A tool call that somebody confirmed, as the output check let it pass; `approved_by` is the API key that confirmed it, `approved_at` unix seconds."""

    object: Literal["guard.approved_call"] = "guard.approved_call"
    id: str
    name: str
    arguments: str
    kind: ToolKind
    risk: ToolRisk
    policy: str
    approved_by: str
    approved_at: float
    note: str = ""


class OutputVerdict(Reply):
    """The handbook's output result: `safe`, `issues`, `filtered_response` (what may be shown in its place).

    With segments, `filtered_segments` holds every segment in order, an unsafe one with the refusal as its text, and
    `filtered_response` is None. Segments of role `system` are not checked: an answer that repeats them is a leak. Neither are those of
    role `context`: they are what the answer is held against, and then `groundedness` says how far they support it. A segment of role
    `question` is what was asked, for a second model that says whether the answer is right. `tool_calls` says what may become of each call.
    """

    stage: Literal["output"] = "output"
    safe: bool
    issues: tuple[str, ...]
    filtered_response: str | None = None
    filtered_segments: tuple[Segment, ...] | None = None
    details: tuple[IssueDetail, ...] = ()
    category_scores: tuple[CategoryScore, ...] = ()
    groundedness: Groundedness | None = None
    tool_calls: tuple[ToolVerdict, ...] = ()
    policy: str
    policy_hash: str


class BatchVerdicts(Reply):
    """The verdicts of a batch, in the order of its checks."""

    data: tuple[InputVerdict | OutputVerdict, ...]


class DryRunRequest(Request):
    """Try a policy on texts: `policy` is what would stand below a name in guard.yaml; nothing of it is taken over."""

    policy: dict[str, Any]
    checks: Annotated[tuple[CheckRequest, ...], Field(min_length=1, max_length=MAX_TRIED)]


class DryRunCounts(Reply):
    """What a policy did: checks in all, blocked and changed ones, issues, and findings by detector and action."""

    checks: int
    blocked: int
    changed: int
    issues: dict[str, int]
    findings: dict[str, dict[str, int]]


class DryRunReply(Reply):
    """What the tried policy and the one in force do with the same checks, and which checks (by number) end otherwise."""

    policy_hash: str
    tried: DryRunCounts
    in_force: DryRunCounts
    different: tuple[int, ...]


class RedactRequest(Request):
    """Mask the personal data and secrets of one text or many segments; exactly one of the two is given.

    `policy` says which kinds are looked for; every kind that it does not allow is masked.
    """

    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    segments: Annotated[tuple[Segment, ...], Field(max_length=MAX_SEGMENTS)] | None = None
    policy: Annotated[str, Field(max_length=100)] = "default"


class RedactReply(Reply):
    """The masked text or segments, how many placeholders of each kind there are, and the sealed `vault`.

    The vault is encrypted and nothing of it is kept: keep it yourself until you restore. It opens for the same tenant
    until `expires_at` (unix seconds).
    """

    text: str | None = None
    segments: tuple[Segment, ...] | None = None
    counts: dict[str, int]
    vault: str
    expires_at: float
    policy: str
    policy_hash: str


class RestoreRequest(Request):
    """Put the values of a vault back into one text or many segments; exactly one of the two is given."""

    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    segments: Annotated[tuple[Segment, ...], Field(max_length=MAX_SEGMENTS)] | None = None
    vault: Annotated[str, Field(min_length=1, max_length=16_000_000)]


class RestoreReply(Reply):
    """The texts with their values; placeholders that the vault does not know stay as they are."""

    text: str | None = None
    segments: tuple[Segment, ...] | None = None


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
