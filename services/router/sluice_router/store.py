"""Queries on the router's database: the registry, the classifiers and what providers offer."""

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import cast

from sqlalchemy import delete, select, update

from sluice.contracts.paging import Order
from sluice.contracts.registry import RegistryKind, RegistryVersion
from sluice.db import AsyncSession, Database, ReadSession
from sluice_router.domain.errors import IdempotencyKeyReused, VersionNotFound
from sluice_router.domain.offers import Offer, Place
from sluice_router.domain.registry import Entry, Ref, State, applied
from sluice_router.domain.registry_admin import Creation, Decide, Decided, Outcome, Trail
from sluice_router.tables import ClassifierRow, CreationRow, EntryRow, HeadRow, OffersRow, VersionRow

_REPEATABLE_S = 86_400.0
_FIELDS = tuple(name for name in RegistryVersion.model_fields if name not in ("object", "id"))


class RegistryStore:
    """The registry's tables; every method raises DependencyUnavailable while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        """Return the version in force."""
        async with self._database.read() as session:
            return int(await session.scalar(select(HeadRow.version)) or 0)

    async def load(self) -> State:
        """Return the registry in force."""
        async with self._database.read() as session:
            version = int(await session.scalar(select(HeadRow.version)) or 0)
            return State(version, await _entries(session))

    async def change(
        self, decide: Decide, trail: Trail, *, creation: Creation | None = None, since: int | None = None
    ) -> Outcome:
        """Lock the registry, let `decide` look at it, and write what it says as the next version.

        Raises:
            IdempotencyKeyReused: the Idempotency-Key was used for another request.
        """
        async with self._database.write() as session:
            # The first statement takes the lock, on SQLite and on PostgreSQL; whoever comes second sees what the first wrote.
            await session.execute(update(HeadRow).values(version=HeadRow.version))
            version = int(await session.scalar(select(HeadRow.version)) or 0)
            state = State(version, await _entries(session))
            if creation is not None:
                replayed = await _earlier(session, creation, trail.at)
                if replayed is not None:
                    return Outcome(state, replayed)
            decided = decide(state, await _later(session, since))
            if not decided.changes:
                return Outcome(state)
            fresh = applied(state, decided.changes, version + 1, trail.at, trail.actor)
            await _write(session, state, fresh, decided, trail)
            if creation is not None:
                made = decided.changes[0]
                session.add(CreationRow(**creation._asdict(), kind=made.kind, name=made.name, at=trail.at))
            return Outcome(fresh)

    async def versions(self, *, limit: int, after: str | None, order: Order) -> list[RegistryVersion]:
        """Return at most `limit + 1` versions."""
        query = select(VersionRow).limit(limit + 1)
        place = int(after) if after is not None and after.isascii() and after.isdigit() and len(after) < 10 else None
        if order == "asc":
            query = query.order_by(VersionRow.version.asc())
            query = query.where(VersionRow.version > place) if place is not None else query
        else:
            query = query.order_by(VersionRow.version.desc())
            query = query.where(VersionRow.version < place) if place is not None else query
        async with self._database.read() as session:
            return [_version(row) for row in await session.scalars(query)]

    async def get_version(self, version: int) -> RegistryVersion:
        """Return one version, or raise VersionNotFound."""
        async with self._database.read() as session:
            row = await session.get(VersionRow, version)
            if row is None:
                raise VersionNotFound(f"There is no version {version} of the registry.")
            return _version(row)


class ClassifierStore:
    """Trained classifiers; every method raises DependencyUnavailable while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each by name."""
        async with self._database.read() as session:
            found = await session.execute(select(ClassifierRow.name, ClassifierRow.sha256))
            return {name: sha256 for name, sha256 in found}  # noqa: C416 - rows become a plain dict

    async def read(self, name: str) -> bytes | None:
        """Return one as bytes, None when there is none."""
        async with self._database.read() as session:
            row = await session.get(ClassifierRow, name)
            return None if row is None else row.content

    async def save(self, name: str, content: bytes, sha256: str, trail: Trail) -> None:
        """Keep one in place of the earlier one."""
        async with self._database.write() as session:
            made = ClassifierRow(name=name, content=content, sha256=sha256, trained_at=trail.at, trained_by=trail.actor)
            await session.merge(made)


class OffersStore:
    """What providers listed last; every method raises DependencyUnavailable while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> dict[Place, tuple[float, tuple[Offer, ...]]]:
        """Return what each place listed last, and when."""
        async with self._database.read() as session:
            rows = await session.scalars(select(OffersRow))
            return {
                Place.model_validate(row.place): (row.at, tuple(Offer.model_validate(one) for one in row.models))
                for row in rows
            }

    async def save(self, place: Place, at: float, offers: tuple[Offer, ...]) -> None:
        """Keep what a place lists."""
        digest = sha256(place.model_dump_json().encode()).hexdigest()
        models = [offer.model_dump(mode="json") for offer in offers]
        async with self._database.write() as session:
            await session.merge(
                OffersRow(place_digest=digest, place=place.model_dump(mode="json"), models=models, at=at)
            )


async def _entries(session: AsyncSession | ReadSession) -> tuple[Entry, ...]:
    rows = await session.scalars(select(EntryRow).order_by(EntryRow.created_at, EntryRow.kind, EntryRow.name))
    return tuple(
        Entry(_kind(row), row.name, row.spec, row.version, row.created_at, row.updated_at, row.updated_by)
        for row in rows
    )


async def _later(session: AsyncSession, since: int | None) -> Sequence[RegistryVersion]:
    if since is None:
        return ()
    query = select(VersionRow).where(VersionRow.version > since).order_by(VersionRow.version.desc())
    return [_version(row) for row in await session.scalars(query)]


async def _earlier(session: AsyncSession, creation: Creation, now: float) -> Ref | None:
    await session.execute(delete(CreationRow).where(CreationRow.at < now - _REPEATABLE_S))
    row = await session.get(CreationRow, creation.digest)
    if row is None:
        return None
    if row.request_digest != creation.request_digest:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request; take a new one.")
    return Ref(_kind(row), row.name)


async def _write(session: AsyncSession, before: State, after: State, decided: Decided, trail: Trail) -> None:
    for change in decided.changes:
        ref = Ref(change.kind, change.name)
        old, new = before.find(ref), after.find(ref)
        if new is None:
            await session.execute(delete(EntryRow).where(EntryRow.kind == ref.kind, EntryRow.name == ref.name))
        elif old is None:
            session.add(EntryRow(**asdict(new)))
        else:
            fields = asdict(new)
            await session.execute(
                update(EntryRow).where(EntryRow.kind == ref.kind, EntryRow.name == ref.name).values(**fields)
            )
    session.add(
        VersionRow(
            version=after.version,
            at=trail.at,
            actor=trail.actor,
            action=decided.action,
            request_id=trail.request_id,
            changes=[change.model_dump(mode="json") for change in decided.changes],
        )
    )
    await session.execute(update(HeadRow).values(version=after.version))


def _kind(row: EntryRow | CreationRow) -> RegistryKind:
    return cast("RegistryKind", row.kind)  # it was written from one


def _version(row: VersionRow) -> RegistryVersion:
    return RegistryVersion(id=str(row.version), **{name: getattr(row, name) for name in _FIELDS})
