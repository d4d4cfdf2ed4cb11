"""Stream handlers that wait for their database instead of giving their events up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sluice.contracts.base import Reply
from sluice.errors import DependencyUnavailable

_log = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 15.0
Event = TypeVar("Event", bound=Reply)


def patient(
    handle: Callable[[Sequence[Event]], Awaitable[None]], *, first_pause_s: float = 0.5
) -> Callable[[Sequence[Event]], Awaitable[None]]:
    """Return a handler that repeats a batch until the database is back.

    Delivering again and again would move good events to the dead letters.
    """

    async def handle_patiently(events: Sequence[Event]) -> None:
        pause = first_pause_s
        while True:
            try:
                await handle(events)
            except DependencyUnavailable as exc:
                _log.warning("%d events wait: %s", len(events), exc.detail)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                return

    return handle_patiently
