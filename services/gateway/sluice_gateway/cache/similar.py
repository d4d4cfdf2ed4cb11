"""Questions that were asked before and have an answer, found again when they are asked in other words.

A place holds the questions of one name (`domain.questions`: the same words) with all else of their requests equal, so it holds
few, and one look into Redis finds them. Only when there is one to compare are embeddings made, of the two texts.
"""

import asyncio
import base64
import operator
from array import array
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

from sluice.clock import Clock
from sluice.contracts.embeddings import EmbeddingReply, EmbeddingRequest
from sluice.errors import DeadlineExceeded, DependencyUnavailable, SluiceError
from sluice_gateway.domain.questions import Question, read, same

_REST_S = 2.0
_UNHURRIED_S = 10.0  # behind requests, where nobody waits
_MOST_VECTORS = 1024
_MOST_WRITES = 200


class Asked(NamedTuple):
    """A question's text, and the name of its answer among kept answers."""

    text: str
    answer: bytes


class Near(NamedTuple):
    """A question that asks for the same, and the cosine of both embeddings."""

    asked: Asked
    similarity: float


class AskedQuestions(Protocol):
    """Where questions lie; its methods raise DependencyUnavailable while it is away."""

    async def get(self, place: bytes) -> list[Asked]:
        """Return the questions of a place, newest first."""
        ...

    async def put(self, place: bytes, asked: Asked, ttl_s: int) -> None:
        """Keep a question; the place forgets its oldest ones when they are many, and all when nothing comes for `ttl_s`."""
        ...


class Embeddings(Protocol):
    """The service that makes embeddings."""

    async def embed(self, body: EmbeddingRequest, *, tenant: str, timeout_s: float | None = None) -> EmbeddingReply:
        """Return one vector for each text."""
        ...


class SimilarQuestions:
    """The questions of all gateways.

    Degraded mode: what is away or slower than `patience_s` raises `DependencyUnavailable`, for two seconds without another try;
    the request goes on to the model.
    """

    def __init__(
        self, asked: AskedQuestions, embeddings: Embeddings, clock: Clock, *, model: str, patience_s: float
    ) -> None:
        self._asked = asked
        self._embeddings = embeddings
        self._clock = clock
        self._model = model
        self._patience_s = patience_s
        self._rests_until = 0.0
        self._vectors: OrderedDict[str, array[float]] = OrderedDict()
        self._writes: set[asyncio.Task[None]] = set()

    async def find(self, place: bytes, question: Question, threshold: float, *, tenant: str) -> list[Near]:
        """Return the questions that ask for the same, the nearest first.

        Raises:
            DependencyUnavailable: questions or embeddings cannot be had in time.
        """
        if self._clock.monotonic() < self._rests_until:
            raise DependencyUnavailable("Questions in other words are left alone for a moment.")
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._find(place, question, threshold, tenant)
        except (SluiceError, TimeoutError) as exc:
            self._rests_until = self._clock.monotonic() + _REST_S
            raise DependencyUnavailable("Questions in other words cannot be looked for now.") from exc

    async def likeness(self, one: str, other: str, *, tenant: str) -> float:
        """Return the cosine of both texts' embeddings.

        Raises:
            DependencyUnavailable: embeddings cannot be had.
        """
        body = EmbeddingRequest(model=self._model, input=(one, other), encoding_format="base64")
        try:
            reply = await self._embeddings.embed(body, tenant=tenant, timeout_s=_UNHURRIED_S)
        except SluiceError as exc:
            raise DependencyUnavailable("The embedding service does not answer.") from exc
        vectors = {item.index: _vector(item.embedding) for item in reply.data}
        return cosine(vectors[0], vectors[1]) if len(vectors) == 2 else 0.0

    def keep(self, place: bytes, asked: Asked, ttl_s: int) -> None:
        """Keep a question that has got its answer, beside the request."""
        if len(self._writes) >= _MOST_WRITES:
            return
        task = asyncio.get_running_loop().create_task(self._put(self._asked.put(place, asked, ttl_s)))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=2.0)

    async def _find(self, place: bytes, question: Question, threshold: float, tenant: str) -> list[Near]:
        asks_same = []
        for asked in await self._asked.get(place):
            other = read(asked.text)
            if other is not None and same(question, other):
                asks_same.append(asked)
        if not asks_same:
            return []
        own, *others = await self._embedded([question.text, *(asked.text for asked in asks_same)], tenant)
        near = [Near(asked, cosine(own, other)) for asked, other in zip(asks_same, others, strict=True)]
        return sorted((one for one in near if one.similarity >= threshold), key=lambda one: -one.similarity)

    async def _embedded(self, texts: Sequence[str], tenant: str) -> list["array[float]"]:
        known = self._vectors
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        new: dict[str, array[float]] = {}
        if missing:
            body = EmbeddingRequest(model=self._model, input=tuple(missing), encoding_format="base64")
            reply = await self._embeddings.embed(body, tenant=tenant, timeout_s=self._patience_s)
            new = {missing[item.index]: _vector(item.embedding) for item in reply.data}
            if len(new) != len(missing):
                raise DeadlineExceeded("The embedding service did not answer each text once.")
        found = [new[text] if text in new else known[text] for text in texts]
        for text, vector in zip(texts, found, strict=True):
            known[text] = vector
            known.move_to_end(text)
        while len(known) > _MOST_VECTORS:
            known.popitem(last=False)
        return found

    async def _put(self, writing: Coroutine[Any, Any, None]) -> None:
        try:
            await writing
        except DependencyUnavailable:
            self._rests_until = self._clock.monotonic() + _REST_S


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors of one length, 0 when one of them is nothing."""
    lengths = sum(map(operator.mul, one, one)) * sum(map(operator.mul, other, other))
    product: float = sum(map(operator.mul, one, other))
    return product / float(lengths**0.5) if lengths > 0 else 0.0


def _vector(embedding: tuple[float, ...] | str) -> "array[float]":
    if isinstance(embedding, str):
        return array("f", base64.b64decode(embedding))
    return array("f", embedding)
