"""One request on its way: what came, what was decided, what was answered."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Literal, NamedTuple, Protocol

from opentelemetry.trace import Span
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sluice.contracts.guard import Groundedness, ToolVerdict
from sluice.contracts.retrieval import Citation
from sluice.contracts.routing import StructuredMode
from sluice.contracts.usage import UsageStatus
from sluice.masking import Vault
from sluice_gateway.dataplane.asgi import Headers, Receive, Send
from sluice_gateway.dataplane.body import Fields, ParsedBody
from sluice_gateway.dataplane.confidence import Confidence
from sluice_gateway.dataplane.conformance import Checks
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.form import Form
from sluice_gateway.dataplane.media import Units
from sluice_gateway.dataplane.plan import Plan, Stage
from sluice_gateway.dataplane.randomness import fresh_hex
from sluice_gateway.dataplane.rate_headers import RateHeaders
from sluice_gateway.dataplane.sse import Usage
from sluice_gateway.dataplane.structure import Structure
from sluice_gateway.dataplane.table import Endpoint, ModelEntry, RouteEntry, Table
from sluice_gateway.dataplane.tags import tags_of
from sluice_gateway.dataplane.texts import Piece
from sluice_gateway.dataplane.trace import Trace
from sluice_gateway.dataplane.upstream import Call
from sluice_gateway.domain.background import Aside
from sluice_gateway.domain.leases import Reservation
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.responses import Item, StoredResponse
from sluice_gateway.domain.wishes import Wishes


class Keeping(Protocol):
    """That the response is to be kept: its id, the request's own input, and the turns or the conversation that it follows."""

    id: str
    stored: bool
    own: list[Item] | None
    turns: Sequence[StoredResponse]
    conversation: str | None


class GivenUp(Protocol):
    """What is left of a request whose answer nobody waits for."""

    def end(self, now: float) -> None:
        """Note that the request has ended otherwise: it is recorded as soon as its counts are known."""
        ...


class Race(Protocol):
    """The calls of a request to several deployments at once; when it is `over`, those that are left have lost.

    `second` says that a second one was made, and reserved for.
    """

    calls: dict[DeploymentState, Call]
    second: bool
    over: bool

    def joined(self, state: DeploymentState, call: Call) -> None:
        """Note the call to a deployment."""
        ...

    def cancel(self) -> None:
        """Stop all calls."""
        ...


UNCHECKED = "unchecked"
GuardOutcome = Literal["passed", "masked", "redacted", "flagged", "blocked", "unchecked"]

_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_DEADLINE_MS = 3_600_000
_VERSION, _BETA = b"anthropic-version", b"anthropic-beta"
UNREADABLE = -1.0  # a deadline that is no whole number of milliseconds


class Heads(NamedTuple):
    """The request headers that the request path reads; those from `attempt` on change what is answered, or what is recorded of it."""

    authorization: bytes
    content_encoding: bytes | None
    content_length: bytes | None
    request_id: str
    named_by_client: bool
    traceparent: str | None
    deadline_s: float | None
    all: Sequence[tuple[bytes, bytes]]
    attempt: bytes | None = None
    user_type: bytes | None = None
    anthropic: tuple[tuple[str, str], ...] = ()
    cache: bytes = b""  # in lower case, as `cache_control`
    cache_control: bytes = b""
    tags: bytes | None = None

    def again(self) -> "Heads":
        """Return the same for another request of the client; the length of its body is not told."""
        if self.named_by_client:
            return self
        return Heads(
            self.authorization,
            self.content_encoding,
            None,
            "req_" + fresh_hex(),
            False,  # noqa: FBT003 - by position, which takes half the time
            self.traceparent,
            self.deadline_s,
            self.all,
            self.attempt,
            self.user_type,
            self.anthropic,
            self.cache,
            self.cache_control,
            self.tags,
        )


class Opened(NamedTuple):
    """What the head of a request led to: its key, and the table that it is routed by."""

    key: KeyRecord
    table: Table
    at: float


