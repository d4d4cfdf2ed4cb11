"""Compiles what a key, its team and its organisation say into the one record that the request path reads."""

from dataclasses import dataclass
from functools import reduce

from sluice.contracts.sampling import SamplingPolicy
from sluice_gateway.domain.allowed import resolved
from sluice_gateway.domain.keys import StoredKey
from sluice_gateway.domain.limits import Level, LevelLimits, compiled
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.sampling import tighter
from sluice_gateway.domain.tags import merged
from sluice_gateway.domain.tenancy import StoredOrganization, StoredTeam


@dataclass(frozen=True, slots=True)
class Parent:
    """What all keys of an organisation or a team take from it."""

    disabled: bool
    models: frozenset[str] | None
    limits: LevelLimits | None
    regions: frozenset[str] | None = None
    tags: tuple[str, ...] = ()
    sampling: SamplingPolicy | None = None
    default_model: str | None = None
    policy: str | None = None


def organization_parent(organization: StoredOrganization) -> Parent:
    """Return what keys take from their organisation; a deleted one is as good as disabled."""
    return Parent(
        disabled=organization.disabled or organization.deleted_at is not None,
        models=_set(organization.models),
        limits=compiled("organization", organization.id, organization.limits),
        regions=_set(organization.allowed_regions),
        tags=organization.tags,
        sampling=organization.sampling,
        default_model=organization.default_model,
        policy=organization.policy,
    )


def team_parent(team: StoredTeam) -> Parent:
    """Return what keys take from their team; a deleted one is as good as disabled."""
    return Parent(
        disabled=team.disabled or team.deleted_at is not None,
        models=_set(team.models),
        limits=compiled("team", team.id, team.limits),
        tags=team.tags,
        sampling=team.sampling,
        default_model=team.default_model,
        policy=team.policy,
    )


def record_of(
    key: StoredKey,
    team: Parent | None,
    organization: Parent | None,
    *,
    until: int | None = None,
    names: frozenset[str] = frozenset(),
) -> KeyRecord:
    """Return what the request path needs to know of a key; `until` is when one of its secrets ends before the key does.

    `names` are the models and routes that there are, which patterns of allow-lists stand for.

    A key whose team or organisation is not known is disabled: what is not known may not be taken for no limit.
    """
    disabled_by = _disabled_by(key, team, organization)
    own = compiled("key", key.id, key.limits)
    levels = (organization.limits if organization else None, team.limits if team else None, own)
    ends = [end for end in (key.expires_at, until) if end is not None]
    return KeyRecord(
        key_id=key.id,
        tenant=key.tenant,
        name=key.name,
        role=key.role,
        models=_all_of(
            names, _set(key.models), team.models if team else None, organization.models if organization else None
        ),
        policy=key.policy or (team.policy if team else None) or (organization.policy if organization else None),
        user_type=key.user_type,
        expires_at=min(ends) if ends else None,
        disabled=disabled_by is not None,
        plain=disabled_by is None and not ends and key.role != "read_only",
        disabled_by=disabled_by,
        organization_id=key.organization_id,
        team_id=key.team_id,
        limits=tuple(level for level in levels if level is not None),
        regions=organization.regions if organization else None,
        sampling=_drawn(key.sampling, team.sampling if team else None, organization.sampling if organization else None),
        default_model=key.default_model
        or (team.default_model if team else None)
        or (organization.default_model if organization else None),
        tags=merged(organization.tags if organization else (), team.tags if team else (), key.tags),
    )


def _disabled_by(key: StoredKey, team: Parent | None, organization: Parent | None) -> Level | None:
    if organization is None or organization.disabled:
        return "organization"
    if key.team_id is not None and (team is None or team.disabled):
        return "team"
    return "key" if key.disabled or key.revoked_at is not None else None


def _all_of(names: frozenset[str], *lists: frozenset[str] | None) -> frozenset[str] | None:
    given = [resolved(allowed, names) for allowed in lists if allowed is not None]
    return frozenset.intersection(*given) if given else None


def _drawn(*said: SamplingPolicy | None) -> SamplingPolicy | None:
    found = reduce(tighter, said)
    return None if found is None or found == SamplingPolicy() else found


def _set(names: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
