"""The routing table of the request path: a routing snapshot, compiled once when it changes."""

import logging
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from sluice.contracts.routing import (
    Balance,
    Deployment,
    FallbacksOn,
    Model,
    ModelKind,
    Policy,
    Price,
    Route,
    RoutingSnapshot,
)
from sluice.contracts.sampling import SamplingPolicy
from sluice_gateway.dataplane.asgi import header_value
from sluice_gateway.dataplane.balance import Balancer, balancer_of
from sluice_gateway.dataplane.body import Fields, Kind
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.media import FORMS, MEDIA, unit_prices
from sluice_gateway.dataplane.model_metrics import ModelMetrics
from sluice_gateway.dataplane.plan import Plan, Stages, compile_plan, stricter
from sluice_gateway.dataplane.providers import paths_of
from sluice_gateway.dataplane.ranking import ranked
from sluice_gateway.dataplane.upstream import Upstream
from sluice_gateway.domain.rates import card_of
from sluice_gateway.domain.residency import may_use
from sluice_gateway.metrics import GatewayMetrics
from sluice_gateway.translate.messages.client import CountTokens, Messages
from sluice_gateway.translate.responses.client import CountInput, Responses
from sluice_gateway.translate.shapes import Client, ClientStyle

_log = logging.getLogger(__name__)
AUTO = "auto"
_MAX_PLANS = 4096


class Endpoint(NamedTuple):
    """One public path of the request path.

    `client` translates for those whose API is not OpenAI's own of that kind; `shape` makes one answer of what engines answer
    differently, given the request.
    """

    path: str
    kind: Kind
    upstream_path: str
    model_kind: ModelKind
    operation: str
    client: Client | None = None
    shape: Callable[[Fields, Fields], Fields] | None = None

    @property
    def style(self) -> ClientStyle:
        """The API that is spoken here."""
        return "chat" if self.client is None else self.client.style

    @property
    def counts(self) -> bool:
        """Whether a prompt is counted here instead of answered."""
        return self.operation == "count_tokens"

    @property
    def is_media(self) -> bool:
        """Whether images or sound are answered."""
        return self.kind in MEDIA

    @property
    def takes_form(self) -> bool:
        """Whether the body is a form with files."""
        return self.kind in FORMS

    def error_body(self, error: ApiError) -> bytes:
        """Return an error in the shape of this API."""
        return error.body() if self.client is None else orjson.dumps(self.client.error(error.failure()))


CHAT = Endpoint("/v1/chat/completions", "chat", "/chat/completions", "chat", "chat")
COMPLETIONS = Endpoint("/v1/completions", "completion", "/completions", "chat", "text_completion")
EMBEDDINGS = Endpoint("/v1/embeddings", "embedding", "/embeddings", "embedding", "embeddings")
MESSAGES = Endpoint("/v1/messages", "chat", "/chat/completions", "chat", "chat", Messages())
COUNT_TOKENS = Endpoint("/v1/messages/count_tokens", "chat", "", "chat", "count_tokens", CountTokens())
RESPONSES = Endpoint("/v1/responses", "chat", "/chat/completions", "chat", "chat", Responses())
INPUT_TOKENS = Endpoint("/v1/responses/input_tokens", "chat", "", "chat", "count_tokens", CountInput())
RERANK = Endpoint("/v1/rerank", "rerank", "/rerank", "rerank", "rerank", shape=ranked)
RERANK_V2 = RERANK._replace(path="/v2/rerank")  # where Cohere's newer client asks
MODERATIONS = Endpoint("/v1/moderations", "moderation", "", "chat", "moderation")
IMAGES = Endpoint("/v1/images/generations", "image", "/images/generations", "image", "generate_image")
EDITS = Endpoint("/v1/images/edits", "edit", "/images/edits", "image", "edit_image")
VARIATIONS = Endpoint("/v1/images/variations", "edit", "/images/variations", "image", "vary_image")
TRANSCRIPTIONS = Endpoint(
    "/v1/audio/transcriptions", "transcription", "/audio/transcriptions", "transcription", "transcribe"
)
TRANSLATIONS = Endpoint("/v1/audio/translations", "transcription", "/audio/translations", "transcription", "translate")
SPEECH = Endpoint("/v1/audio/speech", "speech", "/audio/speech", "speech", "generate_speech")
SHORT = (CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, COUNT_TOKENS, RESPONSES)
"""Those that the protocol may answer by itself."""
ENDPOINTS = (
    *SHORT,
    INPUT_TOKENS,
    RERANK,
    RERANK_V2,
    MODERATIONS,
    IMAGES,
    SPEECH,
    EDITS,
    VARIATIONS,
    TRANSCRIPTIONS,
    TRANSLATIONS,
)