def read_heads(headers: Headers) -> Heads:
    """Pick the headers that matter; a client's request id or traceparent counts only if it is well formed."""
    get = dict(headers).get
    given = get(b"x-request-id")
    named = given is not None and _SAFE_ID.fullmatch(given) is not None
    parent = get(b"traceparent")
    deadline = get(b"x-sluice-deadline-ms")
    return Heads(
        get(b"authorization") or _bearer(get(b"x-api-key")),
        get(b"content-encoding"),
        get(b"content-length"),
        given.decode() if named and given is not None else "req_" + fresh_hex(),
        named,
        parent.decode() if parent is not None and _TRACEPARENT.fullmatch(parent) else None,
        None if deadline is None else _deadline(deadline),
        headers,
        get(b"x-sluice-attempt"),
        get(b"x-sluice-user-type"),
        _anthropic(headers) if get(_VERSION) is not None or get(_BETA) is not None else (),
        get(b"x-sluice-cache", b"").strip().lower(),
        get(b"cache-control", b"").lower(),
        get(b"x-sluice-tags"),
    )


def _anthropic(headers: Headers) -> tuple[tuple[str, str], ...]:
    # What says how the body is meant goes on to a provider that reads the body as it came. Betas may come in several headers.
    found = ((name, b",".join(value for given, value in headers if given == name)) for name in (_VERSION, _BETA))
    return tuple((name.decode(), value.decode("latin-1")) for name, value in found if value)


def _bearer(key: bytes | None) -> bytes:
    # Anthropic's clients send their key in a header of its own.
    return b"" if key is None else b"Bearer " + key


def _deadline(value: bytes) -> float:
    if not value.isdigit():
        return UNREADABLE
    return min(int(value[:12]), _MAX_DEADLINE_MS) / 1000


