"""Queries on the gateway's database: organisations and teams."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.exc import IntegrityError

from sluice.contracts.paging import Order
from sluice.db import AsyncSession, Database, ReadSession
from sluice_gateway.audit_store import audit_row
from sluice_gateway.domain.audit import Trail
from sluice_gateway.domain.errors import NameTaken, NotEmpty, OrganizationNotFound, TeamNotFound
from sluice_gateway.domain.tenancy import StoredOrganization, StoredTeam
from sluice_gateway.domain.tenancy_admin import Removal
from sluice_gateway.rows import key_of, limits_of, organization_limits_of, sampling_of, write, write_change
from sluice_gateway.tables import ApiKeyRow, OrganizationRow, RetiredSecretRow, TeamRow

_Row = TypeVar("_Row", OrganizationRow, TeamRow)


class TenancyStore:
    """Organisations and teams; every method raises DependencyUnavailable when the database is away.

    `within` is the only organisation that may be looked at, None all: what is elsewhere is not found.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def organization(self, organization_id: str, within: str | None = None) -> StoredOrganization:
        """Return one organisation that is not deleted."""
        async with self._database.read() as session:
            row = await session.get(OrganizationRow, organization_id)
            if row is None or row.deleted_at is not None or within not in (None, row.id):
                raise no_organization(organization_id)
            return organization_of(row)

    async def organizations(
        self, *, within: str | None, name: str | None, tenant: str | None, limit: int, after: str | None, order: Order
    ) -> list[StoredOrganization]:
        """Return at most `limit + 1` organisations by time of creation."""
        conditions = _given(
            (OrganizationRow.id, within), (OrganizationRow.name, name), (OrganizationRow.tenant, tenant)
        )
        query = _paged(select(OrganizationRow).where(*conditions), OrganizationRow, limit, after, order)
        async with self._database.read() as session:
            return [organization_of(row) for row in await session.scalars(query)]

    async def add_organization(
        self, organization: StoredOrganization, other_tenant: str | None, trail: Trail
    ) -> StoredOrganization:
        """Add an organisation; when its tenant is taken, with `other_tenant` if there is one.

        Raises:
            NameTaken: another organisation has the name, or had the tenant.
        """
        with _unique(f"There is an organisation named {organization.name!r}, or with that tenant."):
            async with self._database.write() as session:
                await _check_name(session, OrganizationRow, organization.name, None)
                had = select(OrganizationRow.id).where(OrganizationRow.tenant == organization.tenant)
                if await session.scalar(had) is not None:
                    if other_tenant is None:
                        raise NameTaken(
                            f"The tenant {organization.tenant!r} belongs or belonged to another organisation, and is "
                            "never given away again; choose another one."
                        )
                    organization = replace(organization, tenant=other_tenant)
                session.add(organization_row(organization, trail.at))
                session.add(audit_row(trail.made(organization)))
        return organization

    async def change_organization(
        self, organization_id: str, change: Callable[[StoredOrganization], StoredOrganization], trail: Trail
    ) -> StoredOrganization:
        """Change an organisation."""
        with _unique("There is another organisation of that name."):
            async with self._database.write() as session:
                row = await _locked_organization(session, organization_id)
                before = organization_of(row)
                after = change(before)
                if after.name != before.name:
                    await _check_name(session, OrganizationRow, after.name, None)
                return write_change(session, row, (before, after), "change", trail)

    async def delete_organization(self, organization_id: str, *, cascade: bool, trail: Trail) -> Removal:
        """Delete an organisation; with `cascade` also its teams, and its keys are revoked.

        Raises:
            NotEmpty: without `cascade`, it has teams or keys that are not revoked.
        """
        async with self._database.write() as session:
            row = await _locked_organization(session, organization_id)
            teams = await _alive(session, TeamRow, TeamRow.organization_id == organization_id)
            keys = await _living_keys(session, ApiKeyRow.organization_id == organization_id)
            if (teams or keys) and not cascade:
                raise NotEmpty(
                    f"The organisation has {len(teams)} teams and {len(keys)} keys that are not revoked. Delete and "
                    "revoke them first, or delete with `cascade=true`."
                )
            await _revoke(session, keys, trail)
            for team in teams:
                _bury(session, team, team_of(team), trail)
            _bury(session, row, organization_of(row), trail)
            return Removal(organization_of(row), len(teams), len(keys))

    async def team(self, team_id: str, within: str | None = None) -> StoredTeam:
        """Return one team that is not deleted."""
        async with self._database.read() as session:
            row = await session.get(TeamRow, team_id)
            if row is None or row.deleted_at is not None or within not in (None, row.organization_id):
                raise no_team(team_id)
            return team_of(row)

    async def teams(
        self, *, within: str | None, name: str | None, limit: int, after: str | None, order: Order
    ) -> list[StoredTeam]:
        """Return at most `limit + 1` teams by time of creation."""
        conditions = _given((TeamRow.organization_id, within), (TeamRow.name, name))
        query = _paged(select(TeamRow).where(*conditions), TeamRow, limit, after, order)
        async with self._database.read() as session:
            return [team_of(row) for row in await session.scalars(query)]

    async def add_team(self, team: StoredTeam, trail: Trail) -> StoredTeam:
        """Add a team to an organisation that is not deleted."""
        with _unique(f"The organisation has a team named {team.name!r}."):
            async with self._database.write() as session:
                await _locked_organization(session, team.organization_id)
                await _check_name(session, TeamRow, team.name, team.organization_id)
                session.add(_new(TeamRow(), team, trail.at))
                session.add(audit_row(trail.made(team)))
        return team

    async def change_team(
        self, team_id: str, within: str | None, change: Callable[[StoredTeam], StoredTeam], trail: Trail
    ) -> StoredTeam:
        """Change a team."""
        with _unique("The organisation has another team of that name."):
            async with self._database.write() as session:
                row = await locked_team(session, team_id, within)
                before = team_of(row)
                after = change(before)
                if after.name != before.name:
                    await _check_name(session, TeamRow, after.name, row.organization_id)
                return write_change(session, row, (before, after), "change", trail)

    async def delete_team(self, team_id: str, within: str | None, *, cascade: bool, trail: Trail) -> Removal:
        """Delete a team; with `cascade` its keys are revoked.

        Raises:
            NotEmpty: without `cascade`, it has keys that are not revoked.
        """
        async with self._database.write() as session:
            row = await locked_team(session, team_id, within)
            keys = await _living_keys(session, ApiKeyRow.team_id == team_id)
            if keys and not cascade:
                raise NotEmpty(
                    f"The team has {len(keys)} keys that are not revoked. Revoke or move them first, or delete with "
                    "`cascade=true`."
                )
            await _revoke(session, keys, trail)
            _bury(session, row, team_of(row), trail)
            return Removal(team_of(row), 0, len(keys))


