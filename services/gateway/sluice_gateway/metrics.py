"""The gateway's metrics, declared once; the `model` label holds names of the routing snapshot only, else `other`.

What every request counts is kept in plain numbers and turned into samples when Prometheus asks: a locked counter costs
ten times as much as an addition, and the request path would pay for it five times. All of it runs on the event loop.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

from prometheus_client import Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from sluice.contracts.usage import UsageStatus
from sluice.telemetry.metrics import Declared, MetricRegistry

_TTFT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TPOT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_GAP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Tally:
    """One number that only grows; add to `value`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def increase(self, by: float) -> None:
        """Add to it where a statement cannot stand."""
        self.value += by


class Spread:
    """How measured values spread over buckets."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return Prometheus' cumulative buckets."""
        found, cumulated = [], 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self.counts, strict=True):
            cumulated += count
            found.append((bound, float(cumulated)))
        return found


class TallyFamily(Collector):
    """A counter with labels whose children are plain numbers."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        self._description = (name, help_text, labels)
        self._children: dict[tuple[str, ...], Tally] = {}

    def labels(self, *values: str) -> Tally:
        """Return the child for these label values."""
        return self._children.setdefault(values, Tally())

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the samples."""
        name, help_text, labels = self._description
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, tally in self._children.items():
            family.add_metric(values, tally.value)
        yield family


class SpreadFamily(Collector):
    """A histogram with labels whose children are plain numbers."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._description = (name, help_text, labels)
        self._bounds = bounds
        self._children: dict[tuple[str, ...], Spread] = {}

    def labels(self, *values: str) -> Spread:
        """Return the child for these label values."""
        return self._children.setdefault(values, Spread(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return the samples."""
        name, help_text, labels = self._description
        family = HistogramMetricFamily(name, help_text, labels=labels)
        for values, spread in self._children.items():
            family.add_metric(values, buckets=spread.buckets(), sum_value=spread.total)
        yield family


class PlainNumbers:
    """Declares metrics of plain numbers on a registry, in the way in which the registry declares its own."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, help_text: str, labels: Sequence[str]) -> TallyFamily:
        """Declare a counter."""
        family = TallyFamily(name, help_text, labels)
        self._declare(family, Declared(name, "counter", tuple(labels)))
        return family

    def histogram(self, name: str, help_text: str, labels: Sequence[str], *, buckets: Sequence[float]) -> SpreadFamily:
        """Declare a histogram."""
        family = SpreadFamily(name, help_text, labels, buckets)
        self._declare(family, Declared(name, "histogram", tuple(labels)))
        return family

    def _declare(self, family: Collector, declared: Declared) -> None:
        self._registry.declared.append(declared)
        self._registry.registry.register(family)


class UserTypeMetrics:
    """What is counted of one model's requests for one kind of user."""

    __slots__ = ("_answered", "_cost", "_duration", "_failed", "_input", "_output", "_tpot", "_ttft")

    def __init__(self, families: "UserTypeFamilies", model: str, user_type: str) -> None:
        label = families.label(user_type)
        self._answered = families.requests.labels(model, label, "ok")
        self._failed = families.requests.labels(model, label, "error")
        self._duration = families.duration.labels(model, label)
        self._ttft = families.ttft.labels(model, label)
        self._tpot = families.tpot.labels(model, label)
        self._input = families.tokens.labels(model, label, "input")
        self._output = families.tokens.labels(model, label, "output")
        self._cost = families.cost.labels(model, label)

    def observe(
        self, status: UsageStatus, seconds: float, ttft: float | None, tokens: tuple[int, int], cost_usd: float | None
    ) -> None:
        """Count one request: how long it took, until the first word of a stream, its tokens in and out, and its cost."""
        (self._answered if status == "ok" else self._failed).value += 1
        self._duration.observe(seconds)
        prompt, completion = tokens
        self._input.value += prompt
        self._output.value += completion
        self._cost.value += cost_usd or 0.0
        if ttft is not None:
            self._ttft.observe(ttft)
            if completion > 1:
                self._tpot.observe((seconds - ttft) / (completion - 1))


