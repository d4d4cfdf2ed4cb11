"""Organisations, teams and the audit log as the gateway's admin API takes and answers them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from sluice.contracts.base import Metadata, Reply, Request
from sluice.contracts.gateway import Id, KeyName, Limits, ModelName, ModelNames, SetLimits, Tags, Tenant
from sluice.contracts.routing import Region
from sluice.contracts.sampling import SamplingConfig, SamplingPolicy

Regions = Annotated[tuple[Region, ...], Field(min_length=1, max_length=50)]


class OrganizationLimits(Limits):
    """The limits of an organisation: those of its requests, and how much it may keep and have waiting.

    `file_bytes` are the bytes of all its files, `unfinished_batches` its batches that have not ended; null is what the gateway allows
    every organisation (`SLUICE_GATEWAY_TENANT_FILE_BYTES`, `SLUICE_GATEWAY_TENANT_UNFINISHED_BATCHES`).
    """

    file_bytes: Annotated[int, Field(ge=0, le=1_000_000_000_000_000)] | None = None
    unfinished_batches: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class SetOrganizationLimits(OrganizationLimits):
    """Limits to set; in a change, one that is absent stays and null takes it away."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"requests_per_minute": 600, "file_bytes": 10_000_000_000}]}
    )


class CreateOrganization(Request):
    """A new organisation; its name is unique.

    `tenant` is the word under which its data and usage are kept in every service. It never changes and is never given to
    another organisation. Without one it is the name, if that can be a tenant and none had it before, else the id.
    `allowed_regions` null lets requests go to deployments anywhere. `policy` names a policy of the routing snapshot that its keys follow in place
    of their models', unless their team or they name another; only the platform's administrator may set it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "acme", "allowed_regions": ["eu"], "limits": {"budget_per_month_usd": 5000}}]
        }
    )

    name: KeyName
    tenant: Tenant | None = None
    models: ModelNames | None = None
    allowed_regions: Regions | None = None
    sampling: SamplingConfig | None = None
    default_model: ModelName | None = None
    policy: ModelName | None = None
    tags: Tags = ()
    limits: SetOrganizationLimits = SetOrganizationLimits()
    metadata: Metadata = Field(default_factory=dict)


class UpdateOrganization(Request):
    """What to change of an organisation; a field that is absent stays, null takes a limit away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"disabled": True}, {"allowed_regions": ["eu", "ch"]}]})

    name: KeyName | None = None
    disabled: bool | None = None
    models: ModelNames | None = None
    allowed_regions: Regions | None = None
    sampling: SamplingConfig | None = None
    default_model: ModelName | None = None
    policy: ModelName | None = None
    tags: Tags | None = None
    limits: SetOrganizationLimits | None = None
    metadata: Metadata | None = None


class Organization(Reply):
    """An organisation: the owner of teams, keys, data and usage."""

    id: str
    object: Literal["organization"] = "organization"
    name: str
    tenant: str
    disabled: bool
    models: tuple[str, ...] | None = None
    allowed_regions: tuple[str, ...] | None = None
    sampling: SamplingPolicy | None = None
    default_model: str | None = None
    policy: str | None = None
    tags: tuple[str, ...] = ()
    limits: OrganizationLimits = OrganizationLimits()
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int


class CreateTeam(Request):
    """A new team of an organisation; its name is unique there. An organisation's admin key may leave `organization_id` out.

    `policy` is followed by its keys in place of their models' and the organisation's; only the platform's administrator may set it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "organization_id": "org_0k3v9w",
                    "name": "search",
                    "models": ["smollm2"],
                    "limits": {"max_concurrent": 20},
                }
            ]
        }
    )

    name: KeyName
    organization_id: Id | None = None
    models: ModelNames | None = None
    sampling: SamplingConfig | None = None
    default_model: ModelName | None = None
    policy: ModelName | None = None
    tags: Tags = ()
    limits: SetLimits = SetLimits()
    metadata: Metadata = Field(default_factory=dict)


class UpdateTeam(Request):
    """What to change of a team; a field that is absent stays, null takes a limit away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limits": {"tokens_per_minute": 200000}}]})

    name: KeyName | None = None
    disabled: bool | None = None
    models: ModelNames | None = None
    sampling: SamplingConfig | None = None
    default_model: ModelName | None = None
    policy: ModelName | None = None
    tags: Tags | None = None
    limits: SetLimits | None = None
    metadata: Metadata | None = None


class Team(Reply):
    """A team: keys of one organisation with limits and models of their own. It shares the organisation's data."""

    id: str
    object: Literal["team"] = "team"
    organization_id: str
    name: str
    disabled: bool
    models: tuple[str, ...] | None = None
    sampling: SamplingPolicy | None = None
    default_model: str | None = None
    policy: str | None = None
    tags: tuple[str, ...] = ()
    limits: Limits = Limits()
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int


class Deleted(Reply):
    """What a deletion took with it: teams that were deleted and keys that were revoked."""

    id: str
    object: Literal["organization.deleted", "team.deleted"]
    deleted: Literal[True] = True
    teams_deleted: int = 0
    keys_revoked: int = 0


AuditTarget = Literal["organization", "team", "api_key", "price", "transcripts", "responses", "conversations"]
AuditVerb = Literal["create", "change", "rotate", "revoke", "delete"]
AuditActor = Literal["administrator", "api_key"]


class AuditRecord(Reply):
    """One change: who made it, when, in which request, and the fields before and after. Secrets are never in it.

    `before` is null for what was made, `after` for what was deleted; a change shows only the fields that it changed.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "aud_0k3v9w",
                    "object": "audit_record",
                    "at": 1795000000.25,
                    "actor": "administrator",
                    "actor_id": "admin",
                    "action": "change",
                    "target": "team",
                    "target_id": "team_0k3v9w",
                    "organization_id": "org_0k3v9w",
                    "before": {"disabled": False},
                    "after": {"disabled": True},
                    "request_id": "req_0k3v9w",
                }
            ]
        }
    )

    id: str
    object: Literal["audit_record"] = "audit_record"
    at: float
    actor: AuditActor
    actor_id: str
    action: AuditVerb
    target: AuditTarget
    target_id: str
    organization_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    request_id: str
