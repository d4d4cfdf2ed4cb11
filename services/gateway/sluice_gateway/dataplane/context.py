"""One request on its way: what came, what was decided, what was answered."""

import asyncio
import os
import re
from typing import Literal, NamedTuple

from opentelemetry.trace import Span
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sluice.contracts.retrieval import Citation
from sluice.contracts.usage import UsageStatus
from sluice_gateway.dataplane.asgi import Headers, Receive, Send
from sluice_gateway.dataplane.body import Fields, ParsedBody
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.plan import Plan, Stage
from sluice_gateway.dataplane.sse import Usage
from sluice_gateway.dataplane.table import Endpoint, ModelEntry, RouteEntry, Table
from sluice_gateway.dataplane.texts import Piece
from sluice_gateway.dataplane.upstream import Call
from sluice_gateway.domain.ports import KeyRecord

GuardOutcome = Literal["passed", "redacted", "flagged", "blocked", "unchecked"]

_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_DEADLINE_MS = 3_600_000
_WANTED = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"x-request-id",
        b"traceparent",
        b"x-sluice-deadline-ms",
    }
)


class Heads(NamedTuple):
    """The request headers that the request path reads."""

    authorization: bytes
    content_encoding: bytes | None
    content_length: bytes | None
    request_id: str
    named_by_client: bool
    traceparent: str | None
    deadline_s: float | None


class Conversation(NamedTuple):
    """With whom a request is spoken about: its head, how to hear and to answer, and when it began.

    `cycle` is uvicorn's, if the request came over the short way.
    """

    endpoint: Endpoint
    heads: Heads
    receive: Receive
    send: Send
    cycle: RequestResponseCycle | None
    started: float


class Opened(NamedTuple):
    """What the head of a request led to: its key, and the table that it is routed by."""

    key: KeyRecord
    table: Table
    at: float


def read_heads(headers: Headers) -> Heads:
    """Pick the headers that matter; a client's request id or traceparent counts only if it is well formed."""
    found = {name: value for name, value in headers if name in _WANTED}
    get = found.get
    given = get(b"x-request-id")
    named = given is not None and _SAFE_ID.fullmatch(given) is not None
    parent = get(b"traceparent")
    deadline = get(b"x-sluice-deadline-ms")
    return Heads(
        get(b"authorization", b""),
        get(b"content-encoding"),
        get(b"content-length"),
        given.decode() if named and given is not None else "req_" + os.urandom(12).hex(),
        named,
        parent.decode() if parent is not None and _TRACEPARENT.fullmatch(parent) else None,
        None if deadline is None else _deadline(deadline),
    )


def _deadline(value: bytes) -> float | None:
    if not value.isdigit():
        return None
    return min(int(value[:12]), _MAX_DEADLINE_MS) / 1000


class RequestContext:
    """What the stages of one request share. A stage sets what stands after its name below, and reads what stands before."""

    __slots__ = (  # noqa: RUF023 - in the order of the stages
        # the request
        "endpoint", "heads", "receive", "send", "cycle", "started", "at", "deadline", "table",
        # authenticate
        "key",
        # admit
        "raw", "body",
        # resolve
        "model", "route", "plan",
        # guard_input, route, retrieve, build_context
        "ran", "fields", "changed", "pieces", "guard_issues", "guard", "chain", "route_reason", "citations", "context_text", "observer",
        # dispatch
        "deployment", "call", "dispatched",
        # respond, settle
        "answering", "usage", "chunks", "ttft", "status", "http_status", "error_code", "cost", "recorded",
        # the conversation with the client
        "gone", "span", "trace_id",
    )  # fmt: skip

    def __init__(
        self, conversation: Conversation, opened: Opened, raw: bytes, body: ParsedBody, deadline: float | None
    ) -> None:
        self.endpoint, self.heads, self.receive, self.send, self.cycle, self.started = conversation
        self.key, self.table, self.at = opened
        self.deadline = deadline
        self.raw = raw
        self.body = body
        self.model: ModelEntry | None = None
        self.route: RouteEntry | None = None
        self.plan: Plan
        self.ran: list[Stage] = []
        self.fields: Fields = body.fields
        self.changed = False
        self.pieces: list[Piece] | None = None
        self.guard_issues: tuple[str, ...] = ()
        self.guard: GuardOutcome | None = None
        self.chain: tuple[ModelEntry, ...] = ()
        self.route_reason: str | None = None
        self.citations: tuple[Citation, ...] = ()
        self.context_text = ""
        self.observer: asyncio.Task[None] | None = None
        self.deployment: DeploymentState | None = None
        self.call: Call | None = None
        self.dispatched = False
        self.answering = False
        self.usage: Usage | None = None
        self.chunks = 0
        self.ttft: float | None = None
        self.status: UsageStatus = "ok"
        self.http_status = 200
        self.error_code: str | None = None
        self.cost = 0.0
        self.recorded = False
        self.gone = False
        self.span: Span | None = None
        self.trace_id: str | None = None

    def flag(self, issues: tuple[str, ...]) -> None:
        """Add guard issues, each once."""
        self.guard_issues = tuple(dict.fromkeys((*self.guard_issues, *issues)))
