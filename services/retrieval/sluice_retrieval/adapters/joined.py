"""Dynamic batching before an embedding model: requests that come at the same time share one call (F255, F373), of a size that is tuned by itself (F359)."""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sluice_retrieval.domain.embedding import Embedded, Embedder, Lane
from sluice_retrieval.domain.errors import EmbeddingInputInvalid
from sluice_retrieval.domain.tokens import TokenCounter
from sluice_retrieval.metrics import Metrics

_SHRINK = 0.9


class Joining(NamedTuple):
    """`most` texts share a call, and none waits longer than `wait_s` for others.

    With `target_s` the number is tuned between 1 and `most`, so that a call takes no longer than that; 0 leaves it at `most`.
    """

    most: int = 32
    wait_s: float = 0.010
    target_s: float = 0.0


class _Waiting(NamedTuple):
    texts: Sequence[str]
    answer: "asyncio.Future[Embedded]"
    length: int


class JoinedEmbedder:
    """The `Embedder` port: texts of the lane `query` wait for each other while the model is busy; an idle model is asked at once.

    When more wait than may share a call, the one that waits longest goes with those that are nearest to it in length. A text that the model refuses
    fails its own request only: the others are asked again without it. Where the model does not tell the tokens of each text, a call's tokens are
    divided by characters. The number of texts grows by one after each full call that was quick enough, and shrinks by a tenth after one that
    was not (additive increase, multiplicative decrease: Crankshaw et al., "Clipper", 2017, section 4.3.1).
    """

    def __init__(
        self, inner: Embedder, joining: Joining, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner = inner
        self._joining = joining
        self._clock = clock
        self._texts = metrics.joined_texts
        self._shown = metrics.join_limit.labels(inner.name)
        self._limit = joining.most if not joining.target_s else max(1, joining.most // 4)
        self._shown.set(self._limit)
        self._waiting: list[_Waiting] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """Names the model and its version."""
        return self._inner.name

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._inner.dimensions

    @property
    def counter(self) -> TokenCounter:
        """Counts in the model's tokens."""
        return self._inner.counter

    @property
    def limit(self) -> int:
        """How many texts share a call at most, as it is tuned now."""
        return self._limit

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        """Return one vector for each text."""
        if lane != "query" or not texts or len(texts) > self._limit:
            return await self._inner.embed(texts, lane, tenant)
        loop = asyncio.get_running_loop()
        mine = _Waiting(texts, loop.create_future(), max(map(len, texts)))
        self._waiting.append(mine)
        if not self._calls or sum(len(one.texts) for one in self._waiting) >= self._limit:
            self._send()
        elif self._timer is None:
            self._timer = loop.call_later(self._joining.wait_s, self._send)
        try:
            return await mine.answer
        finally:
            if mine in self._waiting:  # who asked has gone before it was sent
                self._waiting.remove(mine)

    async def load(self) -> None:
        """Have the model ready."""
        await self._inner.load()

    def loaded(self) -> bool:
        """Tell whether the model is in memory."""
        return self._inner.loaded()

    async def close(self) -> None:
        """Free the model; who still waits is cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        for one in self._waiting:
            one.answer.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._inner.close()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        chosen = _chosen(self._waiting, self._limit)
        if not chosen:
            return
        self._waiting = [one for one in self._waiting if one not in chosen]
        call = asyncio.get_running_loop().create_task(self._call(chosen))
        self._calls.add(call)
        call.add_done_callback(self._ended)
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._joining.wait_s, self._send)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if self._waiting and not self._calls and not call.cancelled():
            self._send()

    async def _call(self, together: Sequence[_Waiting]) -> None:
        texts = [text for one in together for text in one.texts]
        self._texts.observe(len(texts))
        began = self._clock()
        try:
            found = await self._inner.embed(texts, "query")
        except EmbeddingInputInvalid as exc:
            if len(together) == 1:
                _answer(together[0], exc)
            else:
                await asyncio.gather(*(self._alone(one) for one in together))
            return
        except asyncio.CancelledError:
            for one in together:
                one.answer.cancel()
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it was, each of those who wait gets it
            for one in together:
                _answer(one, exc)
            return
        self._tune(self._clock() - began, len(texts))
        each = found.each or _shares(found.tokens, texts)
        at = 0
        for one in together:
            end = at + len(one.texts)
            _answer(one, Embedded(found.vectors[at:end], sum(each[at:end]), tuple(each[at:end])))
            at = end

    async def _alone(self, one: _Waiting) -> None:
        try:
            _answer(one, await self._inner.embed(one.texts, "query"))
        except Exception as exc:  # noqa: BLE001 - as above
            _answer(one, exc)

    def _tune(self, took_s: float, texts: int) -> None:
        target = self._joining.target_s
        if not target:
            return
        if took_s > target:
            self._limit = max(1, min(self._limit, int(texts * _SHRINK)))
        elif texts >= self._limit:
            self._limit = min(self._joining.most, self._limit + 1)
        self._shown.set(self._limit)


def _chosen(waiting: Sequence[_Waiting], limit: int) -> list[_Waiting]:
    # The longest waiting first, then those nearest to it in length, as far as they fit.
    alive = [one for one in waiting if not one.answer.done()]
    if not alive:
        return []
    first, *others = alive
    chosen, room = [first], limit - len(first.texts)
    for one in sorted(others, key=lambda other: abs(other.length - first.length)):
        if len(one.texts) <= room:
            chosen.append(one)
            room -= len(one.texts)
    return chosen


def _answer(one: _Waiting, found: Embedded | Exception) -> None:
    if one.answer.done():
        return
    if isinstance(found, Exception):
        one.answer.set_exception(found)
    else:
        one.answer.set_result(found)


def _shares(tokens: int, texts: Sequence[str]) -> list[int]:
    # In proportion to characters, and together exactly what was counted.
    whole = sum(map(len, texts)) or 1
    bounds, so_far = [0], 0
    for text in texts:
        so_far += len(text)
        bounds.append(round(tokens * so_far / whole))
    bounds[-1] = tokens
    return [after - before for before, after in itertools.pairwise(bounds)]
