"""The embedded vector store: Qdrant Edge inside this process, in a folder that one process may open."""

import asyncio
import fcntl
import logging
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import qdrant_edge as qdrant

from sluice.errors import DependencyUnavailable
from sluice_retrieval.adapters.edge_named import NamedDocuments
from sluice_retrieval.adapters.edge_shard import (
    ENGINE_ERROR,
    FIRST,
    SPARSE,
    equals,
    one_of,
    open_shard,
)
from sluice_retrieval.adapters.edge_words import NOBODY, OF_NOBODY, Weighed, WordCounts
from sluice_retrieval.adapters.payloads import (
    DENSE_NAMES,
    DOCUMENT,
    OWNER,
    SPARSE_NAMES,
    TERMS,
    name_of,
    owner_of,
    packed_payload,
    passage_of,
    point_id,
    ranking_in,
)
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.metrics import similarity, tfidf_weights
from sluice_retrieval.domain.points import Dense, Point, PointPage, Probe, Scope, Scored, Selector, Sparse
from sluice_retrieval.domain.spaces import model_in

_log = logging.getLogger(__name__)
Value = TypeVar("Value")
_READERS = 2
_FLUSH_S = 5.0
_VACUUM_MIN = 1000
_VACUUM_SHARE = 0.2
_QUIET_S = 30.0
_SPARE = 20  # further hits that make up for hidden ones
_SEARCH_EF = 128  # measured over 40,000 vectors: all of the 20 nearest are found, 98.6 % of them under a filter


