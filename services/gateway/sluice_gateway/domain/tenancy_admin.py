"""Making, changing and deleting organisations and teams."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice.contracts.tenancy import CreateOrganization, CreateTeam, UpdateOrganization, UpdateTeam
from sluice_gateway.domain.audit import Trail
from sluice_gateway.domain.errors import OrganizationNotFound, PlacementRefused
from sluice_gateway.domain.policies import check_policy
from sluice_gateway.domain.tenancy import Lineage, StoredOrganization, StoredTeam, patched

_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Removal(NamedTuple):
    """What was deleted, and how many teams and keys went with it."""

    deleted: StoredOrganization | StoredTeam
    teams: int
    keys: int


class TenancyRepository(Protocol):
    """Where organisations and teams are stored.

    `within` is the only organisation that may be touched, None all. Degraded mode: while the database is away every method
    raises DependencyUnavailable; keys in the ring go on working under the limits that were last read.
    """

    async def add_organization(
        self, organization: StoredOrganization, other_tenant: str | None, trail: Trail
    ) -> StoredOrganization:
        """Add an organisation, with `other_tenant` if its own is taken, or raise NameTaken."""
        ...

    async def change_organization(
        self, organization_id: str, change: Callable[[StoredOrganization], StoredOrganization], trail: Trail
    ) -> StoredOrganization:
        """Change an organisation, or raise OrganizationNotFound or NameTaken."""
        ...

    async def delete_organization(self, organization_id: str, *, cascade: bool, trail: Trail) -> Removal:
        """Delete an organisation, or raise NotEmpty."""
        ...

    async def add_team(self, team: StoredTeam, trail: Trail) -> StoredTeam:
        """Add a team, or raise OrganizationNotFound or NameTaken."""
        ...

    async def change_team(
        self, team_id: str, within: str | None, change: Callable[[StoredTeam], StoredTeam], trail: Trail
    ) -> StoredTeam:
        """Change a team, or raise TeamNotFound or NameTaken."""
        ...

    async def delete_team(self, team_id: str, within: str | None, *, cascade: bool, trail: Trail) -> Removal:
        """Delete a team, or raise TeamNotFound or NotEmpty."""
        ...


class Announcer(Protocol):
    """Makes a change known to this process and to all other gateway processes.

    Degraded mode: while Redis is away other processes notice the change at their next periodic look; it never raises.
    """

    async def key_changed(self, lineage: Lineage) -> None:
        """Tell everyone of a key."""
        ...

    async def team_changed(self, team: StoredTeam) -> None:
        """Tell everyone of a team, which changes its keys."""
        ...

    async def organization_changed(self, organization: StoredOrganization) -> None:
        """Tell everyone of an organisation, which changes its keys."""
        ...


@dataclass(frozen=True, slots=True)
class TenancyAdmin:
    """What the admin API does with organisations and teams. `known_policies` returns None while no routing snapshot is there."""

    repository: TenancyRepository
    announcer: Announcer
    new_id: Callable[[str], str]
    known_policies: Callable[[], Collection[str] | None]

    async def create_organization(self, request: CreateOrganization, trail: Trail) -> StoredOrganization:
        """Make an organisation; its tenant is the one asked for, else its name if that can be one and is free, else its id."""
        check_policy(request, trail.actor, self.known_policies())
        made = self.new_id("org")
        wanted = request.tenant or (request.name if _TENANT.fullmatch(request.name) else made)
        organization = StoredOrganization(
            id=made,
            tenant=wanted,
            name=request.name,
            created_at=int(trail.at),
            models=request.models,
            sampling=request.sampling,
            default_model=request.default_model,
            policy=request.policy,
            tags=request.tags,
            allowed_regions=request.allowed_regions,
            limits=request.limits,
            metadata=dict(request.metadata),
        )
        other = made if request.tenant is None else None
        organization = await self.repository.add_organization(organization, other, trail)
        await self.announcer.organization_changed(organization)
        return organization

    async def change_organization(
        self, organization_id: str, request: UpdateOrganization, trail: Trail
    ) -> StoredOrganization:
        """Change what is given."""
        check_policy(request, trail.actor, self.known_policies())
        changed = await self.repository.change_organization(
            organization_id, lambda stored: patched(stored, request), trail
        )
        await self.announcer.organization_changed(changed)
        return changed

    async def delete_organization(self, organization_id: str, *, cascade: bool, trail: Trail) -> Removal:
        """Delete an organisation; its tenant and usage stay and are never another's."""
        removal = await self.repository.delete_organization(organization_id, cascade=cascade, trail=trail)
        assert isinstance(removal.deleted, StoredOrganization)
        await self.announcer.organization_changed(removal.deleted)
        return removal

    async def create_team(self, request: CreateTeam, trail: Trail) -> StoredTeam:
        """Make a team in the organisation that is named, or in that of the admin key which asks."""
        own = trail.actor.organization_id
        organization_id = request.organization_id or own
        if organization_id is None:
            raise PlacementRefused("Say with `organization_id` to which organisation the team belongs.")
        if own not in (None, organization_id):
            raise OrganizationNotFound(f"There is no organisation with id {organization_id}.")
        check_policy(request, trail.actor, self.known_policies())
        team = StoredTeam(
            id=self.new_id("team"),
            organization_id=organization_id,
            name=request.name,
            created_at=int(trail.at),
            models=request.models,
            sampling=request.sampling,
            default_model=request.default_model,
            policy=request.policy,
            tags=request.tags,
            limits=request.limits,
            metadata=dict(request.metadata),
        )
        team = await self.repository.add_team(team, trail)
        await self.announcer.team_changed(team)
        return team

    async def change_team(self, team_id: str, request: UpdateTeam, trail: Trail) -> StoredTeam:
        """Change what is given."""
        check_policy(request, trail.actor, self.known_policies())
        within = trail.actor.organization_id
        changed = await self.repository.change_team(team_id, within, lambda stored: patched(stored, request), trail)
        await self.announcer.team_changed(changed)
        return changed

    async def delete_team(self, team_id: str, *, cascade: bool, trail: Trail) -> Removal:
        """Delete a team; its usage stays."""
        within = trail.actor.organization_id
        removal = await self.repository.delete_team(team_id, within, cascade=cascade, trail=trail)
        assert isinstance(removal.deleted, StoredTeam)
        await self.announcer.team_changed(removal.deleted)
        return removal
