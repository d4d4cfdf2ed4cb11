"""Asks every deployment whether it answers."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sluice.auth import ServiceTokens
from sluice.clients.http import Transport
from sluice.secrets import ProviderSecrets
from sluice_router.adapters.credentials import MissingKey, headers_of
from sluice_router.domain.health import HealthBook
from sluice_router.domain.publication import Probed

_CLIENT_ERROR = 400
_SERVER_ERROR = 500
_TOO_MANY = 429
_LOOK_S = 1.0


@dataclass(slots=True)
class Prober:
    """Probes each deployment at its own pace and notes each result when it comes, so that one that hangs delays no other's.

    `changed` is awaited when a health changed, and not before the first round is done: until then too little is known to tell anyone.
    """

    transport: Transport
    tokens: ServiceTokens
    secrets: ProviderSecrets
    targets: Callable[[], Sequence[Probed]]
    changed: Callable[[], Awaitable[None]]
    counted: Callable[[str], None]
    every_s: float
    starting_s: float = 1.0
    book: HealthBook = field(default_factory=HealthBook)
    first_round: asyncio.Event = field(default_factory=asyncio.Event)
    _due: dict[str, float] = field(
        default_factory=dict
    )  # when each is asked next, on the loop's clock; never while it is asked

    async def run(self) -> None:
        """Probe until cancelled.

        The pause of a deployment is short while it may be starting, and jittered so that routers do not fall into step.
        """
        loop = asyncio.get_running_loop()
        await self.round()
        async with asyncio.TaskGroup() as probes:
            while True:
                targets, now = self._known(), loop.time()
                for target in targets:
                    if self._due.get(target.id, now) <= now:
                        self._due[target.id] = math.inf
                        probes.create_task(self._probe(target))
                soonest = min((self._due[target.id] for target in targets), default=math.inf)
                # Of a thousand deployments one is due every few milliseconds: they are asked in groups.
                await asyncio.sleep(min(max(soonest - now, self.starting_s / 4), _LOOK_S))

    async def round(self) -> None:
        """Probe every deployment once, all at the same time."""
        await asyncio.gather(*(self._probe(target) for target in self._known()))
        self.first_round.set()

    def _known(self) -> Sequence[Probed]:
        targets = self.targets()
        known = {target.id for target in targets}
        self.book.forget_except(known)
        for gone in self._due.keys() - known:
            del self._due[gone]
        return targets

    async def _probe(self, target: Probed) -> None:
        self._due[target.id] = math.inf
        problem = await self._problem(target)
        changed = self.book.note(target.id, problem)
        pause = min(self.every_s, self.starting_s) if self.book.is_unsettled(target.id) else self.every_s
        self._due[target.id] = asyncio.get_running_loop().time() + pause * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        self.counted("ok" if problem is None else "failed")
        if changed and self.first_round.is_set():
            await self.changed()

    async def _problem(self, target: Probed) -> str | None:
        # None when it answers; else a sentence without anything secret.
        try:
            headers = headers_of(target.auth, target.provider, self.tokens, self.secrets)
        except MissingKey as exc:
            return str(exc)
        try:
            answer = await self.transport.send("GET", target.url, headers, None, target.check.timeout_s)
        except TimeoutError:
            return f"no answer to GET {target.check.path} within {target.check.timeout_s:g} s"
        except OSError:
            return "it cannot be reached"
        # A provider that is busy is alive: the gateway rests a deployment that answers 429 by itself.
        # One that wants signatures is asked without: that it refuses is a sign of life.
        refused = _SERVER_ERROR if target.auth.kind == "aws" else _CLIENT_ERROR
        alive = answer.status < refused or answer.status == _TOO_MANY
        return None if alive else f"GET {target.check.path} answered {answer.status}"
