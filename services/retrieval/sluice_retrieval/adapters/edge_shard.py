"""The shard of the embedded vector store on the disk: how it is made, opened, and brought from an older release's form."""

import json
import logging
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as qdrant

from sluice.errors import DependencyUnavailable
from sluice_retrieval.adapters.payloads import DENSE_NAMES, DOCUMENT, OWNER, SPARSE_NAMES, TERMS, owner_of

_log = logging.getLogger(__name__)
DENSE, SPARSE = DENSE_NAMES["cosine"], SPARSE_NAMES["bm25"]
ENGINE_ERROR = Exception  # the engine raises this class itself and nothing narrower
_OF_OWNER = ("tenant", "store")  # what an owner is made of where an older release noted none
_MANY = 1_000_000
_NEVER_KB = 2_000_000_000
_KB = 1024
_LINKS, _BUILD_EF = 16, 100  # the engine's defaults
_CONFIG = "edge_config.json"
_AT_ONCE = 500
# Eight bits a number after a random rotation: an exact search reads a quarter of the memory and takes a third of the
# time (measured over 100,000 vectors of 384: 13 to 4 ms), and ranks as full numbers do (docs/reference/retrieval.md).
_STORED_AS = "turbo8"
_DATATYPE = qdrant.VectorStorageDatatype.Turbo8
FIRST = (DENSE, SPARSE)
"""The vectors of most stores."""
EVERY = (*DENSE_NAMES.values(), *SPARSE_NAMES.values())
_DISTANCES = {
    DENSE: qdrant.Distance.Cosine,
    DENSE_NAMES["dotproduct"]: qdrant.Distance.Dot,
    DENSE_NAMES["euclidean"]: qdrant.Distance.Euclid,
}


def open_shard(folder: Path, dimensions: int, names: Collection[str], graph_from: int = 0) -> Any:
    """Open the shard in `folder`, or make it with vectors of these names; one whose vectors an older release stored in full is rewritten first.

    With `graph_from`, so many points and more get a graph (HNSW) here, in which searches look for the nearest without comparing all; where a filter leaves
    fewer, these are compared.

    Raises:
        DependencyUnavailable: it cannot be opened, or it was made for vectors of other dimensions.
    """
    config = _config(dimensions, names, graph_from)
    try:
        _finish_rewriting(folder)
        if not (folder / _CONFIG).exists():
            shard = _made(folder, config)
        else:
            if _stored_as(folder) != _STORED_AS:
                _rewrite(folder, config)
            shard = qdrant.EdgeShard.load(str(folder), config)
            shard.optimize()
            _index_fields(shard)
        _own(shard)
        shard.flush()
    except ENGINE_ERROR as exc:
        raise DependencyUnavailable(f"The vectors in {folder} cannot be opened: {exc}") from exc
    return shard


def equals(key: str, value: str | int) -> Any:
    """Return the condition that a key has this value."""
    return qdrant.FieldCondition(key, match=qdrant.MatchValue(value))


def one_of(key: str, values: Sequence[str]) -> Any:
    """Return the condition that a key has one of these values."""
    return qdrant.FieldCondition(key, match=qdrant.MatchAny(list(values)))


def _config(dimensions: int, names: Collection[str], graph_from: int) -> Any:
    threshold = max(1, graph_from * dimensions // _KB) if graph_from else _NEVER_KB  # a number takes one byte
    return qdrant.EdgeConfig(
        vectors={
            name: qdrant.EdgeVectorParams(size=dimensions, distance=distance, datatype=_DATATYPE)
            for name, distance in _DISTANCES.items()
            if name in names
        },
        sparse_vectors={
            name: qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf if name == SPARSE else None)
            for name in SPARSE_NAMES.values()
            if name in names
        },
        hnsw_config=qdrant.HnswIndexConfig(m=_LINKS, ef_construct=_BUILD_EF, full_scan_threshold=threshold),
        optimizers=qdrant.EdgeOptimizersConfig(
            indexing_threshold=threshold, max_segment_size=_NEVER_KB, default_segment_number=1
        ),
        max_search_threads=1,
        # Left cold, each passage of a hit is a read from the disk: 20 of them take 3 ms of a search (measured over 100,000).
        payload_memory=qdrant.Memory.Cached,
    )


