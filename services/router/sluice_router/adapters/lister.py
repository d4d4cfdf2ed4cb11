"""Asks providers which models they offer, for the models with a star in models.yaml and in the registry."""

import asyncio
import json
import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sluice.auth import ServiceTokens
from sluice.clients.http import Transport
from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice.secrets import ProviderSecrets
from sluice_router.adapters.credentials import MissingKey, headers_of
from sluice_router.domain.config import ModelsFile
from sluice_router.domain.offers import MOST, Listed, Offer, Place, Unfolded, listed, page_address, places, unfolded

_log = logging.getLogger(__name__)
_WITHIN_S = 10.0
_AGAIN_S = 10.0  # after a failure
_LOOK_S = 1.0
_OK = 200
_MOST_BYTES = 16 * 1024 * 1024
_MOST_PAGES = 20


class Kept(Protocol):
    """Where the last listing of each place outlives a restart."""

    async def load(self) -> dict[Place, tuple[float, tuple[Offer, ...]]]:
        """Return what each place listed last, and when."""
        ...

    async def save(self, place: Place, at: float, offers: tuple[Offer, ...]) -> None:
        """Keep what a place lists."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a place's listing: since when (unix seconds), how many models it has, and why the last question failed."""

    place: Place
    listed_at: float | None
    models: int
    problem: str | None


@dataclass(slots=True)
class Lister:
    """Knows what places offer, and asks each again now and then.

    Degraded mode: what a place listed last counts until it answers again, also after a restart; a place that never answered offers
    nothing. Of the database only the memory of earlier listings is needed: while it is away, they are known since the start.
    """

    transport: Transport
    tokens: ServiceTokens
    secrets: ProviderSecrets
    clock: Clock
    kept: Kept
    current: Callable[[], ModelsFile]
    counted: Callable[[str], None]
    every_s: float
    _offers: dict[Place, tuple[Offer, ...]] = field(default_factory=dict)
    _listed_at: dict[Place, float] = field(default_factory=dict)
    _problems: dict[Place, str] = field(default_factory=dict)
    _due: dict[Place, float] = field(default_factory=dict)  # on the loop's clock
    _last: tuple[ModelsFile, Unfolded] | None = None

    def unfolded(self) -> Unfolded:
        """Return the configuration in force with what places offer in the place of models with a star."""
        config = self.current()
        if self._last is None or self._last[0] is not config:
            self._last = config, unfolded(config, self._offers)
        return self._last[1]

    def asked(self) -> Mapping[Place, Asked]:
        """Return what is known of each place that is asked."""
        return {
            place: Asked(place, self._listed_at.get(place), len(self._offers.get(place, ())), self._problems.get(place))
            for place in places(self.current())
        }

    async def remember(self) -> None:
        """Take what was listed before a restart."""
        try:
            for place, (at, offers) in (await self.kept.load()).items():
                self._offers[place], self._listed_at[place] = offers, at
        except DependencyUnavailable as exc:
            _log.warning("what providers offered earlier cannot be read (%s); they are asked now", exc.detail)
        self._last = None

    async def run(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Ask until cancelled: a place that is new at once, each again at its time, one that failed sooner."""
        while True:
            if await self.round():
                await changed()
            await asyncio.sleep(_LOOK_S)

    async def round(self) -> bool:
        """Ask the places whose time has come, all at the same time; tell whether one offers something else than before."""
        now, wanted = asyncio.get_running_loop().time(), places(self.current())
        for gone in self._due.keys() - set(wanted):
            del self._due[gone]
        due = [place for place in wanted if self._due.get(place, now) <= now]
        changed = any(await asyncio.gather(*map(self._ask, due)))
        if changed:
            self._last = None
        return changed

    async def _ask(self, place: Place) -> bool:
        # Tells whether it offers something else than before.
        pause, self._due[place] = self.every_s, math.inf
        try:
            async with asyncio.timeout(_WITHIN_S):
                offers = await self._listing(place)
        except (MissingKey, ValueError, TimeoutError, OSError) as exc:
            said = _said(exc)
            if self._problems.get(place) != said:
                _log.error("%s did not say which models it offers: %s", place.base_url, said)
            self._problems[place] = said
            self.counted("failed")
            pause = min(pause, _AGAIN_S)
            changed = False
        else:
            self._problems.pop(place, None)
            self.counted("ok")
            changed = offers != self._offers.get(place)
            self._offers[place], self._listed_at[place] = offers, self.clock.now()
            if changed:
                await self._keep(place, offers)
        self._due[place] = asyncio.get_running_loop().time() + pause * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        return changed

    async def _keep(self, place: Place, offers: tuple[Offer, ...]) -> None:
        try:
            await self.kept.save(place, self._listed_at[place], offers)
        except DependencyUnavailable as exc:
            _log.warning("what %s offers could not be kept (%s)", place.base_url, exc.detail)

    async def _listing(self, place: Place) -> tuple[Offer, ...]:
        headers = headers_of(place.auth, place.provider, self.tokens, self.secrets)
        found: dict[str, Offer] = {}
        after: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._page(place, after, headers)
            found |= {offer.id: offer for offer in page.offers}
            after = page.after
            if after is None or len(found) >= MOST:
                break
        if len(found) > MOST:
            _log.warning("%s lists more than %d models; the rest is passed over", place.base_url, MOST)
        return tuple(found[name] for name in sorted(found)[:MOST])

    async def _page(self, place: Place, after: str | None, headers: dict[str, str]) -> Listed:
        answer = await self.transport.send("GET", page_address(place, after), headers, None, _WITHIN_S)
        if answer.status != _OK:
            raise ValueError(f"GET /models answered {answer.status}")
        if len(answer.body) > _MOST_BYTES:
            raise ValueError(f"GET /models answered more than {_MOST_BYTES} bytes")
        try:
            return listed(place, json.loads(answer.body))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise ValueError("GET /models answered no JSON") from exc


def _said(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return f"no answer to GET /models within {_WITHIN_S:g} s"
    return "it cannot be reached" if isinstance(exc, OSError) else str(exc)
