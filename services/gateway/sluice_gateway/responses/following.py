"""Tells how a response in the background goes on, for as long as somebody listens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.responses import UNFINISHED, StoredResponse
from sluice_gateway.translate.responses.retold import events_of, written

_FIRST_LOOK_S = 0.1
_RAREST_LOOK_S = 1.0
_SIGN_OF_LIFE = b": waiting\n\n"


class Follower:
    """Looks at responses until they have ended, at most for `longest_s`, and shows a sign of life every `quiet_s` seconds.

    Degraded mode: while the database is away there are signs of life only.
    """

    def __init__(
        self,
        get: Callable[[str, str], Awaitable[StoredResponse | None]],
        clock: Clock,
        *,
        longest_s: float,
        quiet_s: float = 10.0,
    ) -> None:
        self._get = get
        self._clock = clock
        self._longest_s = longest_s
        self._quiet_s = quiet_s

    async def events(self, tenant: str, response_id: str, starting_after: int) -> AsyncIterator[bytes]:
        """Yield the events after that number as they come, and nothing now and then; it ends when the response has, or is deleted."""
        until = self._clock.monotonic() + self._longest_s
        told, said_at, pause = starting_after, self._clock.monotonic(), _FIRST_LOOK_S
        while True:
            try:
                found = await self._get(tenant, response_id)
            except DependencyUnavailable:
                unfinished, events = True, []
            else:
                if found is None:
                    return
                response = orjson.loads(found.response)
                unfinished, events = response.get("status") in UNFINISHED, events_of(response)
            now = self._clock.monotonic()
            if len(events) > told + 1:
                yield written(events, told)
                told, said_at = len(events) - 1, now
            elif now - said_at >= self._quiet_s:
                yield _SIGN_OF_LIFE
                said_at = now
            else:
                yield b""
            if not unfinished or now >= until:
                return
            await asyncio.sleep(pause)
            pause = min(_RAREST_LOOK_S, pause * 1.5)