@dataclass(slots=True, eq=False, repr=False)  # its parts are not for logs
class RequestContext:
    """What the stages of one request share. A stage sets what stands after its name below, and reads what stands before.

    With slots: the path reads some of it a hundred times for each request, and what stands in a class takes three times as long to read.
    """

    endpoint: Endpoint
    heads: Heads
    started: float
    opened: InitVar[Opened]
    raw: bytes
    body: ParsedBody
    deadline: float | None
    key: KeyRecord = field(init=False)
    table: Table = field(init=False)
    at: float = field(init=False)
    fields: Fields = field(init=False)

    # the client, when a coroutine answers it (`cycle` is uvicorn's, if the request came over the short way)
    receive: Receive = field(init=False)
    send: Send = field(init=False)
    cycle: RequestResponseCycle | None = None
    # resolve
    model: ModelEntry | None = field(init=False)
    route: RouteEntry | None = field(init=False)
    plan: Plan = field(init=False)
    # the kind of user for whom it is
    user_type: str | None = None
    # what it is counted under besides its key
    tags: tuple[str, ...] = field(init=False)
    # the stored prompt that it was asked with, and what it put into its system message
    prompt: str | None = None
    prompt_version: int | None = None
    prompt_values: tuple[str, ...] = ()
    # a kept response that it goes on from, and that its own is to be kept
    previous: str | None = None
    keeping: Keeping | None = None
    # what is asked later, where it is answered in the background
    aside: Aside | None = None
    # limits: what the request holds of them, what it waits for, whether they are kept without Redis, and what is left
    reservation: Reservation | None = None
    waits_for: asyncio.Future[None] | None = None
    # what the caller wishes for each attempt
    wishes: Wishes | None = None
    degraded: bool = False
    rates: RateHeaders | None = None
    # guard_input, route, retrieve, build_context
    ran: tuple[Stage, ...] = ()
    changed: bool = False
    pieces: list[Piece] | None = None
    guard_issues: tuple[str, ...] = ()
    guard: GuardOutcome | None = None
    guard_rules: str = ""  # the hash of the guard policy that let the request pass
    groundedness: Groundedness | None = None
    # tool calls that wait for somebody to confirm them
    approvals: tuple[ToolVerdict, ...] = ()
    # confidence: what was added to the request for it, and what came of it
    asked_for: frozenset[str] = frozenset()
    confidence: Confidence | None = None
    # what the placeholders stand for that the model sees: for this request alone, and never recorded or kept
    vault: Vault | None = None
    chain: tuple[ModelEntry, ...] = ()
    route_reason: str | None = None
    intent: str | None = None
    citations: tuple[Citation, ...] = ()
    searched: tuple[str, ...] = ()
    context_text: str = ""
    observer: asyncio.Task[None] | None = None
    # the form that the answer shall have, and what checks a stream for it while it passes
    structure: Structure | None = None
    checks: Checks | None = None
    # cache: what the client is told of it
    cache: bytes | None = None
    # dispatch (`verbatim`: client and provider speak the same API that is not OpenAI's, and bytes pass as they come)
    verbatim: bool = False
    attempts: int = 0
    first: str | None = None
    tried: frozenset[str] | None = None
    hopeless: frozenset[str] = frozenset()
    failure: ApiError | None = None
    deployment: DeploymentState | None = None
    call: Call | None = None
    dispatched: bool = False
    # hedge: the calls under way, and what those came to that lost
    race: Race | None = None
    lost_tokens: int = 0
    lost_money: int = 0
    # finishing: the answer that nobody waits for and that is still read for its counts; whether those stay unknown
    given_up: GivenUp | None = None
    uncounted: bool = False
    # respond, settle
    answering: bool = False
    usage: Usage | None = None
    chunks: int = 0
    units: Units | None = None
    form: Form | None = None
    ttft: float | None = None
    status: UsageStatus = "ok"
    http_status: int = 200
    error_code: str | None = None
    cost: float | None = 0.0
    recorded: bool = False
    gone: bool = False
    # whether spans are made of it, None before that is decided
    traced: bool | None = None
    span: Span | None = None
    trace: Trace | None = None  # on the short way
    trace_id: str | None = None

    def __post_init__(self, opened: Opened) -> None:
        self.key, self.table, self.at = opened
        self.fields = self.body.fields
        said, key = self.heads.tags, self.key.tags
        self.tags = key if said is None and not self.body.tags else tags_of(key, self.body.tags, said)

    def talk(self, receive: Receive, send: Send, cycle: RequestResponseCycle | None) -> None:
        """Say how a coroutine hears and answers the client."""
        self.receive, self.send, self.cycle = receive, send, cycle

    def demand(self, structure: Structure | None) -> None:
        """Say which form the answer shall have: what is checked waits for its end."""
        if structure is not None and not self.endpoint.counts:
            self.structure, self.plan = structure, self.plan.waiting()

    @property
    def on_wrong_form(self) -> StructuredMode:
        """What an answer of another form than the demanded one means: as the caller says, else the policy."""
        extension = self.body.extension
        return (extension.structured_output if extension is not None else None) or self.plan.structured

    @property
    def is_checked(self) -> bool:
        """Whether the answer is checked for the form that it shall have."""
        return self.structure is not None and self.on_wrong_form != "off"

    def stop(self) -> None:
        """Stop the call to the model, or all of them."""
        if self.race is not None:
            self.race.cancel()
        elif self.call is not None:
            self.call.cancel()

    def judged(self, outcome: GuardOutcome) -> None:
        """Note what a guard said; what went on unchecked stays marked so, unless the rest is blocked."""
        if self.guard != "unchecked" or outcome == "blocked":
            self.guard = outcome

    def goes_unchecked(self) -> bool:
        """Note that a part of the request goes on without a verdict, and return whether it is the first."""
        first = UNCHECKED not in self.guard_issues
        self.guard = "unchecked"
        self.flag((UNCHECKED,))
        return first

    def flag(self, issues: tuple[str, ...]) -> None:
        """Add guard issues, each once."""
        self.guard_issues = tuple(dict.fromkeys((*self.guard_issues, *issues)))
