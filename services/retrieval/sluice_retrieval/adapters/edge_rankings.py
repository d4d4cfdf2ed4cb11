"""The embedded vector store for stores that rank in any way: a shard for most of them, and a second one for the others."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sluice_retrieval.adapters.edge import EdgeVectorStore
from sluice_retrieval.adapters.edge_shard import EVERY
from sluice_retrieval.domain.metrics import Ranking
from sluice_retrieval.domain.points import Point, PointPage, Probe, Scope, Scored, Selector

_USUAL = Ranking()


class EdgeRankings:
    """The `VectorStore` port on two Qdrant Edge shards.

    Points of stores that rank by cosine and BM25 lie in the first. The second has room for every metric and weighting; it is made with
    the first store that needs it, so that nobody else pays for it. To add vectors to a shard that exists is no way: one that was killed
    meanwhile could not be opened again (measured: 11 of 60).

    A store lies in one of them, whole. Where a search is over stores of both, what both rank alike is joined by score, and words are weighed
    by their frequency in each.
    """

    def __init__(
        self, first: EdgeVectorStore, others: EdgeVectorStore | None, folder: Path, space: str, graph_from: int
    ) -> None:
        self._first = first
        self._others = others
        self._folder = folder
        self._space = space
        self._graph_from = graph_from
        self._making = asyncio.Lock()

    @classmethod
    async def open(cls, folder: Path, space: str, graph_from: int = 0, memory_bytes: int = 0) -> "EdgeRankings":
        """Open the shards of an embedding space: `folder`, and the one beside it if it was made.

        So many bytes are for vectors of documents that searches over the first name.

        Raises:
            DependencyUnavailable: another process has them open, or they were made for other vectors.
        """
        beside = folder.with_name(f"{folder.name}.ranked")
        first = await EdgeVectorStore.open(folder, space, graph_from=graph_from, memory_bytes=memory_bytes)
        others = await EdgeVectorStore.open(beside, space, EVERY, graph_from) if beside.exists() else None
        return cls(first, others, beside, space, graph_from)

    async def upsert(self, points: Sequence[Point]) -> None:
        """Put points in place."""
        usual = [point for point in points if point.ranking == _USUAL]
        others = [point for point in points if point.ranking != _USUAL]
        await self._first.upsert(usual)
        if others:
            await (await self._made()).upsert(others)

    async def delete(self, selector: Selector) -> None:
        """Remove points."""
        for shard in self._shards():
            await shard.delete(selector)

    async def search(
        self, scope: Scope, probes: Sequence[Probe], limit: int, *, with_vectors: bool = False
    ) -> list[list[Scored]]:
        """Return one ranking for each probe."""
        shards = self._shards_of(scope)
        found = [await shard.search(scope, probes, limit, with_vectors=with_vectors) for shard in shards]
        if len(found) == 1:
            return found[0]
        return [
            sorted((one for ranking in rankings for one in ranking), key=lambda one: -one.score)[:limit]
            for rankings in zip(*found, strict=True)
        ]

    async def count(self, selector: Selector) -> int:
        """Return how many points there are."""
        return sum([await shard.count(selector) for shard in self._shards()])

    async def page(self, selector: Selector, after: str | None, limit: int) -> PointPage:
        """Return points with their vectors."""
        for shard in self._shards()[1:]:
            if await shard.count(selector):
                return await shard.page(selector, after, limit)
        return await self._first.page(selector, after, limit)

    async def document_counts(self) -> dict[str, int]:
        """Return how many points each document has."""
        counts: dict[str, int] = {}
        for shard in self._shards():
            counts |= await shard.document_counts()
        return counts

    async def total(self) -> int:
        """Return how many points there are of all tenants."""
        return sum([await shard.total() for shard in self._shards()])

    async def ping(self) -> None:
        """Raise `DependencyUnavailable` if a shard cannot be used now."""
        for shard in self._shards():
            await shard.ping()

    async def tidy(self) -> bool:
        """Do upkeep if there is any worth doing now; return whether there was."""
        return any([await shard.tidy() for shard in self._shards()])

    async def close(self) -> None:
        """Flush and close the shards."""
        for shard in self._shards():
            await shard.close()

    def _shards(self) -> list[EdgeVectorStore]:
        return [self._first] if self._others is None else [self._first, self._others]

    def _shards_of(self, scope: Scope) -> list[EdgeVectorStore]:
        if self._others is None or set(scope.rankings) <= {_USUAL}:
            return [self._first]
        return [self._others] if _USUAL not in scope.rankings else [self._first, self._others]

    async def _made(self) -> EdgeVectorStore:
        async with self._making:
            if self._others is None:
                self._others = await EdgeVectorStore.open(self._folder, self._space, EVERY, self._graph_from)
            return self._others
