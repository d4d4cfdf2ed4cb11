"""The port to the vector store, and what goes through it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

from sluice.contracts.questions import QueryUnderstanding
from sluice.contracts.vector_ranking import KeywordWeighting, VectorMetric
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.language import ENGLISH
from sluice_retrieval.domain.metrics import Ranking


class Passage(NamedTuple):
    """A chunk as it is shown to a reader; `source` is the document's name, `start`/`end` are characters in it."""

    chunk_id: str
    document_id: str
    store_id: str
    source: str
    heading: str | None
    text: str
    start: int
    end: int


class Point(NamedTuple):
    """A passage with its vectors; upserting the same `chunk_id` again replaces it.

    `sparse` are BM25's weights, or how often each term is there where `ranking` weighs by TF-IDF.
    """

    tenant: str
    passage: Passage
    dense: tuple[float, ...]
    sparse: SparseVector
    ranking: Ranking = Ranking()


class Selector(NamedTuple):
    """Points of one tenant in one store, or of one document in it."""

    tenant: str
    store_id: str
    document_id: str | None = None


class Scope(NamedTuple):
    """What a search may see: stores of one tenant, without documents that are not (or no longer) complete.

    With `document_ids` only those documents are searched; None means all of the stores. `languages` are those that the
    stores' texts are stemmed by, `understand` is what the first store says that says anything of questions, `versions` are the
    counters of the stores, which go up with each change of what is found in them; `rankings` are the ways in which they rank.
    """

    tenant: str
    store_ids: tuple[str, ...]
    hidden_document_ids: tuple[str, ...] = ()
    document_ids: tuple[str, ...] | None = None
    languages: tuple[str, ...] = (ENGLISH,)
    understand: QueryUnderstanding | None = None
    versions: Mapping[str, int] = MappingProxyType({})
    rankings: tuple[Ranking, ...] = (Ranking(),)


class Dense(NamedTuple):
    """Rank by likeness to this vector, among points whose store compares by this metric; with `images` among the looks of images."""

    vector: tuple[float, ...]
    metric: VectorMetric = "cosine"
    images: bool = False


class Sparse(NamedTuple):
    """Rank by dot product with this vector times the inverse document frequency over the scope's stores.

    Only points whose store weighs so are ranked; `tfidf` counts only them in the frequency, too.
    """

    vector: SparseVector
    weighting: KeywordWeighting = "bm25"


Probe = Dense | Sparse


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage that was found; `score` is a likeness (`similarity`) or a keyword score, by the probe. The vector comes when asked for."""

    passage: Passage
    score: float
    dense: tuple[float, ...] | None = None


class PointPage(NamedTuple):
    """Some points, and where the next ones begin; None if these are the last."""

    points: Sequence[Point]
    after: str | None


class Searcher(Protocol):
    """Ranks points."""

    async def search(
        self, scope: Scope, probes: Sequence[Probe], limit: int, *, with_vectors: bool = False
    ) -> list[list[Scored]]:
        """Return one ranking for each probe, best first, of at most `limit` passages, with dense vectors if asked."""
        ...


class VectorStore(Searcher, Protocol):
    """Keeps points and ranks them.

    `upsert` and `delete` return when the change survives a crash. When the store is away every method raises
    `DependencyUnavailable`: ingestion tries again later, search answers 503; nothing is answered from less than all.
    """

    async def upsert(self, points: Sequence[Point]) -> None:
        """Put points in place, replacing those with the same chunk ids."""
        ...

    async def delete(self, selector: Selector) -> None:
        """Remove points; none there is no error."""
        ...

    async def count(self, selector: Selector) -> int:
        """Return how many points there are."""
        ...

    async def page(self, selector: Selector, after: str | None, limit: int) -> PointPage:
        """Return points with their vectors, at most `limit`, in an order of the store's own, from `after` on."""
        ...

    async def ping(self) -> None:
        """Raise `DependencyUnavailable` if the store cannot be used now."""
        ...

    async def close(self) -> None:
        """Release files and connections."""
        ...


class OwnedVectorStore(VectorStore, Protocol):
    """A vector store that this process looks after, rather than one that it reaches through another process."""

    async def total(self) -> int:
        """Return how many points there are of all tenants."""
        ...

    async def document_counts(self) -> dict[str, int] | None:
        """Return how many points each document has; None if this is not this process's to check."""
        ...

    async def tidy(self) -> bool:
        """Do upkeep if there is any worth doing now; return whether there was."""
        ...
