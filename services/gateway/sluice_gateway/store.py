"""Queries on the gateway's database: API keys."""

from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from sluice.contracts.paging import Order
from sluice.db import AsyncSession, Database
from sluice_gateway.domain.errors import IdempotencyKeyReused, KeyNotFound, KeyRevoked
from sluice_gateway.domain.key_admin import Creation, Repeated
from sluice_gateway.domain.keys import IDEMPOTENCY_WINDOW_S, KeyChange, StoredKey
from sluice_gateway.tables import ApiKeyRow, KeyCreationRow


class KeysMark(NamedTuple):
    """What changes whenever any key does: how many there are, and the sum of their times of change.

    A sum and not the latest, because gateways whose clocks differ may write times that are not the latest.
    """

    total: int
    changed_ms: int


class KeyStore:
    """API keys; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: StoredKey, now: float) -> None:
        """Add a key."""
        async with self._database.write() as session:
            session.add(_row(key, now))

    async def find_creation(self, idempotency_digest: str, request_digest: str, now: float) -> Repeated | None:
        """Return the creation of the last 24 hours that had the same Idempotency-Key.

        Raises:
            IdempotencyKeyReused: that creation asked for something else.
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
            return Repeated(_key(key), row.salt) if key is not None else None

    async def add_repeatable(self, key: StoredKey, creation: Creation, now: float) -> bool:
        """Add a key with its creation; False when another request with the same Idempotency-Key was faster."""
        try:
            async with self._database.write() as session:
                await session.execute(
                    delete(KeyCreationRow).where(KeyCreationRow.created_at <= now - IDEMPOTENCY_WINDOW_S)
                )
                session.add(
                    KeyCreationRow(
                        idempotency_digest=creation.idempotency_digest,
                        request_digest=creation.request_digest,
                        key_id=key.id,
                        salt=creation.salt,
                        created_at=int(now),
                    )
                )
                await session.flush()
                session.add(_row(key, now))
        except IntegrityError:
            return False
        return True

    async def get(self, key_id: str) -> StoredKey:
        """Return one key, or raise KeyNotFound."""
        async with self._database.read() as session:
            row = await session.get(ApiKeyRow, key_id)
            if row is None:
                raise KeyNotFound(f"There is no API key with id {key_id}.")
            return _key(row)

    async def page(self, *, tenant: str | None, limit: int, after: str | None, order: Order) -> list[StoredKey]:
        """Return at most `limit + 1` keys by id, which is by time of creation."""
        query = select(ApiKeyRow).limit(limit + 1)
        if tenant is not None:
            query = query.where(ApiKeyRow.tenant == tenant)
        if order == "asc":
            query = query.order_by(ApiKeyRow.id.asc())
            query = query.where(ApiKeyRow.id > after) if after else query
        else:
            query = query.order_by(ApiKeyRow.id.desc())
            query = query.where(ApiKeyRow.id < after) if after else query
        async with self._database.read() as session:
            return [_key(row) for row in await session.scalars(query)]

    async def change(self, key_id: str, change: KeyChange, now: float) -> StoredKey:
        """Change a key that is not revoked.

        Raises:
            KeyNotFound: there is no such key.
            KeyRevoked: it is revoked.
        """
        async with self._database.write() as session:
            row = await _locked(session, key_id)
            if row.revoked_at is not None:
                raise KeyRevoked(f"The API key {key_id} is revoked and cannot be changed; make a new one.")
            changed = change.applied_to(_key(row))
            row.name, row.policy, row.expires_at = changed.name, changed.policy, changed.expires_at
            row.models = list(changed.models) if changed.models is not None else None
            row.details = dict(changed.metadata)
            row.changed_ms = max(_milliseconds(now), row.changed_ms + 1)
        return changed

    async def revoke(self, key_id: str, now: float) -> StoredKey:
        """Revoke a key for good; revoking it again changes nothing."""
        async with self._database.write() as session:
            row = await _locked(session, key_id)
            if row.revoked_at is None:
                row.revoked_at = int(now)
                row.changed_ms = max(_milliseconds(now), row.changed_ms + 1)
            return _key(row)

    async def all(self) -> list[StoredKey]:
        """Return every key."""
        async with self._database.read() as session:
            return [_key(row) for row in await session.scalars(select(ApiKeyRow))]

    async def mark(self) -> KeysMark:
        """Return what changes whenever any key does."""
        async with self._database.read() as session:
            query = select(func.count().label("total"), func.sum(ApiKeyRow.changed_ms).label("changed_ms"))
            row = (await session.execute(query.select_from(ApiKeyRow))).one()
        return KeysMark(row.total, int(row.changed_ms or 0))


async def _locked(session: AsyncSession, key_id: str) -> ApiKeyRow:
    row = await session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None:
        raise KeyNotFound(f"There is no API key with id {key_id}.")
    return row


def _row(key: StoredKey, now: float) -> ApiKeyRow:
    return ApiKeyRow(
        id=key.id,
        digest=key.digest,
        prefix=key.prefix,
        name=key.name,
        tenant=key.tenant,
        models=list(key.models) if key.models is not None else None,
        policy=key.policy,
        details=dict(key.metadata),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        changed_ms=_milliseconds(now),
    )


def _key(row: ApiKeyRow) -> StoredKey:
    return StoredKey(
        id=row.id,
        digest=row.digest,
        prefix=row.prefix,
        name=row.name,
        tenant=row.tenant,
        created_at=row.created_at,
        models=tuple(row.models) if row.models is not None else None,
        policy=row.policy,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        metadata=dict(row.details),
    )


def _milliseconds(now: float) -> int:
    return int(now * 1000)
