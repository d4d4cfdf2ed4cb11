"""What is searched for, in which documents, and how what is found is ranked."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, ValidationError, model_validator

from sluice.contracts.base import MetadataKey, MetadataValue, Request
from sluice.contracts.enhanced import EvidenceKind
from sluice.contracts.questions import QueryUnderstanding, Turn

SearchMode = Literal["hybrid", "dense", "bm25"]
FusionMethod = Literal["rrf", "weighted"]
RerankMethod = Literal["none", "features", "model"]
Attribute = StrictBool | StrictInt | StrictFloat | MetadataValue
Attributes = Annotated[dict[MetadataKey, Attribute], Field(max_length=16)]
_MOST_HITS = 50
_FILTER_DEPTH = 5
_FILTER_PARTS = 50


class Comparison(Request):
    """Compare one value of a document's metadata, or `document.name` or `document.created_at` (unix seconds).

    A document without the key matches `ne` and `nin` only. Larger and smaller compare numbers with numbers and texts
    with texts, by code point.
    """

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: Annotated[str, Field(min_length=1, max_length=64, pattern=r'^[^"\\\x00]+$')]
    value: Attribute | Annotated[tuple[Attribute, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.type in ("in", "nin")) != isinstance(self.value, tuple):
            raise ValueError(f"`{self.type}` takes {'a list' if self.type in ('in', 'nin') else 'one value'}")
        if self.type in ("gt", "gte", "lt", "lte") and isinstance(self.value, bool):
            raise ValueError(f"`{self.type}` takes a number or a text")
        return self


class Compound(Request):
    """Join filters: all of them hold, or at least one."""

    type: Literal["and", "or"]
    filters: "Annotated[tuple[SearchFilter, ...], Field(min_length=1, max_length=20)]"

    def size(self) -> tuple[int, int]:
        """Return how deep it is and how many parts it has, itself counted."""
        sizes = [part.size() if isinstance(part, Compound) else (1, 1) for part in self.filters]
        return 1 + max(depth for depth, _ in sizes), 1 + sum(parts for _, parts in sizes)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        depth, parts = self.size()
        if depth > _FILTER_DEPTH or parts > _FILTER_PARTS:
            raise ValueError(f"a filter may be {_FILTER_DEPTH} levels deep and have {_FILTER_PARTS} parts")
        return self


SearchFilter = Annotated[Comparison | Compound, Field(discriminator="type")]


class ParentExpansion(Request):
    """Give what surrounds a hit in place of it: small chunks find, whole passages are given."""

    within: Annotated[
        Literal["section", "document"],
        Field(
            description="section: not past the headings around the hit (Markdown and what becomes it); document: past them"
        ),
    ] = "section"
    max_tokens: Annotated[
        int, Field(ge=16, le=4096, description="of what is given in all, in tokens of the embedding model")
    ] = 512


class RankingControl(BaseModel):
    """Which documents are searched, and how what is found is ranked; the same in searches, contexts, chats and policies."""

    model_config = ConfigDict(frozen=True)

    top_k: Annotated[int, Field(ge=1, le=_MOST_HITS)] = 5
    mode: SearchMode = "hybrid"
    fusion: Annotated[
        FusionMethod,
        Field(description="how `hybrid` joins both rankings: by ranks, or by scores brought to one scale"),
    ] = "weighted"
    alpha: Annotated[float, Field(ge=0, le=1, description="share of BM25 in `weighted` fusion")] = 0.5
    rerank: Annotated[
        RerankMethod,
        Field(
            description="rank the candidates anew: `features` looks at words and headings, `model` asks the "
            "configured cross-encoder"
        ),
    ] = "none"
    candidates: Annotated[int, Field(ge=1, le=100, description="how many of the best are ranked anew")] = 40
    diversity: Annotated[
        float, Field(ge=0, le=1, description="0: by score alone; nearer to 1: unlike what stands above (MMR)")
    ] = 0.0
    deduplicate: Annotated[bool, Field(description="give the same text once")] = False
    min_score: Annotated[float | None, Field(description="leave out what scores less; scales differ by mode")] = None
    filters: Annotated[SearchFilter | None, Field(description="which documents to search")] = None
    kinds: Annotated[
        tuple[EvidenceKind, ...],
        Field(min_length=1, max_length=2, description="what to search: documents with text, images, or both"),
    ] = ("text", "image")
    parent: Annotated[
        ParentExpansion | None, Field(description="give what surrounds each hit in place of the chunk that was found")
    ] = None


class Query(RankingControl, Request):
    """What is searched for, and how what is found is ranked."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    also: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=20_000)], ...],
        Field(max_length=9, description="further queries; the hits of all are joined by their ranks"),
    ] = ()
    conversation: Annotated[
        tuple[Turn, ...], Field(max_length=50, description="the messages before the question, oldest first")
    ] = ()
    understand: Annotated[
        QueryUnderstanding | None, Field(description="what is done with the question first; else as the store says")
    ] = None
    known_version: Annotated[
        Annotated[str, Field(min_length=1, max_length=64)] | None,
        Field(description="the `version` of an answer to the same request: if it still holds, nothing is searched"),
    ] = None


class HybridWeights(Request):
    """OpenAI's weights of the two rankings; only their ratio counts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    embedding_weight: Annotated[float, Field(ge=0)]
    text_weight: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _weighs(self) -> Self:
        if not self.embedding_weight + self.text_weight > 0:
            raise ValueError("embedding_weight or text_weight must be above 0")
        return self


class RankingOptions(Request):
    """OpenAI's ranking options: any ranker but `none` reranks by features; hits that score less are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ranker: Literal["none", "auto", "default-2024-11-15", "default_2024_08_21"] = "auto"
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    hybrid_search: HybridWeights | None = None

    def in_our_words(self) -> dict[str, Any]:
        """Return the fields of `RankingControl` that say the same."""
        said: dict[str, Any] = {"rerank": "none" if self.ranker == "none" else "features"}
        if self.score_threshold:
            said["min_score"] = self.score_threshold
        if self.hybrid_search is not None:
            weights = self.hybrid_search
            said["fusion"] = "weighted"
            said["alpha"] = weights.text_weight / (weights.embedding_weight + weights.text_weight)
        return said


class SearchRequest(Query):
    """Search one store, in our own words or OpenAI's.

    OpenAI's `max_num_results` is `top_k`, its `ranking_options` are `rerank`, `min_score` and `alpha`, and of a list of queries the first is
    `query` and the others are `also`. `rewrite_query` switches on `decompose` and `reformulation` unless `understand` is given.
    """

    max_num_results: Annotated[int | None, Field(ge=1, le=_MOST_HITS)] = None
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = False
    explain: Annotated[bool, Field(description="say of every hit how its score came about")] = False

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        said = dict(given)
        query = said.get("query")
        if isinstance(query, list | tuple) and query:
            said["query"], said["also"] = query[0], [*query[1:], *said.get("also", ())]
        most = said.get("max_num_results")
        if isinstance(most, int) and 1 <= most <= _MOST_HITS:  # else the field itself is refused
            said.setdefault("top_k", most)
        if said.get("ranking_options") is not None:
            try:
                said = {**RankingOptions.model_validate(said["ranking_options"]).in_our_words(), **said}
            except ValidationError:
                pass  # the field itself is refused, and told so
        if said.get("rewrite_query") is True:
            said.setdefault("understand", {"decompose": True, "expand": ["reformulation"]})
        return said
