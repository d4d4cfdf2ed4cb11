"""What the request path needs from outside, as ports: keys, usage, credentials, and the three services that it asks.

Each port says what happens when the thing behind it is away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice.contracts.gateway import KeyRole
from sluice.contracts.guard import CheckRequest, InputVerdict, OutputVerdict
from sluice.contracts.retrieval import ContextReply, ContextRequest
from sluice.contracts.routing import DeploymentAuth, RouteDecision, RouteRequest
from sluice.contracts.sampling import SamplingPolicy
from sluice.contracts.usage import UsageStatus
from sluice_gateway.domain.leases import Ask, CounterName, Grant
from sluice_gateway.domain.limits import Level, LevelLimits


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key as the request path sees it, with all that its team and organisation allow; the key itself is never kept.

    `models` is the list of model and route names that key, team and organisation all allow, patterns resolved, None for all; `policy`
    replaces the policy of the model or route; `expires_at` is in unix seconds. `disabled` is also true when the team or
    organisation is disabled; `disabled_by` says which. `limits` has the levels at which something is limited, from the
    organisation to the key; `regions` are those that deployments may be in (`residency.may_use`), None for all. `plain`
    says that nothing has to be asked before the key may be used: it is not disabled, never ends and not read-only.
    `user_type` is the kind of user for whom it asks, unless a request says another; `tags` are those of each of its requests.
    `sampling` is what all three say of sampling, `default_model` the model of a request that names none.
    """

    key_id: str
    tenant: str
    name: str
    role: KeyRole = "member"
    models: frozenset[str] | None = None
    policy: str | None = None
    expires_at: float | None = None
    disabled: bool = False
    disabled_by: Level | None = None
    organization_id: str = ""
    team_id: str | None = None
    limits: tuple[LevelLimits, ...] = ()
    regions: frozenset[str] | None = None
    plain: bool = False
    user_type: str | None = None
    tags: tuple[str, ...] = ()
    sampling: SamplingPolicy | None = None
    default_model: str | None = None


class KeyRing(Protocol):
    """All API keys in memory.

    Degraded mode: when the store behind it is away, the keys that were last read go on working; a key that was never
    read is unknown (fail closed).
    """

    def lookup(self, authorization: bytes) -> KeyRecord | None:
        """Return the key that a whole `Authorization` header value proves, or None.

        Disabled and expired keys are returned as well: the caller tells them apart.
        """
        ...

    def on_behalf(self, authorization: bytes, now: float) -> KeyRecord | None:
        """Return the key for which one of Sluice's own services asks with a token, or None; asked after a miss only.

        Disabled and expired keys are returned as well; a key that the token's tenant does not own is not.
        """
        ...


class UsageFields(NamedTuple):
    """One request for the usage journal; `sluice.contracts.usage.UsageRecorded` reads it.

    It is a named tuple because one is made for every request: building and writing it costs a microsecond. New fields go to the end.
    """

    event_id: str
    request_id: str
    at: float
    tenant: str
    key_id: str
    endpoint: str
    model: str
    status: UsageStatus
    http_status: int
    route: str | None = None
    deployment: str | None = None
    error_code: str | None = None
    stream: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_exact: bool = True
    cost_usd: float | None = 0.0
    ttft_ms: float | None = None
    duration_ms: float = 0.0
    guard_issues: tuple[str, ...] = ()
    citations: int = 0
    trace_id: str | None = None
    v: int = 1
    life: str = ""
    organization_id: str = ""
    team_id: str | None = None
    end_user: str | None = None
    token_details: tuple[int, ...] | None = None  # of `TokenDetails` but its last, which most requests have none of
    price_source: str | None = None
    user_type: str | None = None
    tags: tuple[str, ...] = ()
    prompt: str | None = None
    prompt_version: int | None = None


