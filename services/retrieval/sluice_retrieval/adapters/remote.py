"""The vector store as a worker sees it in the embedded mode: through the API process, the engine's only opener."""

from collections.abc import Sequence
from typing import TypeVar

from sluice.clients.http import ServiceClient
from sluice.contracts.base import Reply, Request
from sluice_retrieval.domain.frames import pack_points
from sluice_retrieval.domain.points import Point, PointPage, Probe, Scope, Scored, Selector
from sluice_retrieval.domain.wire import (
    PagePoints,
    PointCount,
    PointsPage,
    Rankings,
    SearchPoints,
    SelectPoints,
    WireProbe,
)

Answer = TypeVar("Answer", bound=Reply)
_BATCH = 500
_TIMEOUT_S = 60.0


class RemoteVectorStore:
    """The `VectorStore` port over retrieval's internal endpoints; without a space it is the one that answers now."""

    def __init__(self, client: ServiceClient, space: str = "") -> None:
        self._client = client
        self._space = space

    async def upsert(self, points: Sequence[Point]) -> None:
        """Put points in place."""
        for at in range(0, len(points), _BATCH):
            batch = points[at : at + _BATCH]
            await self._ask("/internal/points", pack_points(batch, self._space), PointCount, batch[0].tenant, "PUT")

    async def delete(self, selector: Selector) -> None:
        """Remove points."""
        await self._select("/internal/points/delete", selector)

    async def search(
        self, scope: Scope, probes: Sequence[Probe], limit: int, *, with_vectors: bool = False
    ) -> list[list[Scored]]:
        """Return one ranking for each probe."""
        body = SearchPoints(
            tenant=scope.tenant,
            store_ids=scope.store_ids,
            hidden_document_ids=scope.hidden_document_ids,
            document_ids=scope.document_ids,
            probes=tuple(WireProbe.of(probe) for probe in probes),
            limit=limit,
            with_vectors=with_vectors,
            rankings=scope.rankings,
            space=self._space,
        )
        answer = await self._ask("/internal/points/search", body, Rankings, scope.tenant)
        return [[item.scored() for item in ranking] for ranking in answer.rankings]

    async def count(self, selector: Selector) -> int:
        """Return how many points there are."""
        return (await self._select("/internal/points/count", selector)).count

    async def page(self, selector: Selector, after: str | None, limit: int) -> PointPage:
        """Return points with their vectors."""
        body = PagePoints(
            tenant=selector.tenant,
            store_id=selector.store_id,
            document_id=selector.document_id,
            space=self._space,
            after=after,
            limit=limit,
        )
        answer = await self._ask("/internal/points/page", body, PointsPage, selector.tenant)
        return PointPage([point.point() for point in answer.points], answer.after)

    async def ping(self) -> None:
        """Count nothing, to see that the API process and its engine answer."""
        await self.count(Selector("", ""))

    async def close(self) -> None:
        """Nothing is held: the client belongs to who made it."""

    async def _select(self, path: str, selector: Selector) -> PointCount:
        return await self._ask(path, SelectPoints.of(selector, self._space), PointCount, selector.tenant)

    async def _ask(
        self, path: str, body: Request | bytes, reply: type[Answer], tenant: str, method: str = "POST"
    ) -> Answer:
        return await self._client.request(
            method, path, body, reply=reply, tenant=tenant or "none", timeout_s=_TIMEOUT_S, idempotent=True
        )
