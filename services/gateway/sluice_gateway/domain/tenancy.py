"""Organisations and teams as the database holds them, and how a change is applied to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from sluice.contracts.base import Request
from sluice.contracts.gateway import Limits
from sluice.contracts.sampling import SamplingPolicy
from sluice.contracts.tenancy import Organization, OrganizationLimits, Team
from sluice_gateway.domain.keys import StoredKey
from sluice_gateway.domain.limits import NO_LIMITS, NO_ORGANIZATION_LIMITS

_WITHOUT_NULL = frozenset({"name", "disabled", "role", "metadata", "tags"})
Stored = TypeVar("Stored", "StoredOrganization", "StoredTeam", StoredKey)


@dataclass(frozen=True, slots=True)
class StoredOrganization:
    """An organisation. A deleted one stays as a row, so that nobody gets its tenant, and with it its data, again.

    Times are unix seconds. `models` None allows every model, `allowed_regions` None every region.
    """

    id: str
    tenant: str
    name: str
    created_at: int
    disabled: bool = False
    models: tuple[str, ...] | None = None
    allowed_regions: tuple[str, ...] | None = None
    sampling: SamplingPolicy | None = None
    default_model: str | None = None
    policy: str | None = None
    tags: tuple[str, ...] = ()
    limits: OrganizationLimits = NO_ORGANIZATION_LIMITS
    metadata: dict[str, str] = field(default_factory=dict)
    deleted_at: int | None = None

    @property
    def organization_id(self) -> str:
        """The organisation that it belongs to: itself."""
        return self.id

    def shown(self) -> Organization:
        """Return it as the admin API answers it."""
        return Organization(
            id=self.id,
            name=self.name,
            tenant=self.tenant,
            disabled=self.disabled,
            models=self.models,
            allowed_regions=self.allowed_regions,
            sampling=self.sampling,
            default_model=self.default_model,
            policy=self.policy,
            tags=self.tags,
            limits=self.limits,
            metadata=self.metadata,
            created_at=self.created_at,
        )


@dataclass(frozen=True, slots=True)
class StoredTeam:
    """A team of an organisation; a deleted one stays as a row, since usage and the audit log name it."""

    id: str
    organization_id: str
    name: str
    created_at: int
    disabled: bool = False
    models: tuple[str, ...] | None = None
    sampling: SamplingPolicy | None = None
    default_model: str | None = None
    policy: str | None = None
    tags: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    metadata: dict[str, str] = field(default_factory=dict)
    deleted_at: int | None = None

    def shown(self) -> Team:
        """Return it as the admin API answers it."""
        return Team(
            id=self.id,
            organization_id=self.organization_id,
            name=self.name,
            disabled=self.disabled,
            models=self.models,
            sampling=self.sampling,
            default_model=self.default_model,
            policy=self.policy,
            tags=self.tags,
            limits=self.limits,
            metadata=self.metadata,
            created_at=self.created_at,
        )


class Lineage(NamedTuple):
    """A key with the team, if it is in one, and the organisation that it belongs to."""

    key: StoredKey
    team: StoredTeam | None
    organization: StoredOrganization


class Directory(NamedTuple):
    """All organisations, teams and keys."""

    organizations: list[StoredOrganization]
    teams: list[StoredTeam]
    keys: list[StoredKey]


def patched(stored: Stored, request: Request) -> Stored:
    """Return what a change request makes of an organisation, team or key.

    What the request does not name stays. Null takes a limit away, and leaves alone what cannot be without a value.
    """
    given: dict[str, Any] = {}
    for name in request.model_fields_set:
        value = getattr(request, name)
        if value is None and name in _WITHOUT_NULL:
            continue
        given[name] = _limited(stored.limits, value) if name == "limits" else value
    return replace(stored, **given)


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of both in which they differ."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


def _limited(before: Limits, change: Limits | None) -> Limits:
    if change is None:
        return type(before)()
    return before.model_copy(update={name: getattr(change, name) for name in change.model_fields_set})