class UserTypeFamilies:
    """Metrics by model and kind of user; kinds that the settings do not name count together as `other`."""

    def __init__(self, plain: PlainNumbers, user_types: Collection[str]) -> None:
        self._known = frozenset(user_types)
        self.requests = plain.counter(
            "sluice_gateway_user_type_requests_total",
            "Requests for users of a kind, by how they ended (ok, error).",
            ("model", "user_type", "status"),
        )
        self.duration = plain.histogram(
            "sluice_gateway_user_type_request_duration_seconds",
            "Time from the head of a request for users of a kind to the answer's end.",
            ("model", "user_type"),
            buckets=_DURATION_BUCKETS,
        )
        self.ttft = plain.histogram(
            "sluice_gateway_user_type_time_to_first_token_seconds",
            "Time from the head of a request for users of a kind to the first byte of its streamed answer.",
            ("model", "user_type"),
            buckets=_TTFT_BUCKETS,
        )
        self.tpot = plain.histogram(
            "sluice_gateway_user_type_time_per_output_token_seconds",
            "Time from the first to the last byte of a streamed answer, by its tokens but the first.",
            ("model", "user_type"),
            buckets=_TPOT_BUCKETS,
        )
        self.tokens = plain.counter(
            "sluice_gateway_user_type_tokens_total",
            "Tokens of requests for users of a kind, by direction (input, output).",
            ("model", "user_type", "direction"),
        )
        self.cost = plain.counter(
            "sluice_gateway_user_type_cost_usd_total",
            "US dollars that requests for users of a kind cost, of models with a known price.",
            ("model", "user_type"),
        )

    def label(self, user_type: str) -> str:
        """Return what a kind of user is called in metrics."""
        return user_type if user_type in self._known else "other"


