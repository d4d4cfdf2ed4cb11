"""What is counted of one model."""

from sluice_gateway.dataplane.gaps import Gaps
from sluice_gateway.domain.retries import HedgeOutcome, RetryBudget, RetryOutcome
from sluice_gateway.metrics import GatewayMetrics, Spread, Tally, UserTypeMetrics


class ModelMetrics:
    """The metric children of one model, looked up once instead of for every request."""

    __slots__ = (
        *("_by_user_type", "_metrics", "_name", "_requests"),
        *("gaps", "input_tokens", "output_tokens", "retries", "ttft", "unpriced"),
    )

    def __init__(self, metrics: GatewayMetrics, name: str) -> None:
        self._metrics = metrics
        self._name = name
        self._requests: dict[tuple[str, int], tuple[Tally, Spread]] = {}
        self._by_user_type: dict[str, UserTypeMetrics] = {}
        self.ttft = metrics.ttft.labels(name)
        self.gaps = Gaps(metrics.gaps.labels(name))
        self.input_tokens = metrics.tokens.labels(name, "input")
        self.output_tokens = metrics.tokens.labels(name, "output")
        self.unpriced = metrics.unpriced.labels(name)
        self.retries = RetryBudget()

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        found = self._requests.get((endpoint, status))
        if found is None:
            found = self._requests[endpoint, status] = (
                self._metrics.requests.labels(endpoint, self._name, str(status)),
                self._metrics.duration.labels(endpoint, self._name),
            )
        found[0].value += 1
        found[1].observe(seconds)

    def of(self, user_type: str) -> UserTypeMetrics:
        """Return what is counted of the requests for one kind of user."""
        found = self._by_user_type.get(user_type)
        if found is None:
            found = UserTypeMetrics(self._metrics.by_user_type, self._name, user_type)
            self._by_user_type[user_type] = found
        return found

    def upstream_error(self, reason: str) -> None:
        """Count one failed attempt."""
        self._metrics.upstream_errors.labels(self._name, reason).inc()

    def answered(self) -> float:
        """Return how many requests were answered since the start."""
        return sum(tally.value for tally, _ in self._requests.values())

    def retry(self, outcome: RetryOutcome) -> None:
        """Count one retry, or why there was none."""
        self._metrics.retries.labels(self._name, outcome).inc()

    def hedge(self, outcome: HedgeOutcome) -> None:
        """Count one request that took so long that a second deployment was wanted."""
        self._metrics.hedges.labels(self._name, outcome).inc()

    def fallback(self) -> None:
        """Count one request that another deployment or model answered than the first choice."""
        self._metrics.fallbacks.labels(self._name).inc()
