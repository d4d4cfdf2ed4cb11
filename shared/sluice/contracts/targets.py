"""What a route's answers should cost and take, and what those of its deployments take."""

from typing import Annotated

from pydantic import Field

from sluice.contracts.base import Reply

LATENCY_KEPT_S = 600


class Targets(Reply):
    """What a route's answers should cost and take; deployments that are known to miss it come last.

    `cost` is US dollars for the prompt and 500 tokens of answer, `latency_s` seconds until the first event of a stream or a whole answer, which nine in
    ten of a deployment's latest requests have to keep to.
    """

    cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    latency_s: Annotated[float, Field(gt=0, le=3600)] | None = None


class DeploymentLatency(Reply):
    """Nine in ten of a deployment's latest `requests` took at most `p90_s` seconds, to the first event of a stream or to the whole answer.

    It lies in `latency_key(deployment)` for LATENCY_KEPT_S after it was written.
    """

    v: int = 1
    deployment: str
    p90_s: float
    requests: int
    at: float


def latency_key(deployment: str) -> str:
    """Return the Redis key with the last `DeploymentLatency` of a deployment."""
    return f"sluice:deployment:latency:{deployment}"
