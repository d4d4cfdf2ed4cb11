"""The vector store as a worker sees it in the embedded mode: through the API process, the engine's only opener."""

from collections.abc import Sequence
from typing import TypeVar

from sluice.clients.http import ServiceClient
from sluice.contracts.base import Reply, Request
from sluice_retrieval.domain.points import Point, Probe, Scope, Scored, Selector
from sluice_retrieval.domain.wire import (
    PointCount,
    Rankings,
    SearchPoints,
    SelectPoints,
    UpsertPoints,
    WirePoint,
    WireProbe,
)

Answer = TypeVar("Answer", bound=Reply)
_BATCH = 200
_TIMEOUT_S = 60.0


class RemoteVectorStore:
    """The `VectorStore` port over retrieval's internal endpoints."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def upsert(self, points: Sequence[Point]) -> None:
        """Put points in place."""
        for at in range(0, len(points), _BATCH):
            batch = points[at : at + _BATCH]
            body = UpsertPoints(points=tuple(WirePoint.of(point) for point in batch))
            await self._ask("/internal/points", body, PointCount, batch[0].tenant)

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
        )
        answer = await self._ask("/internal/points/search", body, Rankings, scope.tenant)
        return [[item.scored() for item in ranking] for ranking in answer.rankings]

    async def count(self, selector: Selector) -> int:
        """Return how many points there are."""
        return (await self._select("/internal/points/count", selector)).count

    async def ping(self) -> None:
        """Count nothing, to see that the API process and its engine answer."""
        await self.count(Selector("", ""))

    async def close(self) -> None:
        """Nothing is held: the client belongs to who made it."""

    async def _select(self, path: str, selector: Selector) -> PointCount:
        return await self._ask(path, SelectPoints.of(selector), PointCount, selector.tenant)

    async def _ask(self, path: str, body: Request, reply: type[Answer], tenant: str) -> Answer:
        return await self._client.request(
            "POST", path, body, reply=reply, tenant=tenant or "none", timeout_s=_TIMEOUT_S, idempotent=True
        )
