"""What waits is brought on: documents that the queue never got, and points that are still to be removed."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from sluice.clock import Clock
from sluice_retrieval.domain.dispatch import Dispatch
from sluice_retrieval.domain.language import ENGLISH, language_of
from sluice_retrieval.domain.library import Backlog
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.domain.questions.understanding import LanguageTeller

_BATCH = 100
_RETRY_S = 5.0
_RESTEMMED = 10


class Remover(Protocol):
    """Removes points wherever they are."""

    async def delete(self, selector: Selector) -> None:
        """Remove points; none there is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """Has workers told of documents that wait for too long, and removes points of deleted and replaced ones.

    With the vector store away, removals stay
    noted, and searches go on hiding what they name.
    """

    backlog: Backlog
    dispatch: Dispatch
    vectors: Remover
    clock: Clock

    async def send_due(self) -> int:
        """Have workers told of what is due; returns how many these are."""
        now = self.clock.now()
        found = await self.backlog.due(now, now + _RETRY_S, _BATCH)
        for waiting in found:
            self.dispatch.tell(waiting)
        return len(found)

    async def remove_points(self) -> int:
        """Do noted removals; returns how many were done."""
        found = await self.backlog.removals(_BATCH)
        for removal in found:
            await self.vectors.delete(removal.selector)
            await self.backlog.removed(removal.id)
        return len(found)

    async def restem(self, languages: LanguageTeller) -> bool:
        """Bring a few documents of older releases on whose terms were all made as English; returns whether there are more.

        Those in other languages are ingested again, ten at a time: a document is not found while it is.
        """
        if await self.backlog.waiting() >= _RESTEMMED:
            return True
        found = await self.backlog.old_stems(_RESTEMMED)
        told = await asyncio.to_thread(lambda: [language_of(text) or languages.language_of(text) for _, text in found])
        again = [one for (one, _), language in zip(found, told, strict=True) if language not in (None, ENGLISH)]
        right = [one for (one, _), language in zip(found, told, strict=True) if language in (None, ENGLISH)]
        await self.backlog.restem(again, right, self.clock.now())
        return bool(found)
