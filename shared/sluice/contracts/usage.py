"""The usage event that the gateway writes once for every request that it admitted."""

from typing import Literal

from sluice.contracts.base import Reply

UsageStatus = Literal["ok", "error", "blocked", "cancelled"]


class UsageRecorded(Reply):
    """One request: who, what, how many tokens, how long, how it ended.

    `event_id` is unique and makes consumers idempotent; `request_id` is the interaction id that feedback refers to.
    Times are unix seconds and milliseconds; `cost_usd` is exact from `prompt_tokens`, `completion_tokens` and price.
    `tokens_exact` is False when the upstream reported no usage and the gateway had to count itself. `life` is the run of the gateway
    process that answered.
    """

    v: Literal[1] = 1
    event_id: str
    request_id: str
    at: float
    tenant: str
    key_id: str
    endpoint: str
    model: str
    route: str | None = None
    deployment: str | None = None
    status: UsageStatus
    http_status: int
    error_code: str | None = None
    stream: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_exact: bool = True
    cost_usd: float = 0.0
    ttft_ms: float | None = None
    duration_ms: float = 0.0
    guard_issues: tuple[str, ...] = ()
    citations: int = 0
    trace_id: str | None = None
    life: str = ""


class UsageRecord(UsageRecorded):
    """One request as the usage API answers it; `id` is the cursor of lists."""

    id: str
    object: Literal["usage"] = "usage"
    total_tokens: int


UsageGroup = Literal["model", "key", "day", "tenant"]


class UsageTotals(Reply):
    """Sums over requests; `requests` counts all, `errors` those whose status is not `ok`."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost_usd: float = 0.0


class UsageGroupTotals(UsageTotals):
    """Sums of one group: a model, a key id, a tenant, or a day (UTC, YYYY-MM-DD)."""

    group: str


class UsageSummary(Reply):
    """Totals of a period, and the same split by `group_by`, largest cost and token count first (days: in order)."""

    object: Literal["usage.summary"] = "usage.summary"
    group_by: UsageGroup
    totals: UsageTotals
    data: tuple[UsageGroupTotals, ...]
