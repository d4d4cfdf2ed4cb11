"""Keeps the key ring up to date from the database and from the messages of other gateway processes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.errors import DependencyUnavailable
from sluice.queues import KEYS_CHANGED, KeysChanged, publish, subscribe
from sluice_gateway.domain.errors import KeyNotFound, KeyRingMissing
from sluice_gateway.domain.ring import MemoryKeyRing
from sluice_gateway.domain.tenancy import Directory, Lineage, StoredOrganization, StoredTeam

_log = logging.getLogger(__name__)
_UNTIL_LOADED_S = 1.0
_EVERYTHING = KeysChanged()
_Read = TypeVar("_Read")


class KeySource(Protocol):
    """Where keys, teams and organisations are read from; raises DependencyUnavailable while it is away."""

    async def lineage(self, key_id: str) -> Lineage:
        """Return one key with its team and organisation, or raise KeyNotFound."""
        ...

    async def team(self, team_id: str) -> StoredTeam | None:
        """Return one team, None when there is none."""
        ...

    async def organization(self, organization_id: str) -> StoredOrganization | None:
        """Return one organisation, None when there is none."""
        ...

    async def all(self) -> Directory:
        """Return everything."""
        ...

    async def mark(self) -> NamedTuple:
        """Return what changes whenever anything does."""
        ...


class KeyRingKeeper:
    """Fills the ring at start, follows changes, and looks for changes that it was not told of every `reload_s`.

    Degraded mode: while the database or Redis is away the ring keeps the keys that it has. A key revoked in another
    process then goes on working here until Redis is back, or until the next look at the database.

    Reads overlap: a slow one must not put an older state over a newer. So what was read is taken only when nothing else
    was taken while it was read; else it is read again.
    """

    def __init__(self, source: KeySource, ring: MemoryKeyRing, redis: Redis, *, reload_s: float) -> None:
        self._source = source
        self._ring = ring
        self._redis = redis
        self._reload_s = reload_s
        self._mark: NamedTuple | None = None
        self._changes = 0

    async def load(self) -> None:
        """Read everything if anything changed since the last time; without the database the ring stays as it is."""
        try:
            mark = await self._source.mark()
            if mark != self._mark:
                self._ring.replace(await self._newest(self._source.all))
                self._mark = mark
        except DependencyUnavailable as exc:
            _log.warning("API keys cannot be read (%s); %d keys stay in use", exc.detail, len(self._ring))

    async def follow(self) -> None:
        """Take over changes as they are announced, until cancelled."""
        async for message in subscribe(self._redis, KEYS_CHANGED, on_connect=self.load):
            await self._apply(message)

    async def look(self) -> None:
        """Look for changes now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._reload_s if self._ring.loaded else _UNTIL_LOADED_S)
            await self.load()

    async def key_changed(self, lineage: Lineage) -> None:
        """Take over a key changed in this process and announce it to the others."""
        await self._changed(KeysChanged(key_id=lineage.key.id), lambda: self._ring.put(lineage))

    async def team_changed(self, team: StoredTeam) -> None:
        """Take over a team changed in this process and announce it to the others."""
        await self._changed(KeysChanged(team_id=team.id), lambda: self._ring.put_team(team))

    async def organization_changed(self, organization: StoredOrganization) -> None:
        """Take over an organisation changed in this process and announce it to the others."""
        message = KeysChanged(organization_id=organization.id)
        await self._changed(message, lambda: self._ring.put_organization(organization))

    async def probe(self) -> None:
        """Raise until the keys were read once."""
        if not self._ring.loaded:
            raise KeyRingMissing("The API keys have not been read from the database yet.")

    async def _changed(self, message: KeysChanged, put: Callable[[], None]) -> None:
        try:
            await self._take_over(message)  # it may have changed again, in another process, since it was written here
        except DependencyUnavailable:
            self._changes += 1
            put()
        try:
            await publish(self._redis, KEYS_CHANGED, message)
        except (RedisError, OSError) as exc:
            _log.warning(
                "a key change cannot be announced (%s); other gateways notice it within %.0f s",
                type(exc).__name__,
                self._reload_s,
            )

    async def _apply(self, message: KeysChanged) -> None:
        if message == _EVERYTHING:
            self._mark = None
            await self.load()
            return
        try:
            await self._take_over(message)
        except DependencyUnavailable as exc:
            self._mark = None
            _log.warning(
                "a changed API key cannot be read (%s); it is read again within %.0f s", exc.detail, self._reload_s
            )

    async def _take_over(self, message: KeysChanged) -> None:
        if (organization_id := message.organization_id) is not None:
            organization = await self._newest(lambda: self._source.organization(organization_id))
            if organization is not None:
                self._ring.put_organization(organization)
        if (team_id := message.team_id) is not None:
            team = await self._newest(lambda: self._source.team(team_id))
            if team is not None:
                self._ring.put_team(team)
        if (key_id := message.key_id) is not None:
            try:
                self._ring.put(await self._newest(lambda: self._source.lineage(key_id)))
            except KeyNotFound:
                self._changes += 1
                self._ring.drop(key_id)

    async def _newest(self, read: Callable[[], Awaitable[_Read]]) -> _Read:
        """Return what was read while nothing was taken over; the caller takes it over before it awaits anything."""
        while True:
            changes = self._changes
            found = await read()
            if changes == self._changes:
                self._changes += 1
                return found