def organization_of(row: OrganizationRow) -> StoredOrganization:
    """Return what an organisation's row says."""
    return StoredOrganization(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        created_at=row.created_at,
        disabled=row.disabled,
        models=_tuple(row.models),
        allowed_regions=_tuple(row.allowed_regions),
        sampling=sampling_of(row.sampling),
        default_model=row.default_model,
        policy=row.policy,
        tags=tuple(row.tags),
        limits=organization_limits_of(row.limits),
        metadata=dict(row.details),
        deleted_at=row.deleted_at,
    )


def organization_row(organization: StoredOrganization, at: float) -> OrganizationRow:
    """Return the row of a new organisation."""
    return _new(OrganizationRow(), organization, at)


def _new(row: _Row, stored: StoredOrganization | StoredTeam, at: float) -> _Row:
    write(row, stored, at)
    return row


def team_of(row: TeamRow) -> StoredTeam:
    """Return what a team's row says."""
    return StoredTeam(
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        created_at=row.created_at,
        disabled=row.disabled,
        models=_tuple(row.models),
        sampling=sampling_of(row.sampling),
        default_model=row.default_model,
        policy=row.policy,
        tags=tuple(row.tags),
        limits=limits_of(row.limits),
        metadata=dict(row.details),
        deleted_at=row.deleted_at,
    )


