"""Embedding models and their vectors: each model has a space of its own, so that no ranking mixes two."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from sluice.errors import DependencyUnavailable
from sluice_retrieval.domain.embedding import Embedder
from sluice_retrieval.domain.errors import EmbeddingModelUnknown
from sluice_retrieval.domain.points import OwnedVectorStore, Selector, VectorStore

BUILT_IN = "minilm"
"""The model that is always there, inside a wheel."""

SpaceStatus = Literal["active", "building", "retiring"]
"""`active`: its vectors answer. `building`: they are made beside. `retiring`: they answered until lately."""

Store = TypeVar("Store", bound=VectorStore)


def space_of(model: str, dimensions: int) -> str:
    """Return the id of the space of a model: its name and the length of its vectors."""
    return f"{model}@{dimensions}"


def model_in(space: str) -> tuple[str, int]:
    """Return the name and the dimensions that `space_of` joined."""
    name, _, dimensions = space.rpartition("@")
    return name, int(dimensions)


def slug(space: str) -> str:
    """Return a short name of a space for folders and collections."""
    return hashlib.sha256(space.encode()).hexdigest()[:12]


class Models:
    """The embedding models that this process can ask, by the names under which they answer."""

    def __init__(self, by_name: Mapping[str, Embedder]) -> None:
        self._by_name = dict(by_name)

    def all(self) -> Mapping[str, Embedder]:
        """Return every model by its name."""
        return self._by_name

    def named(self, name: str) -> Embedder:
        """Return a model.

        Raises:
            EmbeddingModelUnknown: there is none of this name; the sentence tells which there are.
        """
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(repr(one) for one in self._by_name)
            raise EmbeddingModelUnknown(f"There is no embedding model {name!r} here; there is {known}.")
        return found

    def of_space(self, space: str) -> Embedder:
        """Return the model whose vectors lie in a space.

        Raises:
            DependencyUnavailable: it is not configured, or makes vectors of another length.
        """
        name, dimensions = model_in(space)
        found = self._by_name.get(name)
        if found is None or found.dimensions != dimensions:
            raise DependencyUnavailable(
                f"Stored vectors were made by {name!r} with {dimensions} numbers each. Keep that model in "
                "SLUICE_RETRIEVAL_EMBEDDING_MODELS until all documents have vectors of the new one."
            )
        return found

    def space(self, name: str) -> str:
        """Return the space of a model."""
        return space_of(name, self.named(name).dimensions)

    async def close(self) -> None:
        """Free all models."""
        for embedder in self._by_name.values():
            await embedder.close()


class VectorSpaces(Protocol):
    """Tells where the vectors of a space are."""

    async def of(self, space: str) -> VectorStore:
        """Return the store of a space."""
        ...


class Spaces(Generic[Store]):
    """Opens the vector store of each space once, when it is first asked for."""

    def __init__(self, make: Callable[[str], Awaitable[Store]]) -> None:
        self._make = make
        self._opened: dict[str, Store] = {}
        self._opening = asyncio.Lock()

    async def of(self, space: str) -> Store:
        """Return the store of a space."""
        found = self._opened.get(space)
        if found is not None:
            return found
        async with self._opening:
            if space not in self._opened:
                self._opened[space] = await self._make(space)
            return self._opened[space]

    def opened(self) -> list[Store]:
        """Return the stores that are open."""
        return list(self._opened.values())

    async def forget(self, space: str) -> None:
        """Close the store of a space."""
        async with self._opening:
            found = self._opened.pop(space, None)
            if found is not None:
                await found.close()

    async def close(self) -> None:
        """Close all stores."""
        for space in list(self._opened):
            await self.forget(space)


class Space(NamedTuple):
    """What a search is done in: vectors, and the model that made them."""

    id: str
    vectors: OwnedVectorStore
    embedder: Embedder


class SpaceState(NamedTuple):
    """How far a space is: `documents` of `of` that are ready have vectors in it; `since` is unix seconds."""

    id: str
    status: SpaceStatus
    since: float
    error: str | None
    documents: int
    of: int


class Lacking(NamedTuple):
    """A ready document without vectors in a space; those in `space` are to be read. It was made ready at `ready_at`."""

    selector: Selector
    space: str
    chunks: int
    ready_at: float


Moved = Literal["moved", "gone", "anew"]
"""What became of a document that was moved: it was deleted meanwhile, or ingested anew and is to be moved again."""


class SpaceRecord(Protocol):
    """What is known of spaces, and which documents are to be moved. Times are unix seconds.

    A move is claimed by one worker at a time, until its lease ends. With the database away every method raises.
    """

    async def ids(self) -> Sequence[str]:
        """Return all spaces that hold vectors."""
        ...

    async def claim_move(self, holder: str, now: float, until: float) -> str | None:
        """Return the space that ready documents are to be moved into if there are any, and this worker may move them."""
        ...

    async def lacking(self, space: str, limit: int, skip: Iterable[str]) -> Sequence[Lacking]:
        """Return ready documents that have no vectors in a space, oldest first, without those to skip."""
        ...

    async def moved(self, document: Lacking, space: str) -> Moved:
        """Note that all of a document is in a space, if it still is what was read."""
        ...

    async def ingest_again(self, document: Lacking, now: float) -> None:
        """Queue a document whose points are not where they should be."""
        ...

    async def switch(self, space: str, now: float) -> bool:
        """Let a space answer from now on, if every ready document is in it; return whether it does."""
        ...

    async def note_error(self, space: str, error: str | None) -> None:
        """Note why a move does not get on, for whoever looks at its progress."""
        ...

    async def note_removal(self, selector: Selector) -> None:
        """Remember that points are to be removed."""
        ...


class EverySpace:
    """Deletes in all spaces that hold vectors: what is gone comes back from none."""

    def __init__(self, record: SpaceRecord, spaces: Spaces[OwnedVectorStore]) -> None:
        self._record = record
        self._spaces = spaces

    async def delete(self, selector: Selector) -> None:
        """Remove points."""
        for space in await self._record.ids():
            await (await self._spaces.of(space)).delete(selector)
