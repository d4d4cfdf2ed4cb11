"""Queries on the gateway's database: API keys."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from sluice.contracts.paging import Order
from sluice.db import AsyncSession, Database, ReadSession
from sluice_gateway.audit_store import audit_row
from sluice_gateway.domain.audit import Trail
from sluice_gateway.domain.errors import (
    IdempotencyKeyReused,
    KeyNotFound,
    KeyRevoked,
    OrganizationNotFound,
    PlacementRefused,
)
from sluice_gateway.domain.key_admin import Creation, Make, Placement, Repeated
from sluice_gateway.domain.keys import IDEMPOTENCY_WINDOW_S, RetiredSecret, StoredKey
from sluice_gateway.domain.tenancy import Directory, Lineage, StoredOrganization, StoredTeam
from sluice_gateway.rows import key_of, write, write_change
from sluice_gateway.tables import ApiKeyRow, KeyCreationRow, OrganizationRow, RetiredSecretRow, TeamRow
from sluice_gateway.tenancy_store import no_organization, no_team, organization_of, organization_row, team_of

# columns in place of rows: with a hundred thousand keys that is half the time
_KEY = tuple(getattr(ApiKeyRow, one.key) for one in ApiKeyRow.__mapper__.column_attrs)
_AT_ONCE = 500


class KeysMark(NamedTuple):
    """What changes whenever any key, team or organisation does: how many there are, and the sums of their times of change.

    A sum and not the latest, because gateways whose clocks differ may write times that are not the latest.
    """

    keys: tuple[int, int]
    teams: tuple[int, int]
    organizations: tuple[int, int]


class KeyStore:
    """API keys; every method raises DependencyUnavailable when the database is away.

    `within` is the only organisation that may be looked at, None all: a key elsewhere is not found.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, placement: Placement, make: Make, trail: Trail, creation: Creation | None = None
    ) -> Lineage | None:
        """Add the key that `make` makes for its organisation; None when another request with the same Idempotency-Key was faster.

        Raises:
            OrganizationNotFound, TeamNotFound, PlacementRefused: it cannot stand where it should.
        """
        try:
            async with self._database.write() as session:
                organization, team = await _placed(session, placement, trail)
                key = make(organization)
                if creation is not None:
                    await _remember(session, creation, key, trail)
                row = ApiKeyRow()
                write(row, key, trail.at)
                session.add(row)
                session.add(audit_row(trail.made(key)))
        except IntegrityError:
            if creation is None:
                raise
            return None
        return Lineage(key, team, organization)

    async def find_creation(self, idempotency_digest: str, request_digest: str, now: float) -> Repeated | None:
        """Return the creation of the last 24 hours that had the same Idempotency-Key.

        Raises:
            IdempotencyKeyReused: that creation asked for something else, or its secret was replaced since.
        """
        async with self._database.read() as session:
            row = await session.get(KeyCreationRow, idempotency_digest)
            if row is None or row.created_at <= now - IDEMPOTENCY_WINDOW_S:
                return None
            if row.request_digest != request_digest:
                raise IdempotencyKeyReused(
                    "This Idempotency-Key was used within the last 24 hours for another request; send a new one."
                )
            key = await session.get(ApiKeyRow, row.key_id)
            if key is not None and key.rotated_at is not None:
                raise IdempotencyKeyReused(
                    f"The key that this Idempotency-Key made ({key.id}) has been rotated since, so that its first secret is over; "
                    "send a new Idempotency-Key."
                )
            return Repeated(key_of(key), row.salt) if key is not None else None

    async def get(self, key_id: str, within: str | None = None) -> StoredKey:
        """Return one key, or raise KeyNotFound."""
        async with self._database.read() as session:
            return key_of(_found(await session.get(ApiKeyRow, key_id), key_id, within))

    async def page(
        self,
        *,
        tenant: str | None,
        organization_id: str | None,
        team_id: str | None,
        limit: int,
        after: str | None,
        order: Order,
    ) -> list[StoredKey]:
        """Return at most `limit + 1` keys by id, which is by time of creation."""
        query = select(ApiKeyRow).limit(limit + 1)
        for column, value in (
            (ApiKeyRow.tenant, tenant),
            (ApiKeyRow.organization_id, organization_id),
            (ApiKeyRow.team_id, team_id),
        ):
            if value is not None:
                query = query.where(column == value)
        if order == "asc":
            query = query.order_by(ApiKeyRow.id.asc())
            query = query.where(ApiKeyRow.id > after) if after else query
        else:
            query = query.order_by(ApiKeyRow.id.desc())
            query = query.where(ApiKeyRow.id < after) if after else query
        async with self._database.read() as session:
            return [key_of(row) for row in await session.scalars(query)]

    async def change(
        self, key_id: str, within: str | None, change: Callable[[StoredKey], StoredKey], trail: Trail
    ) -> Lineage:
        """Change a key that is not revoked.

        Raises:
            KeyNotFound: there is no such key.
            KeyRevoked: it is revoked.
            TeamNotFound: the team that it is to be in is not one of its organisation.
        """
        async with self._database.write() as session:
            row = await _locked(session, key_id, within)
            before = key_of(row)
            after = change(before)
            if after.team_id not in (None, before.team_id):
                await _shared_team(session, after.team_id, after.organization_id)
            write_change(session, row, (before, after), "change", trail)
            await session.flush()
            return await _lineage(session, row)

    async def rotate(
        self, key_id: str, within: str | None, change: Callable[[StoredKey], StoredKey], grace_s: int, trail: Trail
    ) -> Lineage:
        """Replace the secret of a key that is not revoked; the old one, and those before it, work for another `grace_s` seconds at most."""
        async with self._database.write() as session:
            row = await _locked(session, key_id, within)
            before = key_of(row)
            after = change(before)
            await _retire(session, before, int(trail.at) + grace_s if grace_s else None)
            write_change(session, row, (before, after), "rotate", trail)
            await session.flush()
            return await _lineage(session, row)

    async def revoke(self, key_id: str, within: str | None, trail: Trail) -> Lineage:
        """Revoke a key for good; revoking it again changes nothing."""
        async with self._database.write() as session:
            row = _found(await session.get(ApiKeyRow, key_id, with_for_update=True), key_id, within)
            if row.revoked_at is None:
                before = key_of(row)
                write_change(session, row, (before, replace(before, revoked_at=int(trail.at))), "revoke", trail)
                await session.execute(delete(RetiredSecretRow).where(RetiredSecretRow.key_id == key_id))
                await session.flush()
            return await _lineage(session, row)

    async def lineage(self, key_id: str) -> Lineage:
        """Return one key with its team and organisation, or raise KeyNotFound."""
        async with self._database.read() as session:
            return await _lineage(session, _found(await session.get(ApiKeyRow, key_id), key_id, None))

    async def organization(self, organization_id: str) -> StoredOrganization | None:
        """Return one organisation, a deleted one as well."""
        async with self._database.read() as session:
            row = await session.get(OrganizationRow, organization_id)
            return None if row is None else organization_of(row)

    async def team(self, team_id: str) -> StoredTeam | None:
        """Return one team, a deleted one as well."""
        async with self._database.read() as session:
            row = await session.get(TeamRow, team_id)
            return None if row is None else team_of(row)

    async def all(self) -> Directory:
        """Return every organisation, team and key."""
        async with self._database.read() as session:
            # Keys first: what a key stands in was there before it, so it is there in what is read after it.
            rows = (await session.execute(select(*_KEY))).all()
            retired: defaultdict[str, list[RetiredSecret]] = defaultdict(list)
            for secret in await session.scalars(select(RetiredSecretRow)):
                retired[secret.key_id].append(RetiredSecret(secret.digest, secret.valid_until))
            teams = [team_of(row) for row in await session.scalars(select(TeamRow))]
            organizations = [organization_of(row) for row in await session.scalars(select(OrganizationRow))]
        keys = []
        for place, row in enumerate(rows, start=1):
            keys.append(key_of(row, retired.get(row.id, ())))
            if place % _AT_ONCE == 0:
                await asyncio.sleep(0)  # requests are not to wait for a hundred thousand keys
        return Directory(organizations, teams, keys)

    async def mark(self) -> KeysMark:
        """Return what changes whenever any key, team or organisation does."""
        async with self._database.read() as session:
            keys, teams, organizations = [
                await _changes(session, table) for table in (ApiKeyRow, TeamRow, OrganizationRow)
            ]
        return KeysMark(keys, teams, organizations)