async def locked_team(session: AsyncSession, team_id: str, within: str | None) -> TeamRow:
    """Return a team that is not deleted, locked until the transaction ends."""
    row = await session.get(TeamRow, team_id, with_for_update=True)
    if row is None or row.deleted_at is not None or within not in (None, row.organization_id):
        raise no_team(team_id)
    return row


def no_organization(organization_id: str) -> OrganizationNotFound:
    """Return the refusal of an id that no organisation has."""
    return OrganizationNotFound(f"There is no organisation with id {organization_id}.")


def no_team(team_id: str) -> TeamNotFound:
    """Return the refusal of an id that no team has."""
    return TeamNotFound(f"There is no team with id {team_id}.")


async def _locked_organization(session: AsyncSession, organization_id: str) -> OrganizationRow:
    row = await session.get(OrganizationRow, organization_id, with_for_update=True)
    if row is None or row.deleted_at is not None:
        raise no_organization(organization_id)
    return row


async def _check_name(
    session: ReadSession, table: type[OrganizationRow] | type[TeamRow], name: str, organization_id: str | None
) -> None:
    query = select(func.count()).select_from(table).where(table.name == name, table.deleted_at.is_(None))
    if table is TeamRow:
        query = query.where(TeamRow.organization_id == organization_id)
    if await session.scalar(query):
        what = "team of this organisation" if table is TeamRow else "organisation"
        raise NameTaken(f"Another {what} is named {name!r}; choose another name.")


async def _alive(session: AsyncSession, table: type[TeamRow], condition: ColumnElement[bool]) -> list[TeamRow]:
    query = select(table).where(condition, table.deleted_at.is_(None)).with_for_update()
    return list(await session.scalars(query))


async def _living_keys(session: AsyncSession, condition: ColumnElement[bool]) -> list[ApiKeyRow]:
    query = select(ApiKeyRow).where(condition, ApiKeyRow.revoked_at.is_(None)).with_for_update()
    return list(await session.scalars(query))


async def _revoke(session: AsyncSession, keys: list[ApiKeyRow], trail: Trail) -> None:
    for row in keys:
        before = key_of(row)
        write_change(session, row, (before, replace(before, revoked_at=int(trail.at))), "revoke", trail)
    revoked = [row.id for row in keys]
    if revoked:
        await session.execute(delete(RetiredSecretRow).where(RetiredSecretRow.key_id.in_(revoked)))


def _bury(session: AsyncSession, row: _Row, stored: StoredOrganization | StoredTeam, trail: Trail) -> None:
    write(row, replace(stored, deleted_at=int(trail.at)), trail.at)
    session.add(audit_row(trail.deleted(stored)))


def _given(*pairs: tuple[Any, str | None]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in pairs if value is not None]


def _paged(
    query: Select[Any], table: type[OrganizationRow] | type[TeamRow], limit: int, after: str | None, order: Order
) -> Select[Any]:
    query = query.where(table.deleted_at.is_(None)).limit(limit + 1)
    if order == "asc":
        return (query.where(table.id > after) if after else query).order_by(table.id.asc())
    return (query.where(table.id < after) if after else query).order_by(table.id.desc())


@contextmanager
def _unique(sentence: str) -> Iterator[None]:
    # Two requests may pass the check for the name at once; the index decides between them.
    try:
        yield
    except IntegrityError as exc:
        raise NameTaken(f"{sentence} Choose another name.") from exc


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
