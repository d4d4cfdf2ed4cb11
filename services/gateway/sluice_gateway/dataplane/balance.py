"""How one of a model's replicas is chosen, for models that ask for more than the least busy one.

A model that asks for nothing has none of this, and its requests pay nothing for it. All of it is this process's own: what
it has in flight, and what it sent where.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from sluice.contracts.routing import Balance
from sluice_gateway.dataplane.body import Fields
from sluice_gateway.dataplane.deployments import DeploymentState, choose
from sluice_gateway.dataplane.prefixes import PrefixIndex, beginning, block_hashes, prompt_text
from sluice_gateway.dataplane.wants import session
from sluice_gateway.domain.latencies import Usual
from sluice_gateway.metrics import GatewayMetrics

BOUND = 1.25
"""A replica is preferred for its cache only while it has at most this share of its fair load, and one request more."""
AHEAD = 2
"""A prompt that no replica has read does not go to one that has so many requests (per weight) more than the idlest."""
WORTH = 0.25
"""A replica counts as having a prompt when it has this share of what was looked at."""


class Balancer(Protocol):
    """Chooses a replica of one model."""

    def choose(
        self,
        deployments: Iterable[DeploymentState],
        now: float,
        tried: AbstractSet[str] | None,
        fields: Fields,
        tenant: str,
    ) -> DeploymentState | None:
        """Return the replica to send this request to, None when none may be asked."""
        ...

    def use(self, deployments: Sequence[DeploymentState]) -> None:
        """Take note of the replicas that there are now."""
        ...


def may_be_asked(
    deployments: Iterable[DeploymentState], now: float, tried: AbstractSet[str] | None = None
) -> list[DeploymentState]:
    """Return the replicas that are neither full nor resting nor tried; those that are down only when no other is left."""
    free = [
        state
        for state in deployments
        if state.in_flight < state.config.max_in_flight
        and state.paused_until <= now
        and (tried is None or state.id not in tried)
    ]
    return [state for state in free if state.config.health != "down"] or free


def _load(state: DeploymentState) -> float:
    return state.in_flight / state.config.weight


class TwoChoices:
    """Power of two choices: the less busy of two replicas drawn by chance (Mitzenmacher 2001).

    Many gateways that each see only what they send themselves then do not all favour the same replica.
    """

    def use(self, deployments: Sequence[DeploymentState]) -> None:
        """Nothing is kept between requests."""

    def choose(
        self,
        deployments: Iterable[DeploymentState],
        now: float,
        tried: AbstractSet[str] | None,
        fields: Fields,
        tenant: str,
    ) -> DeploymentState | None:
        """Return the less busy of two."""
        free = may_be_asked(deployments, now, tried)
        return min(random.sample(free, min(2, len(free))), key=_load, default=None)


class Quickest:
    """Latency-weighted: of two replicas drawn by chance the one with the lower product of usual latency and requests in flight, with this one.

    Latency is that of whole answers for requests that want one, and of first events for streams. A replica that was not measured yet counts as quick as
    the quickest, so that each is tried.
    """

    def __init__(self, metrics: GatewayMetrics, model: str) -> None:
        self._by_latency = metrics.replica_choices.labels(model, "latency")
        self._by_load = metrics.replica_choices.labels(model, "least_loaded")

    def use(self, deployments: Sequence[DeploymentState]) -> None:
        """Let the latencies of all of them be measured from now on."""
        for state in deployments:
            if state.usual is None:
                state.usual = (Usual(), Usual())

    def choose(
        self,
        deployments: Iterable[DeploymentState],
        now: float,
        tried: AbstractSet[str] | None,
        fields: Fields,
        tenant: str,
    ) -> DeploymentState | None:
        """Return the one that should answer first."""
        free = may_be_asked(deployments, now, tried)
        streamed = fields.get("stream") is True
        two = {state: _expected(state, now, streamed=streamed) for state in random.sample(free, min(2, len(free)))}
        known = [latency for latency in two.values() if latency is not None]
        quickest = min(known, default=1.0)
        if len(known) > 1:
            self._by_latency.value += 1
        else:
            self._by_load.value += 1

        def cost(state: DeploymentState) -> float:
            latency = two[state]
            return (quickest if latency is None else latency) * (state.in_flight + 1) / state.config.weight

        return min(two, key=cost, default=None)


def _expected(state: DeploymentState, now: float, *, streamed: bool) -> float | None:
    return None if state.usual is None else state.usual[streamed].expected(now)


class _Bounded:
    """What the other two share: load bounds, and the replica of a session."""

    def __init__(self, metrics: GatewayMetrics, model: str) -> None:
        count = metrics.replica_choices.labels
        self._by_session = count(model, "session")
        self._by_load = count(model, "least_loaded")
        self._over = count(model, "over_bound")

    @staticmethod
    def _within_bound(free: list[DeploymentState]) -> list[DeploymentState]:
        # Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018), here for any preference.
        share = BOUND * (sum(state.in_flight for state in free) + 1) / sum(state.config.weight for state in free)
        return [state for state in free if state.in_flight <= math.ceil(share * state.config.weight)]

    def _of_session(
        self, free: list[DeploymentState], key: str, within: list[DeploymentState] | None = None
    ) -> DeploymentState:
        # Weighted rendezvous hashing: each process comes to the same replica, and few sessions move when replicas do.
        preferred = min(free, key=lambda state: _draw(key, state.id) / state.config.weight)
        within = within or self._within_bound(free)
        if preferred in within:
            self._by_session.value += 1
            return preferred
        self._over.value += 1
        return min(within, key=lambda state: _draw(key, state.id) / state.config.weight)


class Sessions(_Bounded):
    """Requests of one session go to one replica, as long as it is not busier than the others by more than the bound.

    A request names its session by `prompt_cache_key`, else its end user by `safety_identifier` or `user`; without any, the
    least busy replica is taken.
    """

    def use(self, deployments: Sequence[DeploymentState]) -> None:
        """Nothing is kept between requests."""

    def choose(
        self,
        deployments: Iterable[DeploymentState],
        now: float,
        tried: AbstractSet[str] | None,
        fields: Fields,
        tenant: str,
    ) -> DeploymentState | None:
        """Return the replica of the request's session."""
        free = may_be_asked(deployments, now, tried)
        if not free:
            return None
        key = session(fields, tenant)
        if key:
            return self._of_session(free, key)
        self._by_load.value += 1
        return choose(free, now)