class EdgeVectorStore:
    """The `VectorStore` port on one Qdrant Edge shard.

    Search is exact unless it is opened with `graph_from`. Building a graph holds the interpreter's lock for its whole
    duration (measured: 10 s at 25,000 chunks, in which the process answers nobody), so one is built at the start only, and what
    comes later is compared one by one until the next. Over 100,000 chunks an exact search takes 4 ms of processor time, over a tenth
    of them that a filter chose 2 ms, or 0.6 where the vectors of their documents are in memory (`NamedDocuments`): they are read when a search names
    them for the first time. Who needs many millions of chunks sets SLUICE_QDRANT_URL.

    A change is in the engine's log before the call returns, which survives the end of the process however it comes, and on
    the disk within seconds: writing it there at once would hold up searches (measured: 140 ms each time). What a power failure
    takes with it is found at the next start by `document_counts` and ingested again.
    """

    def __init__(
        self,
        shard: Any,
        executor: ThreadPoolExecutor,
        lock: IO[str],
        space: str,
        names: Collection[str],
        *,
        exact: bool,
        memory_bytes: int,
    ) -> None:
        self._space = space
        self._names = names
        self._exact = exact
        self._shard = shard
        self._executor = executor
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="qdrant-edge-read")
        self._unflushed_since: float | None = None
        self._lock = lock
        self._sound = True
        self._removed = 0
        self._searched_at = time.monotonic()
        self._filtered: tuple[Scope, Any] | None = None
        self._named = NamedDocuments.open(shard, self._read, model_in(space)[1], memory_bytes)
        self._words = WordCounts(shard) if memory_bytes and tuple(names) == FIRST else None
        self._counting: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        folder: Path,
        space: str,
        names: Collection[str] = FIRST,
        graph_from: int = 0,
        memory_bytes: int = 0,
    ) -> "EdgeVectorStore":
        """Open the shard of an embedding space in `folder`, or make it; its points have vectors of these names.

        So many bytes are for vectors of documents that searches name; with 0 no words are counted either.

        Raises:
            DependencyUnavailable: another process has it open, or it was made for other vectors.
        """
        lock = _locked(folder)
        executor = ThreadPoolExecutor(1, thread_name_prefix="qdrant-edge")
        loop = asyncio.get_running_loop()
        try:
            shard = await loop.run_in_executor(executor, open_shard, folder, model_in(space)[1], names, graph_from)
        except DependencyUnavailable:
            executor.shutdown(wait=False)
            lock.close()
            raise
        return cls(shard, executor, lock, space, names, exact=not graph_from, memory_bytes=memory_bytes)

    async def upsert(self, points: Sequence[Point]) -> None:
        """Put points in place."""
        if points:
            await self._change(
                lambda: qdrant.UpdateOperation.upsert_points([_edge_point(point, self._space) for point in points]),
                lambda words: words.putting(points),
                {point.passage.document_id for point in points},
            )

    async def delete(self, selector: Selector) -> None:
        """Remove points."""
        self._removed += await self.count(selector)
        one = set() if selector.document_id is None else {selector.document_id}  # a store that is gone is not searched
        await self._change(
            lambda: qdrant.UpdateOperation.delete_points_by_filter(_selected(selector)),
            lambda words: words.removing(selector),
            one,
        )

    async def search(
        self, scope: Scope, probes: Sequence[Probe], limit: int, *, with_vectors: bool = False
    ) -> list[list[Scored]]:
        """Return one ranking for each probe."""
        self._searched_at = time.monotonic()
        rankings = [await self._ranking(scope, probe, limit, with_vectors=with_vectors) for probe in probes]
        owners = _owners(scope)
        return [
            [_scored(hit, owners, probe, with_vectors=with_vectors) for hit in ranking]
            for probe, ranking in zip(probes, rankings, strict=True)
        ]

    async def _ranking(self, scope: Scope, probe: Probe, limit: int, *, with_vectors: bool) -> Sequence[Any]:
        if name_of(probe) not in self._names:
            return ()  # no store here ranks so
        if isinstance(probe, Sparse) and probe.weighting == "tfidf":
            weighed = await self._read(partial(self._tfidf, scope, probe.vector))
            if not weighed.indices:
                return ()
            probe = probe._replace(vector=weighed)
        vectors = self._dense_names() if with_vectors else []
        if isinstance(probe, Dense) and probe.metric == "cosine" and scope.document_ids and self._named is not None:
            documents = set(scope.document_ids).difference(scope.hidden_document_ids)
            near, missing = _translated(partial(self._named.nearest, probe.vector, documents, limit, vectors))
            if missing:
                rest = scope._replace(document_ids=tuple(missing))
                near += self._asked(_query(rest, _filter(rest), probe, limit, with_vectors=vectors, exact=self._exact))
            return sorted(near, key=lambda one: -one.score)[:limit]
        asked = self._weighed(scope, probe)
        if scope.document_ids is None and scope.hidden_document_ids:
            # To ask of each point whether it is hidden doubles the time of a search over a whole store (measured over
            # 100,000 points: 9.5 ms, not 5); few hits are.
            shown = scope._replace(hidden_document_ids=())
            request = self._request(shown, asked, limit + _SPARE, vectors)
            found = self._asked(request)
            seen = [hit for hit in found if hit.payload[DOCUMENT] not in scope.hidden_document_ids]
            if len(seen) >= limit or len(found) < limit + _SPARE:
                return seen[:limit]
        request = self._request(scope, asked, limit, vectors)
        return self._asked(request)

    def _weighed(self, scope: Scope, probe: Probe) -> Probe | Weighed:
        """Return a probe for words with their weights, where the words of the stores are counted; else have them counted for the next search."""
        if self._words is None or isinstance(probe, Dense) or probe.weighting != "bm25":
            return probe
        owners = _owners(scope)
        weighed = self._words.weighed(owners, probe.vector)
        if weighed is None and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count(self._words, owners))
        return weighed or probe

    async def _count(self, words: WordCounts, owners: Sequence[str]) -> None:
        with suppress(DependencyUnavailable):  # the engine counts for each search as before
            for owner in owners:
                while await self._call(partial(words.count_on, owner)):
                    pass

    def _request(self, scope: Scope, probe: Probe | Weighed, limit: int, with_vectors: Sequence[str]) -> Any:
        # The second ranking of a search is asked for when the model has read the question, and everything waits for it:
        # what it filters by was built for the first.
        if self._filtered is None or self._filtered[0] is not scope:
            self._filtered = scope, _filter(scope)
        return _query(scope, self._filtered[1], probe, limit, with_vectors=with_vectors, exact=self._exact)

    def _dense_names(self) -> list[str]:
        return [name for name in DENSE_NAMES.values() if name in self._names]

    def _tfidf(self, scope: Scope, asked: SparseVector) -> SparseVector:
        counted = [one_of(OWNER, _owners(scope)), qdrant.HasVectorCondition(SPARSE_NAMES["tfidf"])]

        def chunks(*conditions: Any) -> int:
            found: int = self._shard.count(
                qdrant.CountRequest(exact=True, filter=qdrant.Filter(must=[*counted, *conditions]))
            )
            return found

        return tfidf_weights(asked, chunks(), {term: chunks(equals(TERMS, term)) for term in asked.indices})

    async def count(self, selector: Selector) -> int:
        """Return how many points there are."""
        request = qdrant.CountRequest(exact=True, filter=_selected(selector))
        found: int = await self._read(lambda: self._shard.count(request))
        return found

    async def page(self, selector: Selector, after: str | None, limit: int) -> PointPage:
        """Return points with their vectors."""
        request = qdrant.ScrollRequest(
            offset=None if after is None else uuid.UUID(after),
            limit=limit,
            filter=_selected(selector),
            with_payload=True,
            with_vector=True,
        )
        records, following = await self._read(lambda: self._shard.scroll(request))
        points = [_point_of(selector.tenant, record) for record in records]
        return PointPage(points, None if following is None else str(following))

    async def document_counts(self) -> dict[str, int]:
        """Return how many points each document has."""
        total = await self.total()
        request = qdrant.FacetRequest(DOCUMENT, limit=max(1, total), exact=True)
        found = await self._read(lambda: self._shard.facet(request))
        return {str(hit.value): hit.count for hit in found.hits}

    async def total(self) -> int:
        """Return how many points there are of all tenants."""
        found: int = await self._read(lambda: self._shard.info().points_count)
        return found

    async def ping(self) -> None:
        """Ask the shard for its state, and whether the last change went well."""
        await self.total()
        if not self._sound:
            raise DependencyUnavailable("The embedded vector store could not write its last change; the log says why.")

    async def tidy(self) -> bool:
        """Write changes to the disk; take the space of removed points back, when it is worth it and nobody has searched for half a minute.

        The latter holds up this process (measured: 2 s for 30,000 remaining chunks). Returns whether it did anything.
        """
        if self._unflushed_since is not None and time.monotonic() - self._unflushed_since >= _FLUSH_S:
            self._unflushed_since = None
            await self._call(self._shard.flush)
        points = await self.total()
        if not self._exact:
            return False  # it would build the graph anew: at the next start
        worth = self._removed >= max(_VACUUM_MIN, points * _VACUUM_SHARE)
        if not worth or time.monotonic() - self._searched_at < _QUIET_S:
            return False
        self._removed = 0
        changed: bool = await self._call(self._shard.optimize)
        return changed

    async def close(self) -> None:
        """Flush and close the shard."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)
        if self._named is not None:
            await self._named.close()
        self._readers.shutdown(wait=True)
        await self._call(self._shard.close)
        self._executor.shutdown(wait=True)
        self._lock.close()

    async def _change(
        self,
        operation: Callable[[], Any],
        counting: Callable[[WordCounts], AbstractContextManager[None]],
        documents: Collection[str],
    ) -> None:
        # the operation is made in the engine's thread too: for many points that takes as long as the change itself
        def changed() -> None:
            with nullcontext() if self._words is None else counting(self._words):
                self._shard.update(operation())

        def settled(done: asyncio.Future[None]) -> None:
            self._sound = not done.cancelled() and done.exception() is None
            if self._named is not None:
                self._named.forget(documents)
            if self._unflushed_since is None:
                self._unflushed_since = time.monotonic()

        self._sound = False
        done = asyncio.get_running_loop().run_in_executor(self._executor, _translated, changed)
        done.add_done_callback(settled)
        await asyncio.shield(done)  # it is made even if nobody waits for it any more

    def _asked(self, request: Any) -> Sequence[Any]:
        # Not in a thread: the engine holds the interpreter's lock all the while, so the loop would stand still anyway, and the way to
        # a thread and back costs a millisecond beside other work.
        found: Sequence[Any] = _translated(partial(self._shard.query, request))
        return found

    async def _read(self, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._readers, _translated, work)

    async def _call(self, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._executor, _translated, work)


def _translated(work: Callable[[], Value]) -> Value:
    try:
        return work()
    except ENGINE_ERROR as exc:
        _log.exception("the embedded vector store failed")
        raise DependencyUnavailable("The embedded vector store failed; the log says why.") from exc


def _locked(folder: Path) -> IO[str]:
    # The engine has a lock of its own, but takes it too late: a second opener was seen to damage the first one's files
    # before it was refused. The system lets go of this lock when the process ends, however it ends.
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f"{folder.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.close()
        raise DependencyUnavailable(
            f"The vectors in {folder} are open in another process; only one retrieval service can use them. "
            "Stop the other one, or set SLUICE_QDRANT_URL to share a Qdrant server."
        ) from exc
    return lock


def _edge_point(point: Point, space: str) -> Any:
    # the engine reads any sequence, whatever its stubs say: a copy of each vector costs half of what its reading does
    vectors: Any = (point.dense, *point.sparse)
    dense, indices, weights = vectors
    return qdrant.Point(
        id=point_id(point.passage.chunk_id),
        vector={
            DENSE_NAMES[point.ranking.metric]: dense,
            SPARSE_NAMES[point.ranking.keywords]: qdrant.SparseVector(indices=indices, values=weights),
        },
        payload=packed_payload(point, space),
    )


def _point_of(tenant: str, record: Any) -> Point:
    ranking = ranking_in(record.vector)
    sparse = record.vector[SPARSE_NAMES[ranking.keywords]]
    return Point(
        tenant,
        passage_of(record.payload),
        tuple(record.vector[DENSE_NAMES[ranking.metric]]),
        SparseVector(tuple(sparse.indices), tuple(sparse.values)),
        ranking,
    )


def _scored(hit: Any, owners: Collection[str], probe: Probe, *, with_vectors: bool) -> Scored:
    if hit.payload[OWNER] not in owners:  # the filter has seen to it; a row of another tenant never leaves here
        raise DependencyUnavailable("The embedded vector store returned what was not asked for.")
    dense = next(tuple(hit.vector[name]) for name in hit.vector) if with_vectors else None
    score = similarity(probe.metric, hit.score) if isinstance(probe, Dense) else hit.score
    return Scored(passage_of(hit.payload), score, dense)


def _owners(scope: Scope) -> list[str]:
    return [owner_of(scope.tenant, store_id) for store_id in scope.store_ids]


def _corpus(scope: Scope) -> list[Any]:
    owners = _owners(scope)
    return [equals(OWNER, owners[0]) if len(owners) == 1 else one_of(OWNER, owners)]


def _filter(scope: Scope) -> Any:
    # One condition on one key: two cost several times as much over many points, and a list more than one value.
    # Where documents are named, they are the stores' own, and `_scored` looks again; to ask for the owner of each of
    # their points too takes as long as all the rest (measured over 100,000 points, a tenth of them named: 8 ms, not 4).
    if scope.document_ids is not None:
        return qdrant.Filter(
            must=[one_of(DOCUMENT, sorted(set(scope.document_ids).difference(scope.hidden_document_ids)))]
        )
    hidden = [one_of(DOCUMENT, scope.hidden_document_ids)] if scope.hidden_document_ids else None
    return qdrant.Filter(must=_corpus(scope), must_not=hidden)


def _query(
    scope: Scope, chosen: Any, probe: Probe | Weighed, limit: int, *, with_vectors: Sequence[str], exact: bool
) -> Any:
    if isinstance(probe, Weighed):
        values = [value / OF_NOBODY for value in probe.values]
        query = qdrant.Query.Nearest(qdrant.SparseVector(indices=list(probe.indices), values=values), using=SPARSE)
        params = qdrant.SearchParams(idf=qdrant.IdfParams(corpus=NOBODY))
    elif isinstance(probe, Dense):
        query = qdrant.Query.Nearest(list(probe.vector), using=name_of(probe))
        params = qdrant.SearchParams(exact=exact, hnsw_ef=_SEARCH_EF)
    else:
        sparse = qdrant.SparseVector(indices=list(probe.vector.indices), values=list(probe.vector.values))
        query = qdrant.Query.Nearest(sparse, using=name_of(probe))
        idf = None if probe.weighting == "tfidf" else qdrant.IdfParams(corpus=qdrant.Filter(must=_corpus(scope)))
        params = qdrant.SearchParams(idf=idf)
    return qdrant.QueryRequest(
        limit=limit,
        query=query,
        filter=chosen,
        params=params,
        with_payload=True,
        with_vector=list(with_vectors) or False,
    )


def _selected(selector: Selector) -> Any:
    must = [equals(OWNER, owner_of(selector.tenant, selector.store_id))]
    if selector.document_id is not None:
        must.append(equals(DOCUMENT, selector.document_id))
    return qdrant.Filter(must=must)
