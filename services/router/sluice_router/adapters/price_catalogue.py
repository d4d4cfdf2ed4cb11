"""Prices of providers' models from the package genai-prices, looked up in a process of their own."""

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Sequence

from pydantic import TypeAdapter, ValidationError

from sluice.clock import Clock
from sluice.contracts.routing import Price
from sluice_router.domain.config import ModelConfig, ModelsFile
from sluice_router.domain.price_config import price_at
from sluice_router.domain.price_list import Listing, Wanted, listed_at, wanted_of

_log = logging.getLogger(__name__)
_WITHIN_S = 60.0
_LOOK_S = 10.0
_SHORTEST_S = 0.05
_MODULE = "sluice_router.adapters.genai_price_list"
_LISTINGS = TypeAdapter(tuple[Listing, ...])
_WANTED = TypeAdapter(tuple[Wanted, ...])


class PriceCatalogue:
    """Knows what the package says of the models in the file.

    The package's list takes half a second and 75 MB to load, so a child process reads it and tells what is asked for; a file that
    says all its prices needs none. Nothing is fetched: the list is as old as the installed package. Degraded mode: when the list
    cannot be read, models without a price in the file have none.
    """

    def __init__(self) -> None:
        self._known: dict[Wanted, Listing] = {}
        self.ready = asyncio.Event()

    async def learn(self, config: ModelsFile, now: float) -> None:
        """Look up what is not known yet of a file's models, and log which have no price at a time."""
        wanted = {one for model in config.models for one in wanted_of(model)} - self._known.keys()
        try:
            if wanted:
                await self._look_up(sorted(wanted, key=str))
        finally:
            self.ready.set()  # whatever happened: models without a price are better than none
        unknown = [
            one.name
            for one in config.models
            if (price_at(one.price, one.price_changes, now) or self.price(one, now)) is None
        ]
        if unknown:
            _log.warning("nobody knows what %s cost: give them a `price` in models.yaml", ", ".join(unknown))

    async def follow(
        self, current: Callable[[], ModelsFile], clock: Clock, turned: Callable[[], Awaitable[None]]
    ) -> None:
        """Learn of the file in force, and then tell whenever a price begins or ends to hold, until cancelled."""
        await self.learn(current(), clock.now())
        while True:
            turn = self.next_turn(current(), clock.now())
            await asyncio.sleep(_LOOK_S if turn is None else min(_LOOK_S, max(_SHORTEST_S, turn - clock.now())))
            if turn is not None and turn <= clock.now():
                await turned()

    def price(self, model: ModelConfig, now: float) -> Price | None:
        """Return what the first of a model's places costs that the list knows."""
        for wanted in wanted_of(model):
            found = listed_at(self._known.get(wanted, ()), now)
            if found is not None:
                return found
        return None

    def next_turn(self, config: ModelsFile, now: float) -> float | None:
        """Return when a price of the file's models changes next."""
        turns = [change.at for model in config.models for change in model.price_changes if change.at > now]
        for model in config.models:
            for wanted in wanted_of(model):
                turns += [turn for dated in self._known.get(wanted, ()) if (turn := dated.next_turn(now)) is not None]
        return min(turns, default=None)

    async def _look_up(self, wanted: Sequence[Wanted]) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                found = _LISTINGS.validate_json(await _asked(_WANTED.dump_json(tuple(wanted))))
        except (OSError, TimeoutError, ValidationError) as exc:
            _log.error("the list of prices cannot be read (%s); models without a price in the file have none", exc)
            return
        self._known |= dict(zip(wanted, found, strict=True))


async def _asked(question: bytes) -> bytes:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", _MODULE, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        answer, said = await child.communicate(question)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise OSError(said.decode(errors="replace").strip().rpartition("\n")[2] or f"status {child.returncode}")
    return answer
