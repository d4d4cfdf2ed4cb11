"""The vector store on a Qdrant server, for several retrieval processes and for many chunks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException

from sluice.errors import DependencyUnavailable
from sluice_retrieval.adapters.payloads import (
    DENSE_NAMES,
    SPARSE_NAMES,
    TERMS,
    name_of,
    passage_of,
    payload_of,
    point_id,
    ranking_in,
)
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.metrics import similarity, tfidf_weights
from sluice_retrieval.domain.points import Dense, Point, PointPage, Probe, Scope, Scored, Selector, Sparse
from sluice_retrieval.domain.spaces import model_in

COLLECTION = "sluice_chunks"
_DISTANCES = {
    DENSE_NAMES["cosine"]: models.Distance.COSINE,
    DENSE_NAMES["dotproduct"]: models.Distance.DOT,
    DENSE_NAMES["euclidean"]: models.Distance.EUCLID,
}
_MODIFIERS = {SPARSE_NAMES["bm25"]: models.Modifier.IDF, SPARSE_NAMES["tfidf"]: models.Modifier.NONE}
_TIMEOUT_S = 30


def connect(url: str, api_key: str | None) -> AsyncQdrantClient:
    """Return a client of a server; nothing is connected yet."""
    return AsyncQdrantClient(url=url, api_key=api_key, timeout=_TIMEOUT_S, check_compatibility=False)


class ServerVectorStore:
    """The `VectorStore` port on the collection of one embedding space on a Qdrant server; changes are awaited until they are applied."""

    def __init__(self, client: AsyncQdrantClient, space: str, collection: str = COLLECTION) -> None:
        self._client = client
        self._space = space
        self._dimensions = model_in(space)[1]
        self._name = collection
        self._ready = False

    async def upsert(self, points: Sequence[Point]) -> None:
        """Put points in place."""
        if not points:
            return
        made = [_server_point(point, self._space) for point in points]
        async with self._collection() as client:
            await client.upsert(self._name, points=made, wait=True)

    async def delete(self, selector: Selector) -> None:
        """Remove points."""
        chosen = models.FilterSelector(filter=_selected(selector))
        async with self._collection() as client:
            await client.delete(self._name, points_selector=chosen, wait=True)

    async def search(
        self, scope: Scope, probes: Sequence[Probe], limit: int, *, with_vectors: bool = False
    ) -> list[list[Scored]]:
        """Return one ranking for each probe."""
        async with self._collection() as client:
            weighed = [await self._weighed(client, scope, probe) for probe in probes]
            requests = [_query(scope, probe, limit, with_vectors=with_vectors) for probe in weighed]
            answers = await client.query_batch_points(self._name, requests=requests)
        return [[_scored(hit, probe) for hit in answer.points] for probe, answer in zip(probes, answers, strict=True)]

    async def _weighed(self, client: AsyncQdrantClient, scope: Scope, probe: Probe) -> Probe:
        if isinstance(probe, Dense) or probe.weighting == "bm25":
            return probe
        counted: list[models.Condition] = [
            _equals("tenant", scope.tenant),
            _one_of("store", scope.store_ids),
            models.HasVectorCondition(has_vector=SPARSE_NAMES["tfidf"]),
        ]

        async def chunks(*conditions: models.Condition) -> int:
            wanted = models.Filter(must=[*counted, *conditions])
            return (await client.count(self._name, count_filter=wanted, exact=True)).count

        with_term = {term: await chunks(_equals(TERMS, term)) for term in probe.vector.indices}
        return Sparse(tfidf_weights(probe.vector, await chunks(), with_term), "tfidf")

    async def count(self, selector: Selector) -> int:
        """Return how many points there are."""
        async with self._collection() as client:
            return (await client.count(self._name, count_filter=_selected(selector), exact=True)).count

    async def page(self, selector: Selector, after: str | None, limit: int) -> PointPage:
        """Return points with their vectors."""
        async with self._collection() as client:
            records, following = await client.scroll(
                self._name,
                scroll_filter=_selected(selector),
                limit=limit,
                offset=after,
                with_payload=True,
                with_vectors=True,
            )
        points = [_point_of(selector.tenant, record) for record in records]
        return PointPage(points, None if following is None else str(following))

    async def drop(self) -> None:
        """Remove the collection with all that is in it."""
        async with self._collection() as client:
            await client.delete_collection(self._name)

    async def total(self) -> int:
        """Return about how many points there are of all tenants."""
        async with self._collection() as client:
            return (await client.count(self._name, exact=False)).count

    async def document_counts(self) -> dict[str, int] | None:
        """Return nothing: the server answers for what it has acknowledged."""
        return None

    async def tidy(self) -> bool:
        """Do nothing: the server optimises by itself."""
        return False

    async def ping(self) -> None:
        """Ask for the collection, and make it if it is missing."""
        async with self._collection() as client:
            await client.get_collection(self._name)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @asynccontextmanager
    async def _collection(self) -> AsyncIterator[AsyncQdrantClient]:
        try:
            if not self._ready:
                await self._make()
                self._ready = True
            yield self._client
        except (ApiException, OSError) as exc:
            self._ready = False  # the server may have lost the collection: look again next time
            raise DependencyUnavailable(
                f"The Qdrant server does not answer as it should ({type(exc).__name__})."
            ) from exc

    async def _make(self) -> None:
        if not await self._client.collection_exists(self._name):
            await self._client.create_collection(
                self._name,
                vectors_config={
                    name: models.VectorParams(size=self._dimensions, distance=distance)
                    for name, distance in _DISTANCES.items()
                },
                sparse_vectors_config={
                    name: models.SparseVectorParams(modifier=modifier) for name, modifier in _MODIFIERS.items()
                },
            )
        else:
            await self._add_vectors()
        terms = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False)
        await self._client.create_payload_index(self._name, TERMS, field_schema=terms, wait=True)
        for field in ("tenant", "store", "document"):
            schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=field == "tenant")
            await self._client.create_payload_index(self._name, field, field_schema=schema, wait=True)

    async def _add_vectors(self) -> None:
        """Give a collection of an older release the vectors that it lacks."""
        params = (await self._client.get_collection(self._name)).config.params
        dense, sparse = params.vectors or {}, params.sparse_vectors or {}
        for name, distance in _DISTANCES.items():
            if isinstance(dense, dict) and name not in dense:
                made = models.DenseVectorConfig(size=self._dimensions, distance=distance)
                await self._client.create_vector_name(self._name, name, models.DenseVectorNameConfig(dense=made))
        for name, modifier in _MODIFIERS.items():
            if name not in sparse:
                kind = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=modifier))
                await self._client.create_vector_name(self._name, name, kind)


def _server_point(point: Point, space: str) -> models.PointStruct:
    sparse = models.SparseVector(indices=list(point.sparse.indices), values=list(point.sparse.values))
    return models.PointStruct(
        id=point_id(point.passage.chunk_id),
        vector={DENSE_NAMES[point.ranking.metric]: list(point.dense), SPARSE_NAMES[point.ranking.keywords]: sparse},
        payload=payload_of(point, space),
    )


def _point_of(tenant: str, record: models.Record) -> Point:
    vectors: dict[str, Any] = record.vector if isinstance(record.vector, dict) else {}
    ranking = ranking_in(vectors)
    sparse = vectors[SPARSE_NAMES[ranking.keywords]]
    dense = tuple(float(number) for number in vectors[DENSE_NAMES[ranking.metric]])
    words = SparseVector(tuple(sparse.indices), tuple(sparse.values))
    return Point(tenant, passage_of(record.payload), dense, words, ranking)


def _scored(hit: models.ScoredPoint, probe: Probe) -> Scored:
    vectors = hit.vector if isinstance(hit.vector, dict) else {}
    dense = next(iter(vectors.values()), None)
    score = similarity(probe.metric, hit.score) if isinstance(probe, Dense) else hit.score
    vector = (
        tuple(float(number) for number in dense if isinstance(number, int | float)) if isinstance(dense, list) else None
    )
    return Scored(passage_of(hit.payload), score, vector)


def _query(scope: Scope, probe: Probe, limit: int, *, with_vectors: bool) -> models.QueryRequest:
    corpus: list[models.Condition] = [_equals("tenant", scope.tenant), _one_of("store", scope.store_ids)]
    hidden: list[models.Condition] | None = None
    if scope.hidden_document_ids:
        hidden = [_one_of("document", scope.hidden_document_ids)]
    only: list[models.Condition] = []
    if scope.document_ids is not None:
        only = [_one_of("document", scope.document_ids)]
    params = None
    query: models.NearestQuery
    if isinstance(probe, Dense):
        query = models.NearestQuery(nearest=list(probe.vector))
    else:
        sparse = models.SparseVector(indices=list(probe.vector.indices), values=list(probe.vector.values))
        query = models.NearestQuery(nearest=sparse)
        if probe.weighting == "bm25":
            params = models.SearchParams(idf=models.IdfCorpusParams(corpus=models.Filter(must=corpus)))
    return models.QueryRequest(
        query=query,
        using=name_of(probe),
        filter=models.Filter(must=corpus + only, must_not=hidden),
        params=params,
        limit=limit,
        with_payload=True,
        with_vector=list(_DISTANCES) if with_vectors else False,
    )


def _selected(selector: Selector) -> models.Filter:
    must: list[models.Condition] = [_equals("tenant", selector.tenant), _equals("store", selector.store_id)]
    if selector.document_id is not None:
        must.append(_equals("document", selector.document_id))
    return models.Filter(must=must)


def _equals(key: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _one_of(key: str, values: Sequence[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
