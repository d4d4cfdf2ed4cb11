"""The port to the embedding model."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from sluice_retrieval.domain.tokens import TokenCounter

Lane = Literal["query", "bulk"]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, of length 1 unless a model is configured to keep its own, in the order of the texts, and how many tokens the texts have (special tokens included).

    `each` are the tokens of each text, where the model tells them.
    """

    vectors: tuple[tuple[float, ...], ...]
    tokens: int
    each: tuple[int, ...] = ()


class Embedder(Protocol):
    """Turns texts into vectors.

    A text that is longer than the model's window is read in several windows, and its vector is their mean by tokens:
    nothing is cut off in silence. Work in the lane `bulk` never holds up the lane `query`.
    """

    @property
    def name(self) -> str:
        """Names the model and its version: vectors of different names have nothing in common."""
        ...

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        ...

    @property
    def counter(self) -> TokenCounter:
        """Counts in this model's tokens."""
        ...

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        """Return one vector for each text; with a tenant, what was embedded for it before may come from a cache."""
        ...

    async def load(self) -> None:
        """Have the model ready in memory; `embed` does so by itself if need be."""
        ...

    def loaded(self) -> bool:
        """Tell whether the model is in memory."""
        ...

    async def close(self) -> None:
        """Free the model."""
        ...


class BegunVectors:
    """Vectors of questions that a model is making while other things are done for a search; each text is read once.

    A context manager: what nobody waits for any more at its end is given up.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._read: dict[str, asyncio.Task[Embedded]] = {}

    def begin(self, text: str) -> asyncio.Task[Embedded]:
        """Have a text read, if that was not begun before."""
        if text not in self._read:
            self._read[text] = asyncio.create_task(self._embedder.embed([text], "query"))
        return self._read[text]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._read.values():
            task.cancel()  # one that is done stays as it is
        await asyncio.gather(*self._read.values(), return_exceptions=True)


@dataclass(frozen=True, slots=True)
class OfTenant:
    """An `Embedder` as one tenant asks it."""

    inner: Embedder
    tenant: str

    @property
    def name(self) -> str:
        """Names the model and its version."""
        return self.inner.name

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self.inner.dimensions

    @property
    def counter(self) -> TokenCounter:
        """Counts in this model's tokens."""
        return self.inner.counter

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        """Return one vector for each text."""
        return await self.inner.embed(texts, lane, tenant or self.tenant)

    async def load(self) -> None:
        """Have the model ready in memory."""
        await self.inner.load()

    def loaded(self) -> bool:
        """Tell whether the model is in memory."""
        return self.inner.loaded()

    async def close(self) -> None:
        """Nothing is held: the model belongs to who made it."""