class UsageSink(Protocol):
    """Where usage goes.

    `record` returns after the event is in the journal file (the page cache is enough: it outlives the process), so
    that an answer whose last byte went out is never without its row. It is called once per admitted request, before
    the last bytes of the answer. Degraded mode: a journal that cannot be written raises `DependencyUnavailable`, and
    the request is refused: an unbilled answer is worse than none.
    """

    @property
    def life(self) -> str:
        """The id of this process's life, which stands in each of its events."""
        ...

    @property
    def accepting(self) -> bool:
        """Whether new requests may be admitted: False while the journal is nearly full or the disk refuses."""
        ...

    def record(self, event: UsageFields) -> None:
        """Append one event."""
        ...


class Exchange(NamedTuple):
    """What the store of leases answers to one round: a grant for each ask, in order.

    `run` changes whenever the store was started anew or lost its data. While it is `settling` after that it grants nothing, so that every process
    can first tell what it has. `lives` is how many processes share the limits now.
    """

    run: str
    settling: bool
    lives: int
    grants: tuple[Grant, ...]


class LeaseStore(Protocol):
    """Where all gateway processes meet to share limits.

    Degraded mode: while it is away, `exchange` raises `DependencyUnavailable`, and each process goes on with what it holds and
    grants itself no more of a rate than it had in the last whole minute: limits are never opened.
    """

    async def exchange(self, asks: Sequence[Ask]) -> Exchange:
        """Tell what this process has of these counters, and ask for more."""
        ...

    async def seed(self, names: Sequence[CounterName]) -> None:
        """Bring what is recorded as spent of budgets into counters that do not have it yet.

        Raises:
            DependencyUnavailable: the store or the records are away; the counters go on giving nothing.
        """
        ...


class Names(Protocol):
    """Looks up host names. A name that cannot be looked up, or not in time, has no addresses: who fetches it learns no more."""

    async def addresses(self, name: str) -> Sequence[str]:
        """Return the addresses of a name, as text."""
        ...


class Credentials(Protocol):
    """Finds what a deployment wants to see in `Authorization`."""

    def bearer(self, auth: DeploymentAuth, tenant: str) -> str | None:
        """Return the bearer token for a deployment, None when it wants none.

        Raises:
            DependencyUnavailable: the variable that should hold the secret is not set.
        """
        ...

    def signed(self, auth: DeploymentAuth, url: str, body: bytes) -> tuple[tuple[str, str], ...]:
        """Return the headers that sign a POST of this body to a deployment that wants signatures.

        Raises:
            DependencyUnavailable: the variable that should hold the keys is not set or holds something else.
        """
        ...


class Filled(NamedTuple):
    """A body in which a stored prompt stands in place of its name; `values` are what the request put into its system message."""

    body: bytes
    prompt: str
    version: int
    values: tuple[str, ...] = ()


class Prompts(Protocol):
    """Stored prompts. Degraded mode: while the database is away a request that names one is refused (503)."""

    async def filled(self, key: KeyRecord, raw: bytes) -> Filled | None:
        """Return the body of a request to /v1/responses with the prompt that it names, None where it names none of ours.

        Raises:
            ApiError: it cannot be filled; the sentence says why.
        """
        ...


class Guard(Protocol):
    """The guardrail service. Degraded mode: the policy's `on_guard_error` (closed refuses the request, open lets it pass)."""

    async def check_input(self, request: CheckRequest, *, tenant: str, timeout_s: float) -> InputVerdict:
        """Return the verdict on what a user sent."""
        ...

    async def check_output(self, request: CheckRequest, *, tenant: str, timeout_s: float) -> OutputVerdict:
        """Return the verdict on what a model answered."""
        ...


class Router(Protocol):
    """The router service. Degraded mode: the route's first candidate of the last snapshot that has a healthy deployment."""

    async def route(self, request: RouteRequest, *, tenant: str, timeout_s: float) -> RouteDecision:
        """Return which model and deployment answers a request for a virtual model."""
        ...


class Retrieval(Protocol):
    """The retrieval service. Degraded mode: the policy's `on_error`; retrieval that a request asked for itself fails it."""

    async def context(self, request: ContextRequest, *, tenant: str, timeout_s: float) -> ContextReply:
        """Return evidence for a question."""
        ...