class GatewayMetrics:
    """All metrics of the request path on one registry."""

    def __init__(self, registry: MetricRegistry, user_types: Collection[str] = ()) -> None:
        plain = PlainNumbers(registry)
        self.by_user_type = UserTypeFamilies(plain, user_types)
        self.requests = plain.counter(
            "sluice_gateway_requests_total",
            "Requests answered, by public endpoint, model and HTTP status.",
            ("endpoint", "model", "status"),
        )
        self.duration = plain.histogram(
            "sluice_gateway_request_duration_seconds",
            "Time from the request's head to the answer's last byte.",
            ("endpoint", "model"),
            buckets=_DURATION_BUCKETS,
        )
        self.ttft = plain.histogram(
            "sluice_gateway_time_to_first_token_seconds",
            "Time from the request's head to the first byte of a streamed answer.",
            ("model",),
            buckets=_TTFT_BUCKETS,
        )
        self.gaps = plain.histogram(
            "sluice_gateway_inter_token_latency_seconds",
            "Gaps between the words of streamed answers as they reach the gateway, of one stream a second of each model at most.",
            ("model",),
            buckets=_GAP_BUCKETS,
        )
        self.tokens = plain.counter(
            "sluice_gateway_tokens_total",
            "Tokens that were billed, by direction (input, output).",
            ("model", "direction"),
        )
        self.quality = plain.counter(
            "sluice_gateway_answer_quality_total",
            "Requests of routes with intents, by the kind of question (unknown: none that is known) and what was found of the answer (fine, "
            "low_confidence, unknown_confidence, potential_hallucination, disputed_answer, blocked, error, cancelled).",
            ("route", "intent", "finding"),
        )
        self.in_flight: Gauge = registry.gauge(
            "sluice_gateway_in_flight_requests", "Requests that are being answered now."
        )
        self.finishing: Gauge = registry.gauge(
            "sluice_gateway_finishing_answers",
            "Whole answers that nobody waits for and that are still read for their tokens.",
        )
        self.given_up: Counter = registry.counter(
            "sluice_gateway_given_up_answers_total",
            "Whole answers that nobody waited for, by what is known of their tokens: counted by the provider, estimated (it was not waited "
            "for to its end), failed (the provider failed or refused, which costs nothing).",
            ("outcome",),
        )
        self.clients_left: Counter = registry.counter(
            "sluice_gateway_clients_left_total",
            "Connections that were closed because the client sent no more of a request (body), or took nothing of its answer (answer).",
            ("reason",),
        )
        self.upstream_errors: Counter = registry.counter(
            "sluice_gateway_upstream_errors_total",
            "Attempts on a deployment that failed, by model and reason.",
            ("model", "reason"),
        )
        self.fallbacks: Counter = registry.counter(
            "sluice_gateway_fallbacks_total",
            "Requests that were answered by another deployment or model than the first choice.",
            ("model",),
        )
        self.replica_choices = plain.counter(
            "sluice_gateway_replica_choices_total",
            "Choices of a replica by a model's `balance`, by what decided (prefix, session, latency, least_loaded; over_bound: the preferred one was too busy).",
            ("model", "reason"),
        )
        self.hedges: Counter = registry.counter(
            "sluice_gateway_hedges_total",
            "Requests that took so long that a second deployment was wanted, by outcome (won, lost: who answered first was the second, "
            "the first; no_deployment, no_budget, no_limit: none was asked).",
            ("model", "outcome"),
        )
        self.retries: Counter = registry.counter(
            "sluice_gateway_retries_total",
            "Times that a request might have been sent to the same deployments again, by outcome (made, no_budget, no_time).",
            ("model", "outcome"),
        )
        self.breaker_events: Counter = registry.counter(
            "sluice_gateway_breaker_events_total",
            "Changes of deployments that are left alone, by event (opened, limited, trial, closed) and whether this process made it.",
            ("event", "origin"),
        )
        self.breaker_shared: Gauge = registry.gauge(
            "sluice_gateway_breaker_shared",
            "1 while deployments are left alone by all gateways together, 0 without Redis.",
        )
        self.resting: Gauge = registry.gauge(
            "sluice_gateway_resting_deployments", "Deployments that this process leaves alone now."
        )
        self.stage_errors: Counter = registry.counter(
            "sluice_gateway_stage_errors_total",
            "Calls of the request path to other services that failed, by stage.",
            ("stage",),
        )
        self.policy_stores_missing: Counter = registry.counter(
            "sluice_gateway_policy_stores_missing_total",
            "Requests whose policy searches a vector store that is not there for their tenant, or has expired.",
        )
        self.unchecked: Counter = registry.counter(
            "sluice_gateway_unchecked_requests_total",
            "Requests of which a part went on without the guardrail's verdict, since it gave none and the policy fails open.",
        )
        self.limits_degraded: Gauge = registry.gauge(
            "sluice_gateway_limits_degraded", "1 while limits cannot be shared with other gateways, else 0."
        )
        self.lease_rounds: Counter = registry.counter(
            "sluice_gateway_lease_rounds_total",
            "Questions to Redis for leases of limits, by outcome (answered, failed).",
            ("outcome",),
        )
        self.unpriced = plain.counter(
            "sluice_gateway_unpriced_requests_total",
            "Requests to models of which nobody knows the price; their cost is null.",
            ("model",),
        )
        self.limit_refusals: Counter = registry.counter(
            "sluice_gateway_limit_refusals_total",
            "Requests refused by a limit, by its level and kind (unavailable: it could not be looked up; price_unknown: a budget, and no price).",
            ("level", "limit"),
        )
        self.limit_queue: Gauge = registry.gauge(
            "sluice_gateway_limit_queue_requests", "Requests that wait for one of the concurrent requests to end."
        )
        self.cache_requests = plain.counter(
            "sluice_gateway_cache_requests_total",
            "Requests that a policy lets be answered from the cache, by outcome (l1, l2, l3: answered from that level; semantic: answered from any level as a question in other words; partial: some inputs of a list; miss; bypass).",
            ("outcome",),
        )
        self.cache_semantic_seconds = plain.histogram(
            "sluice_gateway_cache_semantic_seconds",
            "Time that looks for a question in other words took, by outcome (hit, miss, unavailable).",
            ("outcome",),
            buckets=_DURATION_BUCKETS,
        )
        self.cache_threshold: Gauge = registry.gauge(
            "sluice_gateway_cache_threshold",
            "How near a question in other words has to be, where a policy lets that tune itself, by model or route.",
            ("model",),
        )
        self.cache_samples: Counter = registry.counter(
            "sluice_gateway_cache_samples_total",
            "Answers to questions in other words that were held against the model's own, by model or route, and whether they agree (yes, no).",
            ("model", "agree"),
        )
        self.cache_saved_usd = plain.counter(
            "sluice_gateway_cache_saved_usd_total", "US dollars that answers from the cache would have cost.", ()
        )
        self.cache_saved_tokens = plain.counter(
            "sluice_gateway_cache_saved_tokens_total",
            "Tokens that answers from the cache would have used, by direction (input, output).",
            ("direction",),
        )
        self.evidence = plain.counter(
            "sluice_gateway_evidence_total",
            "Questions to the retrieval service under a policy with a cache, by outcome (kept: what was found before is still right; found: it was searched).",
            ("outcome",),
        )
        self.cache_evictions = plain.counter(
            "sluice_gateway_cache_evictions_total",
            "Answers that left the memory of this process, by reason (size, expired, invalidated).",
            ("reason",),
        )
        self.cache_errors = plain.counter(
            "sluice_gateway_cache_errors_total",
            "Calls to a level of the cache that failed and were skipped, by level (l2, l3, semantic).",
            ("level",),
        )
        self.cache_bytes: Gauge = registry.gauge(
            "sluice_gateway_cache_bytes", "Memory of this process that kept answers take up, in bytes."
        )
        self.cache_database_bytes: Gauge = registry.gauge(
            "sluice_gateway_cache_database_bytes",
            "Size of kept answers in the database when it was last cleaned, in bytes.",
        )
        self.cache_entries: Gauge = registry.gauge(
            "sluice_gateway_cache_entries", "Answers that are kept in the memory of this process."
        )
        self.structured = plain.counter(
            "sluice_gateway_structured_outputs_total",
            "Answers to requests that demand a form, by outcome (valid; repaired: at the second try; invalid; cut: a run of space was left out).",
            ("outcome",),
        )
        self.snapshot_version: Gauge = registry.gauge(
            "sluice_gateway_routing_snapshot_version", "Version of the routing snapshot in use."
        )
