"""The configuration in force: models.yaml and the registry together, kept up to date."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from redis.asyncio import Redis

from sluice.contracts.registry import RegistryStatus
from sluice.errors import DependencyUnavailable
from sluice.queues import REGISTRY_CHANGED, RegistryChanged, publish, subscribe
from sluice.redis import REDIS_DOWN
from sluice_router.adapters.models_file import WatchedFile
from sluice_router.domain.config import ModelsFile
from sluice_router.domain.registry import EMPTY, Merged, State, merge

_log = logging.getLogger(__name__)


class Stored(Protocol):
    """What is asked of the registry's store."""

    async def version(self) -> int:
        """Return the version in force."""
        ...

    async def load(self) -> State:
        """Return the registry in force."""
        ...


class LiveConfig:
    """Holds what models.yaml and the registry make together.

    A change by another router is announced on a channel; the version in the database is looked at now and then as well. Degraded
    modes: while Redis is away changes of others are seen at the next look; while the database is away the registry in
    force stays, and nothing can be changed.
    """

    def __init__(self, file: WatchedFile, store: Stored, redis: Redis, held: Callable[[int], None]) -> None:
        self._file = file
        self._store = store
        self._redis = redis
        self._held = held
        self._of_file = file.current
        self.state = EMPTY
        self.merged = merge(file.current, ())
        self._fresh = asyncio.Event()

    @property
    def current(self) -> ModelsFile:
        """The configuration in force."""
        if self._file.current is not self._of_file:
            self._merge()
        return self.merged.config

    @property
    def file(self) -> ModelsFile:
        """What models.yaml declares."""
        return self._file.current

    async def load(self) -> bool:
        """Read the registry; tell whether it is newer than what was in force.

        Raises:
            DependencyUnavailable: the database does not answer.
        """
        return self.take(await self._store.load())

    def take(self, state: State) -> bool:
        """Put a state in force if it is newer; tell whether it was."""
        if state.version <= self.state.version:
            return False
        self.state = state
        self._merge()
        self._fresh.set()
        return True

    async def announce(self) -> None:
        """Tell other routers of the version in force; while Redis is away they see it at their next look."""
        try:
            await publish(self._redis, REGISTRY_CHANGED, RegistryChanged(version=self.state.version))
        except REDIS_DOWN as exc:
            _log.warning("a change of the registry could not be announced (%s)", type(exc).__name__)

    async def listen(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Follow what other routers announce, until cancelled."""
        async for message in subscribe(self._redis, REGISTRY_CHANGED):
            if message.version > self.state.version:
                await self._follow(changed)

    async def look(self, every_s: float, changed: Callable[[], Awaitable[None]]) -> None:
        """Look at the version in the database now and then, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self._follow(changed)

    async def settle(self, work: Callable[[], Awaitable[None]]) -> None:
        """Find out more of what is new, until cancelled: it is published at once, its health and its price are known later."""
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            await work()

    def status(self) -> RegistryStatus:
        """Return the version in force here, and what is held back."""
        _ = self.current
        return RegistryStatus(
            version=self.state.version, objects=len(self.state.entries), held_back=self.merged.held_back()
        )

    def seen(self) -> Merged:
        """Return what is in force and what is held back."""
        _ = self.current
        return self.merged

    async def _follow(self, changed: Callable[[], Awaitable[None]]) -> None:
        try:
            if await self._store.version() > self.state.version and await self.load():
                await changed()
        except DependencyUnavailable as exc:
            _log.warning("the registry cannot be read (%s); what is in force stays", exc.detail)

    def _merge(self) -> None:
        self._of_file = self._file.current
        self.merged = merge(self._of_file, self.state.entries)
        self._held(len(self.merged.held))
        for one in self.merged.held_back():
            _log.error("%s %s was made through the API and is not in force: %s", one.kind, one.name, one.problem)