def _made(folder: Path, config: Any) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    shard = qdrant.EdgeShard.create(str(folder), config)
    _index_fields(shard)
    return shard


def _index_fields(shard: Any) -> None:
    _index_keywords(shard, (DOCUMENT, OWNER))
    shard.update(qdrant.UpdateOperation.create_field_index(TERMS, qdrant.PayloadSchemaType.Integer))


def _index_keywords(shard: Any, fields: Sequence[str]) -> None:
    for field in fields:
        shard.update(qdrant.UpdateOperation.create_field_index(field, qdrant.PayloadSchemaType.Keyword))


def _stored_as(folder: Path) -> str:
    vectors = json.loads((folder / _CONFIG).read_text())["vectors"]
    return str(vectors[DENSE].get("datatype", "float32"))


def _rewrite(folder: Path, config: Any) -> None:
    """Copy all points into a new shard and put it in the old one's place (measured: 0.2 ms a point).

    The engine refuses to open a shard under another form of its vectors. A run that ends before the new shard is whole
    leaves the old one as it is; `_finish_rewriting` ends one that came after.
    """
    new, old = _beside(folder)
    shutil.rmtree(new, ignore_errors=True)
    source = qdrant.EdgeShard.load(str(folder))
    _index_fields(source)
    _log.warning("the vectors in %s are rewritten in less space, once", folder)
    target = _made(new, config)
    # Document by document: what a filter chooses then lies together. In the order of ids it is strewn over the whole shard.
    for document in _values(source, DOCUMENT, None):
        for points in _points_of(source, document):
            target.update(qdrant.UpdateOperation.upsert_points(points))
    if target.info().points_count != source.info().points_count:
        raise DependencyUnavailable(f"The vectors in {folder} could not all be rewritten; they are as they were.")
    source.close()
    target.flush()
    target.close()
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old)


def _points_of(shard: Any, document: str) -> Iterator[list[Any]]:
    offset = None
    while True:
        request = qdrant.ScrollRequest(
            offset=offset,
            limit=_AT_ONCE,
            filter=qdrant.Filter(must=[equals(DOCUMENT, document)]),
            with_payload=True,
            with_vector=True,
        )
        records, offset = shard.scroll(request)
        yield [qdrant.Point(id=one.id, vector=one.vector or {}, payload=one.payload) for one in records]
        if offset is None:
            return


def _finish_rewriting(folder: Path) -> None:
    new, old = _beside(folder)
    if not old.exists():
        return
    if not folder.exists():
        new.rename(folder)
    shutil.rmtree(old)


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")


def _own(shard: Any) -> None:
    """Give points of older releases their owner."""
    lacking = qdrant.Filter(must=[qdrant.IsEmptyCondition(OWNER)])
    if not shard.count(qdrant.CountRequest(exact=True, filter=lacking)):
        return
    _index_keywords(shard, _OF_OWNER)
    for tenant in _values(shard, "tenant", lacking):
        of_tenant = qdrant.Filter(must=[equals("tenant", tenant), qdrant.IsEmptyCondition(OWNER)])
        for store in _values(shard, "store", of_tenant):
            chosen = qdrant.Filter(must=[equals("tenant", tenant), equals("store", store)])
            shard.update(qdrant.UpdateOperation.set_payload_by_filter(chosen, {OWNER: owner_of(tenant, store)}))


def _values(shard: Any, key: str, among: Any) -> list[str]:
    found = shard.facet(qdrant.FacetRequest(key, limit=_MANY, exact=True, filter=among))
    return [str(hit.value) for hit in found.hits]