async def _placed(
    session: AsyncSession, placement: Placement, trail: Trail
) -> tuple[StoredOrganization, StoredTeam | None]:
    team: StoredTeam | None = None
    organization_id = placement.organization_id
    if placement.team_id is not None:
        team = await _shared_team(session, placement.team_id, organization_id)
        organization_id = team.organization_id
    if organization_id is None:
        if placement.tenant is None:
            raise AssertionError("a placement says something")
        row = await _of_tenant(session, placement.tenant, placement.new_id, trail)
    else:
        found = await session.get(OrganizationRow, organization_id, with_for_update={"read": True})
        if found is None:
            raise no_organization(organization_id)
        row = found
    if row.deleted_at is not None:
        raise OrganizationNotFound(f"The organisation {row.id} (tenant {row.tenant!r}) is deleted.")
    if placement.tenant not in (None, row.tenant):
        raise PlacementRefused(f"The organisation {row.id} has the tenant {row.tenant!r}, not {placement.tenant!r}.")
    return organization_of(row), team


async def _of_tenant(session: AsyncSession, tenant: str, new_id: str, trail: Trail) -> OrganizationRow:
    query = select(OrganizationRow).where(OrganizationRow.tenant == tenant).with_for_update(read=True)
    row = (await session.scalars(query)).first()
    if row is not None:
        return row
    made = StoredOrganization(id=new_id, tenant=tenant, name=tenant, created_at=int(trail.at))
    try:
        async with session.begin_nested():
            session.add(organization_row(made, trail.at))
    except IntegrityError:  # another request was faster, or an organisation has this name and another tenant
        pass
    else:
        session.add(audit_row(trail.made(made)))
    row = (await session.scalars(query)).first()
    if row is None:
        raise PlacementRefused(
            f"An organisation is named {tenant!r} and has another tenant; name it with `organization_id`."
        )
    return row