class Prefixes(_Bounded):
    """Requests go to the replica that has read most of their prompt before, within the bound on its load.

    A prompt that is new to this process goes to the replica of its session, if it names one, else to that of its beginning,
    so that several gateway processes agree without telling each other; a short one to the least busy replica, and among equals
    to the one that has read the least so far.
    """

    def __init__(self, metrics: GatewayMetrics, model: str) -> None:
        super().__init__(metrics, model)
        self._by_prefix = metrics.replica_choices.labels(model, "prefix")
        self.index = PrefixIndex()

    def use(self, deployments: Sequence[DeploymentState]) -> None:
        """Forget replicas that are gone or down."""
        self.index.keep_only({state.id for state in deployments if state.config.health != "down"})

    def choose(
        self,
        deployments: Iterable[DeploymentState],
        now: float,
        tried: AbstractSet[str] | None,
        fields: Fields,
        tenant: str,
    ) -> DeploymentState | None:
        """Return the replica, and note that it reads this prompt."""
        free = may_be_asked(deployments, now, tried)
        if not free:
            return None
        text = prompt_text(fields)
        hashes = block_hashes(text)
        chosen = free[0] if len(free) == 1 else self._chosen(free, hashes, text, session(fields, tenant), now)
        if hashes:
            self.index.note(chosen.id, hashes, now)
        return chosen

    def _chosen(
        self, free: list[DeploymentState], hashes: list[int], text: str, named: str, now: float
    ) -> DeploymentState:
        worth = WORTH * len(hashes)
        known = {match.replica: match.blocks for match in self.index.matches(hashes, now) if match.blocks >= worth}
        if known:
            within = self._within_bound(free)
            having = [state for state in within if state.id in known]
            if having:
                self._by_prefix.value += 1
                return min(having, key=lambda state: _preference(hashes, known[state.id], state.id))
            if any(state.id in known for state in free):
                self._over.value += 1
                return min(within, key=self._least)
        if named:
            return self._of_session(free, named)
        key = beginning(text)
        if key:
            # Nobody has it, so that a queue brings nothing: where another replica is idler by two requests, it is read there.
            least = min(map(_load, free))
            return self._of_session(free, key, [one for one in self._within_bound(free) if _load(one) < least + AHEAD])
        self._by_load.value += 1
        return min(free, key=self._least)

    def _least(self, state: DeploymentState) -> tuple[float, float]:
        return _load(state), self.index.held(state.id) / state.config.weight


def _preference(hashes: list[int], blocks: int, replica: str) -> tuple[int, int]:
    # Of replicas that have the same of it always the same one comes first, so that a copy which was made while that one was
    # busy does not go on taking room in a second cache.
    return -blocks, hash((hashes[blocks - 1], replica))


def _draw(key: str, replica: str) -> float:
    drawn = int.from_bytes(hashlib.blake2b(f"{key}\0{replica}".encode(), digest_size=8).digest(), "big")
    return -math.log((drawn + 1) / (2**64 + 1))


def balancer_of(balance: Balance, model: str, metrics: GatewayMetrics) -> Balancer | None:
    """Return what chooses a model's replicas; None means the least busy one, without any of this."""
    if balance == "prefix":
        return Prefixes(metrics, model)
    if balance == "session":
        return Sessions(metrics, model)
    if balance == "latency":
        return Quickest(metrics, model)
    return TwoChoices() if balance == "two_choices" else None
