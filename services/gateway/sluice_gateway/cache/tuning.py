"""Thresholds of questions in other words that follow what was seen: each model's and route's own."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from sluice.clock import Clock
from sluice.contracts.routing import SemanticCache, SemanticTuning
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.threshold import Sample, Tuned, same_numbers, tuned

_LOOK_EVERY_S = 10.0
_MOST_TASKS = 50
_READ_CHARS = 2000


class Samples(Protocol):
    """Where samples lie, the latest 500 of each name; its methods raise DependencyUnavailable while it is away."""

    async def get(self, name: str) -> list[Sample]:
        """Return the samples of a model or route, newest first."""
        ...

    async def put(self, name: str, sample: Sample, policy: SemanticCache) -> None:
        """Keep a sample in front of the others, and under which policy it was taken."""
        ...


class Likeness(Protocol):
    """What compares two texts."""

    async def likeness(self, one: str, other: str, *, tenant: str) -> float:
        """Return the cosine of both texts' embeddings; raises DependencyUnavailable."""
        ...


class Pair(NamedTuple):
    """The kept answer to a question in other words, and the model's own answer, with the cosine of the questions."""

    similarity: float
    kept: str
    own: str


class _Known(NamedTuple):
    looked_at: float
    found: Tuned


class Thresholds:
    """Knows thresholds, and learns from pairs of answers beside the requests.

    A threshold is looked up at most every ten seconds, and only while requests ask for it; a request never waits for that. Degraded mode: without Redis or
    embeddings what was last known stays, at first the policy's own threshold.
    """

    def __init__(
        self,
        samples: Samples,
        likeness: Likeness,
        clock: Clock,
        *,
        draw: Callable[[], float] = random.random,
        on_sample: Callable[[str, bool], None] = lambda _name, _agrees: None,
        on_threshold: Callable[[str, float], None] = lambda _name, _threshold: None,
    ) -> None:
        self._samples = samples
        self._likeness = likeness
        self._clock = clock
        self._draw = draw
        self._on_sample = on_sample
        self._on_threshold = on_threshold
        self._known: dict[tuple[str, SemanticCache], _Known] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, name: str, policy: SemanticCache) -> float:
        """Return the threshold in force for a model or route under a policy."""
        now = self._clock.monotonic()
        known = self._known.get((name, policy))
        if known is None or now - known.looked_at >= _LOOK_EVERY_S:
            known = _Known(now, Tuned(policy.threshold) if known is None else known.found)
            self._known[name, policy] = known
            self._start(self._look(name, policy))
        return known.found.threshold

    def samples(self, tuning: SemanticTuning) -> bool:
        """Tell whether the model answers a question that has a kept answer in other words as well."""
        return self._draw() < tuning.share

    def learn(self, name: str, policy: SemanticCache, pair: Pair, *, tenant: str) -> None:
        """Compare two answers and keep what is found, beside the request."""
        self._start(self._compare(name, policy, pair, tenant))

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= _MOST_TASKS:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, name: str, policy: SemanticCache) -> None:
        try:
            found = tuned(await self._samples.get(name), policy)
        except DependencyUnavailable:
            return
        self._known[name, policy] = _Known(self._clock.monotonic(), found)
        self._on_threshold(name, found.threshold)

    async def _compare(self, name: str, policy: SemanticCache, pair: Pair, tenant: str) -> None:
        if policy.tune is None:
            return
        kept, own = pair.kept[:_READ_CHARS], pair.own[:_READ_CHARS]
        try:
            agrees = kept == own or (
                same_numbers(kept, own)
                and await self._likeness.likeness(kept, own, tenant=tenant) >= policy.tune.agreement
            )
            await self._samples.put(name, Sample(pair.similarity, agrees), policy)
        except DependencyUnavailable:
            return
        self._on_sample(name, agrees)
