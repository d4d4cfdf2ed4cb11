"""What the gateway knows of each deployment while it runs, and how it chooses one."""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from sluice.contracts.routing import Deployment
from sluice_gateway.dataplane.asgi import header_value
from sluice_gateway.dataplane.providers import Paths, credential_header_of, provider_of
from sluice_gateway.dataplane.upstream import Upstream
from sluice_gateway.domain.latencies import Latencies, Usual


class DeploymentState:
    """One deployment: its description, its client, how busy it is and until when it is left alone.

    It outlives routing snapshots: a new snapshot brings a new description, the counters stay.
    """

    __slots__ = (
        "auth",
        "begun",
        "config",
        "connect_timeout_s",
        "credential_header",
        "down",
        "failures",
        "first_byte_s",
        "header",
        "header_line",
        "id",
        "idle_s",
        "in_flight",
        "most",
        "paths",
        "paused_until",
        "provider",
        "short",
        "tell",
        "timeout_s",
        "turn",
        "upstream",
        "upstream_model",
        "usual",
        "watched_latencies",
        "weight",
    )

    def __init__(self, config: Deployment, paths: Paths, upstream: Upstream, *, hedged: bool = False) -> None:
        self.in_flight = 0
        self.failures = 0
        self.paused_until = 0.0
        self.tell: Callable[[DeploymentState], None] | None = None
        # Its last and its next turn among equally busy ones, in requests per weight.
        self.begun, self.turn = 0.0, 1 / config.weight
        self.watched_latencies: tuple[Latencies, Latencies] | None = None
        self.usual: tuple[Usual, Usual] | None = (
            None  # of whole answers, of streams' first events; where latency decides
        )
        self.describe(config, paths, upstream, hedged=hedged)

    def describe(self, config: Deployment, paths: Paths, upstream: Upstream, *, hedged: bool = False) -> None:
        """Take over the description of a new snapshot.

        `provider` translates for a deployment whose API is not OpenAI's, None for all others; `short` says that requests to
        it may take the short way, since nothing is translated and no second deployment is asked besides.
        """
        # What each request reads is kept beside `config`, whose own attributes take three times as long to read.
        self.config = config
        self.id, self.upstream_model = config.id, config.upstream_model
        self.connect_timeout_s, self.timeout_s = config.connect_timeout_s, config.timeout_s
        self.most, self.weight, self.down = config.max_in_flight, config.weight, config.health == "down"
        self.auth = config.auth
        self.first_byte_s = config.first_byte_timeout_s or config.timeout_s
        self.idle_s = config.idle_timeout_s or config.timeout_s
        self.paths = paths
        self.upstream = upstream
        self.provider = provider_of(config)
        self.short = self.provider is None and not hedged
        self.credential_header = credential_header_of(config)
        self.header = (b"x-sluice-deployment", header_value(config.id))
        self.header_line = b"%b: %b\r\n" % self.header

    def watched(self, *, streamed: bool) -> Latencies:
        """Return the latencies of its whole answers or of its streams' first events; they are kept from the first call on."""
        if self.watched_latencies is None:
            self.watched_latencies = (Latencies(), Latencies())
        return self.watched_latencies[streamed]

    def credential(self, secret: str) -> tuple[str, str]:
        """Return the header that carries the credential."""
        if self.credential_header is None:
            return "authorization", f"Bearer {secret}"
        return self.credential_header, secret

    def succeeded(self) -> None:
        """Note an answer: earlier failures are forgiven, and whoever was told of them hears of it."""
        if self.failures:
            self.failures = 0
            self.paused_until = 0.0
            tell, self.tell = self.tell, None
            if tell is not None:
                tell(self)

    def failed(self, now: float, cooldown_s: float, longest_s: float) -> None:
        """Note a failure: the deployment rests, twice as long with each failure in a row."""
        self.failures += 1
        self.paused_until = now + min(longest_s, cooldown_s * 2 ** min(self.failures - 1, 16))

    def rate_limited(self, now: float, wait_s: float) -> None:
        """Note a 429: the deployment rests as long as it asked for."""
        self.paused_until = max(self.paused_until, now + wait_s)


def choose(
    deployments: Iterable[DeploymentState], now: float, tried: AbstractSet[str] | None = None
) -> DeploymentState | None:
    """Return the deployment with the fewest requests in flight per weight among those that may be asked.

    Resting and full deployments are not asked. One that the router reports as down is asked only when no other is
    left: the report may be old, and an attempt costs less than a refusal. Equally busy ones take turns in proportion to their weights, so that they get
    their shares also when there is little to do (start-time fair queueing, Goyal, Vin, Cheng 1996); one that joins does not make up for what it missed.
    """
    best: DeploymentState | None = None
    best_load, latest, several = 0.0, 0.0, False
    for state in deployments:
        if state.in_flight >= state.most or state.paused_until > now:
            continue
        if tried is not None and state.id in tried:
            continue
        load = state.in_flight / state.weight
        if state.down:
            load += 1e9
        if best is None:
            best, best_load, latest = state, load, state.begun
            continue
        several = True
        if state.begun > latest:
            latest = state.begun
        if load < best_load or (load == best_load and state.turn < best.turn):
            best, best_load = state, load
    if several and best is not None:
        best.begun = latest if latest > best.turn else best.turn
        best.turn = best.begun + 1 / best.weight
    return best


def is_free(deployments: Iterable[DeploymentState], now: float) -> bool:
    """Tell whether one of them neither rests nor is full."""
    return any(state.in_flight < state.most and state.paused_until <= now for state in deployments)


def choose_resting(deployments: Iterable[DeploymentState], tried: AbstractSet[str]) -> DeploymentState | None:
    """Return the deployment whose rest ends first, for when all that could answer are resting after failures."""
    free = [
        state
        for state in deployments
        if state.failures and state.id not in tried and state.in_flight < state.config.max_in_flight
    ]
    return min(free, key=lambda state: state.paused_until, default=None)


def are_full(deployments: Iterable[DeploymentState]) -> bool:
    """Tell whether every deployment has as many requests in flight as it may have."""
    return all(state.in_flight >= state.config.max_in_flight for state in deployments)
