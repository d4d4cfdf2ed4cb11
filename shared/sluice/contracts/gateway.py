"""API keys as the gateway's admin API takes and answers them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from sluice.contracts.base import Metadata, Reply, Request, Usd
from sluice.contracts.sampling import SamplingConfig, SamplingPolicy

Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
PromptName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
UnixTime = Annotated[int, Field(ge=0, le=253_402_300_799)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]
UserType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")]
TAG_PATTERN = r"^[^\x00-\x1f\x7f, ](?:[^\x00-\x1f\x7f,]{0,62}[^\x00-\x1f\x7f, ])?$"
Tag = Annotated[
    str,
    StringConstraints(pattern=TAG_PATTERN),
    Field(description="1 to 64 characters, without commas and outer blanks"),
]
Tags = Annotated[tuple[Tag, ...], AfterValidator(lambda tags: tuple(dict.fromkeys(tags))), Field(max_length=10)]
ModelNames = Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=100)]
Dollars = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
KeyStatus = Literal["active", "disabled", "expired", "revoked"]
KeyRole = Literal["admin", "member", "read_only"]
LONGEST_GRACE_S = 30 * 24 * 3600


class Limits(Reply):
    """What may be used at one level (key, team or organisation); null is no limit, and every level counts for itself.

    A budget of 0 dollars allows only what costs nothing. Days and months are UTC.
    """

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    max_concurrent: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    budget_per_day_usd: Dollars | None = None
    budget_per_month_usd: Dollars | None = None


class SetLimits(Limits):
    """Limits to set; in a change, one that is absent stays and null takes it away."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"requests_per_minute": 600, "budget_per_month_usd": 200}]}
    )


class CreateApiKey(Request):
    """A new key; `models` null allows every model, and `*` in one of its names any characters (`gpt-4*`, `openai/*`); `expires_at` (unix seconds) null never expires.

    It belongs to the organisation of `team_id`, of `organization_id`, or to the one whose tenant is `tenant`; an
    organisation for a tenant that has none yet is made with its first key. `policy` names a policy of the routing snapshot
    that applies to each request of this key, whatever the model's own. `user_type` is the kind of user for whom it asks, unless
    a request says another; the gateway's settings say which kinds there are. `tags` are those of each of its requests, beside
    its team's, its organisation's and the request's own. `sampling` is what its requests may say of temperature and length, and what is
    meant where they say nothing; `default_model` is the model of those that name none.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "ci", "tenant": "acme", "models": ["smollm2"]},
                {"name": "search-prod", "team_id": "team_0k3v9w", "limits": {"requests_per_minute": 600}},
            ]
        }
    )

    name: KeyName
    tenant: Tenant = "default"
    organization_id: Id | None = None
    team_id: Id | None = None
    role: KeyRole = "member"
    models: ModelNames | None = None
    policy: ModelName | None = None
    user_type: UserType | None = None
    sampling: SamplingConfig | None = None
    default_model: ModelName | None = None
    tags: Tags = ()
    limits: SetLimits = SetLimits()
    expires_at: UnixTime | None = None
    metadata: Metadata = Field(default_factory=dict)


class UpdateApiKey(Request):
    """What to change of a key; a field that is absent stays, null takes a limit away.

    `team_id` moves the key to another team of its organisation, null takes it out of its team.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"disabled": True}, {"limits": {"budget_per_day_usd": 5}, "models": None}]}
    )

    name: KeyName | None = None
    disabled: bool | None = None
    team_id: Id | None = None
    role: KeyRole | None = None
    models: ModelNames | None = None
    policy: ModelName | None = None
    user_type: UserType | None = None
    sampling: SamplingConfig | None = None
    default_model: ModelName | None = None
    tags: Tags | None = None
    limits: SetLimits | None = None
    expires_at: UnixTime | None = None
    metadata: Metadata | None = None


class RotateApiKey(Request):
    """A new secret for a key; the old one works for another `grace_s` seconds (at most 30 days)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"grace_s": 3600}]})

    grace_s: Annotated[int, Field(ge=0, le=LONGEST_GRACE_S)] = 0


class ApiKey(Reply):
    """A key without its secret; `prefix` is how it begins, so that people can tell keys apart.

    `status` is the key's own: an active key of a disabled team or organisation does not work either.
    """

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    tenant: str
    organization_id: str = ""
    team_id: str | None = None
    role: KeyRole = "member"
    prefix: str
    status: KeyStatus
    disabled: bool = False
    models: tuple[str, ...] | None = None
    policy: str | None = None
    user_type: str | None = None
    sampling: SamplingPolicy | None = None
    default_model: str | None = None
    tags: tuple[str, ...] = ()
    limits: Limits = Limits()
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int
    rotated_at: int | None = None
    expires_at: int | None = None
    revoked_at: int | None = None


class OwnApiKey(ApiKey):
    """The key that asks, with what it has spent since the day and the month began (UTC), as far as its requests are recorded."""

    spent_today_usd: Usd = 0.0
    spent_this_month_usd: Usd = 0.0


class CreatedApiKey(ApiKey):
    """A key that was just made or rotated; `key` is shown this once and cannot be read again."""

    key: str
