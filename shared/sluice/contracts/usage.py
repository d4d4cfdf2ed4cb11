"""The usage event that the gateway writes once for every request that it admitted."""

from typing import Any, Literal

from pydantic import model_validator

from sluice.contracts.base import Reply, Usd

UsageStatus = Literal["ok", "error", "blocked", "cancelled"]


_DETAILS = (
    "cached_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
)


class UsageRecorded(Reply):
    """One request: who, what, how many tokens, how long, how it ended.

    `event_id` is unique and makes consumers idempotent; `request_id` is the interaction id that feedback refers to.
    Times are unix seconds and milliseconds; `cost_usd` is exact from the counts and the price of each kind of token, and null when
    nobody knows the model's price. `price_source` says which price that was, such as `genai-prices 0.2.3`.
    `tokens_exact` is False when the upstream reported no usage and the gateway had to count itself. `life` is the run of the gateway
    process that answered. `prompt_tokens` include the cached ones, those written to a cache, and those of sound and images;
    `completion_tokens` include those of thinking and of sound. `end_user` is the request's `user`, `user_type`
    the kind of user that the request or its key names, `tags` what the request and its key are counted under besides,
    `prompt` and `prompt_version` the stored prompt that it was asked with. On its way these six counts are one array, `token_details`, which most requests
    have none of.
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
    cost_usd: float | None = 0.0
    ttft_ms: float | None = None
    duration_ms: float = 0.0
    guard_issues: tuple[str, ...] = ()
    citations: int = 0
    trace_id: str | None = None
    life: str = ""
    organization_id: str = ""
    team_id: str | None = None
    end_user: str | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    price_source: str | None = None
    user_type: str | None = None
    tags: tuple[str, ...] = ()
    prompt: str | None = None
    prompt_version: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("token_details"):
            return data
        return {**data, **dict(zip(_DETAILS, data["token_details"], strict=False))}


class UsageRecord(UsageRecorded):
    """One request as the usage API answers it; `id` is the cursor of lists."""

    id: str
    object: Literal["usage"] = "usage"
    total_tokens: int
    cost_usd: Usd | None = 0.0


TrendGroup = Literal[
    "model",
    "key",
    "tenant",
    "organization",
    "team",
    "tag",
    "prompt",
    "end_user",
    "user_type",
    "deployment",
    "endpoint",
    "status",
]
UsageGroup = Literal[TrendGroup, "day"]


class UsageTotals(Reply):
    """Sums over requests; `requests` counts all, `errors` those whose status is not `ok`.

    `cost_per_million_tokens_usd` is what a million tokens, in and out together, came to; `cached_share` the part of the prompts'
    tokens that providers had in their caches. Both are null when there were no such tokens.
    """

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Usd = 0.0
    cost_per_million_tokens_usd: Usd | None = None
    cached_share: float | None = None


class UsageGroupTotals(UsageTotals):
    """Sums of one group: a model, a key id and so on, or a day (UTC, YYYY-MM-DD); an empty name holds those without one.

    `cost_share` and `token_share` are its parts of all that was asked for, from 0 to 1. A request counts in the group of each of its tags; a prompt is
    a group for each of its versions, such as `support-answer@3`.
    """

    group: str
    cost_share: float = 0.0
    token_share: float = 0.0


class UsageSummary(Reply):
    """Totals of a period, and the same split by `group_by`, largest cost and token count first (days: in order)."""

    object: Literal["usage.summary"] = "usage.summary"
    group_by: UsageGroup
    totals: UsageTotals
    data: tuple[UsageGroupTotals, ...]


TrendInterval = Literal["day", "week", "month"]


class UsageTrendPoint(UsageTotals):
    """Sums of one interval, of one group when there are groups; `starts` is its first day (UTC, YYYY-MM-DD)."""

    starts: str
    group: str | None = None


class UsageTrend(Reply):
    """How usage and cost went: a point for each interval in which there were requests, in order, then by group.

    Weeks begin on Mondays. With `group_by` there are points of the groups that cost most in the whole period only.
    """

    object: Literal["usage.trend"] = "usage.trend"
    interval: TrendInterval
    group_by: TrendGroup | None = None
    data: tuple[UsageTrendPoint, ...]


class UsageRebuilt(Reply):
    """How many sums of hours and days there are after they were made again."""

    object: Literal["usage.rebuilt"] = "usage.rebuilt"
    sums: int
