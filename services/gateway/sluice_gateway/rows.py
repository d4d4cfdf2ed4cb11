"""Keys, teams and organisations written into their rows, and the record of each change beside it."""

from collections.abc import Iterable
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

from sluice.contracts.gateway import Limits
from sluice.contracts.sampling import SamplingPolicy
from sluice.contracts.tenancy import AuditVerb, OrganizationLimits
from sluice.db import AsyncSession
from sluice_gateway.audit_store import audit_row
from sluice_gateway.domain.audit import Audited, Trail
from sluice_gateway.domain.keys import RetiredSecret, StoredKey
from sluice_gateway.domain.limits import NO_LIMITS, NO_ORGANIZATION_LIMITS
from sluice_gateway.tables import ApiKeyRow, OrganizationRow, TeamRow

_COLUMNS = {"metadata": "details"}
_ELSEWHERE = frozenset({"retired"})
Changed = TypeVar("Changed", bound=Audited)


def key_of(row: Any, retired: Iterable[RetiredSecret] = ()) -> StoredKey:
    """Return what a key's row (`ApiKeyRow`, or its columns) says."""
    return StoredKey(
        id=row.id,
        digest=row.digest,
        prefix=row.prefix,
        name=row.name,
        organization_id=row.organization_id,
        tenant=row.tenant,
        created_at=row.created_at,
        team_id=row.team_id,
        role=row.role,
        disabled=row.disabled,
        models=tuple(row.models) if row.models is not None else None,
        policy=row.policy,
        user_type=row.user_type,
        sampling=sampling_of(row.sampling),
        default_model=row.default_model,
        tags=tuple(row.tags),
        limits=limits_of(row.limits),
        rotated_at=row.rotated_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        metadata=dict(row.details),
        retired=tuple(retired),
    )


def write_change(
    session: AsyncSession,
    row: ApiKeyRow | OrganizationRow | TeamRow,
    change: tuple[Changed, Changed],
    action: AuditVerb,
    trail: Trail,
) -> Changed:
    """Write a change (before, after) with its audit record; what changes nothing leaves no record."""
    before, after = change
    if after != before:
        write(row, after, trail.at)
        session.add(audit_row(trail.changed(action, before, after)))
    return after


def write(row: ApiKeyRow | OrganizationRow | TeamRow, stored: Audited, at: float) -> None:
    """Write a key, team or organisation into its row; `at` is the time of the change.

    `changed_ms` always grows, whatever the clocks say: its sum tells gateways that something changed.
    """
    for item in fields(stored):
        if item.name not in _ELSEWHERE:
            setattr(row, _COLUMNS.get(item.name, item.name), _as_column(getattr(stored, item.name)))
    row.changed_ms = max(int(at * 1000), (row.changed_ms or 0) + 1)


def limits_of(column: dict[str, float]) -> Limits:
    """Return the limits in a column; most have none, or the same as many others."""
    return _limits(tuple(sorted(column.items()))) if column else NO_LIMITS


def organization_limits_of(column: dict[str, float]) -> OrganizationLimits:
    """Return the limits in an organisation's column."""
    return OrganizationLimits.model_validate(column) if column else NO_ORGANIZATION_LIMITS


@lru_cache(maxsize=4096)
def _limits(items: tuple[tuple[str, float], ...]) -> Limits:
    return Limits.model_validate(dict(items))


def sampling_of(column: dict[str, Any] | None) -> SamplingPolicy | None:
    """Return what a column says of sampling."""
    return None if column is None else SamplingPolicy.model_validate(column)


def _as_column(value: Any) -> Any:
    if isinstance(value, Limits):
        return value.model_dump(exclude_none=True)
    if isinstance(value, SamplingPolicy):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, dict) else value