async def _remember(session: AsyncSession, creation: Creation, key: StoredKey, trail: Trail) -> None:
    await session.execute(delete(KeyCreationRow).where(KeyCreationRow.created_at <= trail.at - IDEMPOTENCY_WINDOW_S))
    session.add(
        KeyCreationRow(
            idempotency_digest=creation.idempotency_digest,
            request_digest=creation.request_digest,
            key_id=key.id,
            salt=creation.salt,
            created_at=int(trail.at),
        )
    )
    await session.flush()


async def _locked(session: AsyncSession, key_id: str, within: str | None) -> ApiKeyRow:
    row = _found(await session.get(ApiKeyRow, key_id, with_for_update=True), key_id, within)
    if row.revoked_at is not None:
        raise KeyRevoked(f"The API key {key_id} is revoked and cannot be changed; make a new one.")
    return row


def _found(row: ApiKeyRow | None, key_id: str, within: str | None) -> ApiKeyRow:
    if row is None or within not in (None, row.organization_id):
        raise KeyNotFound(f"There is no API key with id {key_id}.")
    return row


async def _shared_team(session: AsyncSession, team_id: str, organization_id: str | None) -> StoredTeam:
    row = await session.get(TeamRow, team_id, with_for_update={"read": True})
    if row is None or row.deleted_at is not None or organization_id not in (None, row.organization_id):
        raise no_team(team_id)
    return team_of(row)


async def _retire(session: AsyncSession, key: StoredKey, until: int | None) -> None:
    # Earlier secrets live no longer than the one that goes now: who rotates a stolen key means all of them.
    earlier = RetiredSecretRow.key_id == key.id
    if until is None:
        await session.execute(delete(RetiredSecretRow).where(earlier))
        return
    longer = update(RetiredSecretRow).where(earlier, RetiredSecretRow.valid_until > until)
    await session.execute(longer.values(valid_until=until))
    session.add(RetiredSecretRow(digest=key.digest, key_id=key.id, valid_until=until))


async def _lineage(session: ReadSession, row: ApiKeyRow) -> Lineage:
    secrets = await session.scalars(select(RetiredSecretRow).where(RetiredSecretRow.key_id == row.id))
    retired = [RetiredSecret(secret.digest, secret.valid_until) for secret in secrets]
    team = await session.get(TeamRow, row.team_id) if row.team_id is not None else None
    organization = await session.get(OrganizationRow, row.organization_id)
    assert organization is not None  # a foreign key
    return Lineage(key_of(row, retired), team_of(team) if team else None, organization_of(organization))


async def _changes(session: ReadSession, table: Any) -> tuple[int, int]:
    query = select(func.count().label("total"), func.sum(table.changed_ms).label("changed_ms")).select_from(table)
    row = (await session.execute(query)).one()
    return row.total, int(row.changed_ms or 0)