class ModelEntry:
    """A model that callers can name."""

    __slots__ = ("_within", "balancer", "card", "config", "context_tokens", "dearest_input", "dearest_output", "deployments", "differences", "fallbacks", "fingerprint", "header", "header_line", "hedge_s", "input_price", "kind", "long_above", "longest_answer", "metrics", "most_output", "name",
                 "on", "output_price", "plan", "policy", "price_source", "priced", "prompt_limit_bytes", "request_fee", "unit_prices")  # fmt: skip

    def __init__(
        self,
        config: Model,
        deployments: tuple[DeploymentState, ...],
        policy: Policy | None,
        plan: Plan,
        metrics: ModelMetrics,
        prompt_limit_bytes: int,
        balancer: Balancer | None = None,
    ) -> None:
        self.name, self.kind, self.most_output = config.name, config.kind, config.max_output_tokens
        self.config = config
        self.deployments = deployments
        self.policy = policy
        self.plan = plan
        self.metrics = metrics
        self.hedge_s = None if config.hedge_after_ms is None else config.hedge_after_ms / 1000
        self.prompt_limit_bytes = prompt_limit_bytes
        self.balancer = balancer
        self.fallbacks: tuple[ModelEntry, ...] = ()
        places = sorted(f"{one.provider} {one.base_url} {one.upstream_model}" for one in config.deployments)
        self.fingerprint = "\n".join((config.name, *places))
        self.on: Chains = {}
        self.header = (b"x-sluice-model", header_value(config.name))
        self.header_line = b"%b: %b\r\n" % self.header
        self.priced = config.price is not None
        self.price_source = config.price.source if config.price is not None else None
        card = self.card = card_of(config.price or Price())
        self.input_price, self.output_price, self.differences = card.rates
        self.request_fee, self.long_above = (
            card.request,
            card.long_above if self.priced else -1,
        )  # -1: no prompt has these rates
        self.dearest_input, self.dearest_output = card.dearest(0)
        self.unit_prices = unit_prices(config.price)
        self.context_tokens = config.context_tokens
        self.longest_answer = min(config.max_output_tokens or config.context_tokens, config.context_tokens)
        self._within: dict[frozenset[str], tuple[DeploymentState, ...]] = {}

    def open_to(self, regions: frozenset[str] | None) -> tuple[DeploymentState, ...]:
        """Return the deployments that a request may reach whose key is bound to these regions (None: to none)."""
        if regions is None:
            return self.deployments
        found = self._within.get(regions)
        if found is None:
            allowed = (state for state in self.deployments if may_use(state.config.region, regions))
            found = self._within[regions] = tuple(allowed)
        return found


class RouteEntry:
    """A virtual model: the router picks one of its candidates."""

    __slots__ = ("candidates", "config", "fallbacks", "made_of", "name", "on", "plan", "policy")

    def __init__(
        self,
        config: Route,
        candidates: tuple[ModelEntry, ...],
        fallbacks: tuple[ModelEntry, ...],
        policy: Policy | None,
        plan: Plan,
        on: "Chains",
        ruled: tuple[ModelEntry, ...] = (),
    ) -> None:
        self.name = config.name
        self.config = config
        self.on = on
        self.candidates = candidates
        self.fallbacks = fallbacks
        self.made_of = tuple(dict.fromkeys((*candidates, *ruled, *fallbacks)))
        self.policy = policy
        self.plan = plan


Chains = dict[str, tuple[ModelEntry, ...]]


class Table:
    """One compiled snapshot: names to entries, policies to plans.

    An alias is one more name of its entry in `models` or `routes`; `aliases` says what each one stands for.
    """

    def __init__(self, snapshot: RoutingSnapshot, policies: dict[str, Policy], stages: Stages) -> None:
        self.version = snapshot.version
        self.models: dict[str, ModelEntry] = {}
        self.routes: dict[str, RouteEntry] = {}
        self.aliases: dict[str, str] = {}
        self._policies = policies
        self._stages = stages
        self._plans: dict[tuple[object, ...], Plan] = {}

    def knows_policy(self, name: str) -> bool:
        """Tell whether there is a policy of that name."""
        return name in self._policies

    def policy(self, name: str | None) -> Policy | None:
        """Return the policy of that name."""
        return self._policies.get(name) if name is not None else None

    def plan(
        self,
        base: Policy | None,
        added: Policy | None = None,
        chosen: Policy | None = None,
        *,
        virtual: bool,
        retrieval: bool,
        own: SamplingPolicy | None = None,
    ) -> Plan:
        """Return the plan that demands all that up to three policies demand, and `own` of sampling; plans are compiled once."""
        key = (base and base.name, added and added.name, chosen and chosen.name, virtual, retrieval, own)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            combined = stricter(stricter(base, added), chosen)
            plan = compile_plan(combined, self._stages, virtual=virtual, retrieval_asked=retrieval).drawn(own)
            self._plans[key] = plan
        return plan


class Compiler:
    """Turns routing snapshots into tables; deployments keep their counters from one table to the next."""

    def __init__(
        self,
        stages: Stages,
        metrics: GatewayMetrics,
        upstream_for: Callable[[str], Upstream],
        max_bytes_per_token: int,
    ) -> None:
        self._stages = stages
        self._metrics = metrics
        self._upstream_for = upstream_for
        self._max_bytes_per_token = max_bytes_per_token
        self._deployments: dict[tuple[str, str], DeploymentState] = {}
        self._model_metrics: dict[str, ModelMetrics] = {}
        self._balancers: dict[tuple[str, Balance], Balancer | None] = {}

    def compile(self, snapshot: RoutingSnapshot) -> Table:
        """Return the table of a snapshot."""
        policies = {policy.name: policy for policy in snapshot.policies}
        table = Table(snapshot, policies, self._stages)
        kept: dict[tuple[str, str], DeploymentState] = {}
        for model in snapshot.models:
            if _policy_exists(model, table):
                table.models[model.name] = self._model(model, table, kept)
        for entry in table.models.values():
            entry.fallbacks = _named(entry.config.fallbacks, table, entry.config.kind)
            entry.on = _chains(entry.config.fallbacks_on, table, entry.config.kind)
        for route in snapshot.routes:
            if _policy_exists(route, table):
                table.routes[route.name] = _route(route, table)
        if AUTO not in table.routes and AUTO not in table.models and table.models:
            chat = tuple(entry.name for entry in table.models.values() if entry.config.kind == "chat")
            table.routes[AUTO] = _route(Route(name=AUTO, candidates=chat), table)
        _name_aliases(snapshot, table)
        self._deployments = kept
        there = {(model.name, model.balance) for model in snapshot.models}
        self._balancers = {key: found for key, found in self._balancers.items() if key in there}
        return table

    def states(self) -> tuple[DeploymentState, ...]:
        """Return the deployments of the last table."""
        return tuple(self._deployments.values())

    def origins(self) -> set[str]:
        """Return the origins that the last table uses."""
        return {_origin(state.config.base_url) for state in self._deployments.values()}

    def _model(self, model: Model, table: Table, kept: dict[tuple[str, str], DeploymentState]) -> ModelEntry:
        states = []
        for config in model.deployments:
            key = (config.id, config.base_url)
            states.append(self._deployment(key, config, hedged=model.hedge_after_ms is not None))
            kept[key] = states[-1]
        policy = table.policy(model.policy)
        metrics = self._model_metrics.get(model.name)
        if metrics is None:
            metrics = self._model_metrics[model.name] = ModelMetrics(self._metrics, model.name)
        return ModelEntry(
            model,
            tuple(states),
            policy,
            table.plan(policy, virtual=False, retrieval=False),
            metrics,
            model.context_tokens * self._max_bytes_per_token,
            self._balancer(model, states),
        )

    def _balancer(self, model: Model, states: list[DeploymentState]) -> Balancer | None:
        # What it knows of the replicas' caches outlives a snapshot.
        key = (model.name, model.balance)
        if key not in self._balancers:
            self._balancers[key] = balancer_of(model.balance, model.name, self._metrics)
        found = self._balancers[key]
        if found is not None:
            found.use(states)
        return found

    def _deployment(self, key: tuple[str, str], config: Deployment, *, hedged: bool) -> DeploymentState:
        upstream = self._upstream_for(_origin(config.base_url))
        state = self._deployments.get(key)
        if state is None:
            return DeploymentState(config, paths_of(config), upstream, hedged=hedged)
        state.describe(config, paths_of(config), upstream, hedged=hedged)
        return state


def _policy_exists(named: Model | Route, table: Table) -> bool:
    # Without its policy a model would be served unguarded: it is left out instead.
    if named.policy is None or table.knows_policy(named.policy):
        return True
    _log.error(
        "left out of the routing table: its policy is missing", extra={"entry": named.name, "policy": named.policy}
    )
    return False


def _name_aliases(snapshot: RoutingSnapshot, table: Table) -> None:
    for alias in snapshot.aliases:
        if alias.name in table.models or alias.name in table.routes:
            continue  # a name of its own comes first
        if alias.model in table.models:
            table.models[alias.name] = table.models[alias.model]
        elif alias.model in table.routes:
            table.routes[alias.name] = table.routes[alias.model]
        else:
            continue
        table.aliases[alias.name] = alias.model


def _origin(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


def _named(names: tuple[str, ...], table: Table, kind: ModelKind) -> tuple[ModelEntry, ...]:
    found = (table.models.get(name) for name in names)
    return tuple(entry for entry in found if entry is not None and entry.config.kind == kind)


def _chains(on: FallbacksOn, table: Table, kind: ModelKind) -> Chains:
    given = (("timeout", on.timeout), ("context", on.context), ("content", on.content))
    return {reason: _named(names, table, kind) for reason, names in given if names is not None}


def _route(route: Route, table: Table) -> RouteEntry:
    policy = table.policy(route.policy)
    candidates = tuple(table.models[name] for name in route.candidates if name in table.models)
    kind = candidates[0].config.kind if candidates else "chat"
    return RouteEntry(
        route,
        candidates,
        _named(route.fallbacks, table, kind),
        policy,
        table.plan(policy, virtual=True, retrieval=False),
        _chains(route.fallbacks_on, table, kind),
        tuple(entry for rule in route.rules for entry in _named(rule.use, table, kind)),
    )
