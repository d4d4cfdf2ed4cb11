"""Vector stores, documents, search and context, as the retrieval service speaks them."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, model_validator

from sluice.contracts.base import Metadata, MetadataKey, MetadataValue, Reply, Request
from sluice.contracts.enhanced import EnhancedContext, EvidenceKind, ToolOutput
from sluice.contracts.files import FileId
from sluice.contracts.memories import FoundMemory, MemoryUse
from sluice.contracts.questions import QueryUnderstanding, Turn, Understood
from sluice.contracts.tables import ComputedFigure
from sluice.contracts.vector_files import ChunkingStrategyChoice, FileCounts, StoreExpiry, TextPart
from sluice.contracts.vector_ranking import CaptionsChoice, KeywordsChoice, MetricChoice, VectorMetric

SearchMode = Literal["hybrid", "dense", "bm25"]
DocumentStatus = Literal["queued", "processing", "ready", "failed", "cancelled"]
ContextPlacement = Literal["ranked", "edges"]
"""`ranked`: best evidence first. `edges`: the best first, the second best last, the weakest in the middle."""

ContextTemplate = Literal["numbered", "sections"]
"""`numbered`: one list of excerpts. `sections`: one list for each kind, under "Relevant documents:", "Relevant tables:" and "Relevant code:"."""


FusionMethod = Literal["rrf", "weighted"]
DegradedPart = Literal["rewriter", "reranker", "image_embedder"]
RerankMethod = Literal["none", "features", "model"]
Attribute = StrictBool | StrictInt | StrictFloat | MetadataValue
Attributes = Annotated[dict[MetadataKey, Attribute], Field(max_length=16)]
DOCUMENT_FORMATS = {
    "plain": "bash c cc cfg cpp cs css go h hpp ini java js json jsonl jsx kt log lua php pl ps1 py r rb rs rst scala sh "
    "sql swift tex text toml ts tsx txt xml yaml yml",
    "markdown": "md markdown",
    "html": "html htm xhtml",
    "pdf": "pdf",
    "docx": "docx",
    "pptx": "pptx",
    "xlsx": "xlsx xlsm",
    "csv": "csv tsv",
    "image": "png jpg jpeg webp gif",
}
"""The formats of files that can be ingested, with the endings of their names."""
DOCUMENT_SUFFIXES = {f".{ending}": name for name, endings in DOCUMENT_FORMATS.items() for ending in endings.split()}
_FILTER_DEPTH = 5
_FILTER_PARTS = 50
_VERSION = "opaque; another one once a document of the searched stores, one of their settings or a model or setting of the service has changed"
_DEGRADED = "what was asked for and was away: the chat model that rewrites, or the model that reranks; rules and features stood in"
_UNCHANGED = "`known_version` still holds: nothing was searched, and the earlier answer is still right"


ChunkingStrategy = Literal["fixed", "sentence", "paragraph", "recursive", "semantic", "code", "rows"]


class ChunkingOptions(Request):
    """How documents of a store are cut; sizes are tokens of the embedding model."""

    strategy: Annotated[
        ChunkingStrategy,
        Field(
            description="fixed: windows of tokens; sentence: whole sentences; paragraph: whole paragraphs, no overlap; "
            "recursive: paragraphs, else lines, else sentences, with overlap; semantic: sentences of one topic; "
            "code: whole definitions; rows: each row of a table or item of a list by itself"
        ),
    ] = "paragraph"
    max_tokens: Annotated[int, Field(ge=16, le=512, description="a chunk never has more")] = 200
    overlap_tokens: Annotated[
        int, Field(ge=0, le=256, description="repeated from the chunk before; at most half of max_tokens is used")
    ] = 30


class VectorStoreCreate(Request):
    """Make a vector store; `chunking` is ours, the other fields are OpenAI's."""

    name: Annotated[str, Field(max_length=200)] = ""
    chunking: ChunkingOptions = ChunkingOptions()
    metadata: Metadata = {}
    file_ids: Annotated[tuple[FileId, ...], Field(max_length=500, description="files to add at once")] = ()
    chunking_strategy: Annotated[
        ChunkingStrategyChoice | None, Field(description="OpenAI's way of saying how; `chunking` says more")
    ] = None
    expires_after: StoreExpiry | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    understand: Annotated[
        QueryUnderstanding | None, Field(description="what is done with questions to this store before the search")
    ] = None
    metric: MetricChoice = "cosine"
    keywords: KeywordsChoice = "bm25"
    captions: CaptionsChoice = True


class VectorStore(Reply):
    """A collection of documents of one tenant."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    name: str
    created_at: int
    documents: int
    chunks: int
    chunking: ChunkingOptions
    metadata: Metadata = {}
    status: Annotated[
        Literal["in_progress", "completed", "expired"], Field(description="in_progress while a file is being ingested")
    ] = "completed"
    usage_bytes: int = 0
    file_counts: FileCounts = FileCounts()
    expires_after: StoreExpiry | None = None
    expires_at: int | None = None
    last_active_at: int | None = None
    understand: QueryUnderstanding | None = None
    metric: MetricChoice = "cosine"
    keywords: KeywordsChoice = "bm25"
    captions: CaptionsChoice = True


class DocumentCreate(Request):
    """Ingest one document given as text; the same `name` in a store replaces the document that was there."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    text: str
    media_type: Literal["text/plain", "text/markdown"] = "text/plain"
    metadata: Attributes = {}


class Document(Reply):
    """A document and how far its ingestion is; `error` says what to change when `status` is `failed`."""

    id: str
    object: Literal["vector_store.document"] = "vector_store.document"
    vector_store_id: str
    name: str
    media_type: str
    status: DocumentStatus
    error: str | None = None
    bytes: int
    sha256: Annotated[
        str | None, Field(description="of the bytes that were sent; null for documents of older releases")
    ] = None
    chunks: int
    indexed_chunks: Annotated[
        int, Field(description="chunks in the index so far; searches show none until all are")
    ] = 0
    planned_chunks: Annotated[int | None, Field(description="chunks to index; null until the text was cut")] = None
    created_at: int
    metadata: Attributes = {}


class ContentQuery(Request):
    """Which part of a document's text."""

    start: Annotated[int, Field(ge=0, le=2**31, description="the first character")] = 0
    length: Annotated[int, Field(ge=1, le=1_000_000, description="how many characters at most")] = 1_000_000


class DocumentContent(Reply):
    """A part of a document's text: characters `start` to `end`, exclusive, of `length`.

    It is the text that `start` and `end` of hits and citations mean: for files such as PDF, what was extracted from them.
    """

    document_id: str
    object: Literal["vector_store.document.content"] = "vector_store.document.content"
    name: str
    media_type: str
    text: str
    start: int
    end: int
    length: int


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


class Query(Request):
    """What is searched for, and how what is found is ranked."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
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


class RankingOptions(Request):
    """OpenAI's ranking options: any ranker but `none` reranks by features; hits that score less are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ranker: str = "auto"
    score_threshold: float | None = None


class SearchRequest(Query):
    """Search one store, in our own words or OpenAI's.

    OpenAI's `max_num_results` is `top_k`, its `ranking_options` are `rerank` and `min_score`, and of a list of queries the first is
    `query` and the others are `also`. `rewrite_query` switches on `decompose` and `reformulation` unless `understand` is given.
    """

    max_num_results: Annotated[int | None, Field(ge=1, le=50)] = None
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
        if said.get("max_num_results") is not None:
            said.setdefault("top_k", said["max_num_results"])
        options = said.get("ranking_options")
        if isinstance(options, dict):
            said.setdefault("rerank", "none" if options.get("ranker") == "none" else "features")
            if options.get("score_threshold"):
                said.setdefault("min_score", options["score_threshold"])
        if said.get("rewrite_query") is True:
            said.setdefault("understand", {"decompose": True, "expand": ["reformulation"]})
        return said


class RankedScore(Reply):
    """Where one ranking put a chunk, from 1, and its own score."""

    rank: int
    score: float


class Explanation(Reply):
    """How a hit came to its place; a ranking that did not have it among its candidates is null."""

    dense: RankedScore | None = None
    metric: Annotated[VectorMetric | None, Field(description="how `dense` compares vectors")] = None
    distance: Annotated[float | None, Field(description="what `dense` measured if its metric is euclidean")] = None
    bm25: RankedScore | None = None
    tfidf: Annotated[RankedScore | None, Field(description="in place of `bm25` in stores that weigh so")] = None
    image: Annotated[RankedScore | None, Field(description="by what the image shows")] = None
    joined: RankedScore
    reranked: Annotated[RankedScore | None, Field(description="place and score after reranking; null without it")] = (
        None
    )
    reranker: Annotated[str | None, Field(description="who ranked anew")] = None
    likeness: Annotated[
        float | None, Field(description="cosine to the most similar hit above it; null without `diversity`")
    ] = None


class SearchHit(Reply):
    """A chunk that matches; `score` is comparable only inside one answer. `start`/`end` are character offsets."""

    chunk_id: str
    document_id: str
    vector_store_id: str
    source: str
    heading: str | None = None
    text: str
    score: float
    start: int
    end: int
    metadata: Attributes = {}
    explanation: Explanation | None = None
    file_id: Annotated[str, Field(description="the file, or the document's id if it was added as text")] = ""
    filename: str = ""
    attributes: Attributes = {}
    content: tuple[TextPart, ...] = ()
    thumbnail: Annotated[str | None, Field(description="path of a small WebP, where the document is an image")] = None


class SearchReply(Reply):
    """Best matches first."""

    object: Literal["vector_store.search_results"] = "vector_store.search_results"
    mode: SearchMode
    data: tuple[SearchHit, ...]
    search_query: tuple[str, ...] = ()
    understood: Understood | None = None
    has_more: bool = False
    next_page: str | None = None
    version: Annotated[str, Field(description=_VERSION)] = ""
    unchanged: Annotated[bool, Field(description=_UNCHANGED)] = False
    computed: ComputedFigure | None = None
    degraded: Annotated[tuple[DegradedPart, ...], Field(description=_DEGRADED)] = ()


class ContextRequest(Query):
    """Evidence for a question out of several stores, cut to a token budget."""

    vector_store_ids: Annotated[tuple[str, ...], Field(max_length=20, description="none only with `memory`")] = ()
    memory: Annotated[
        MemoryUse | None, Field(description="what is known of this end user stands after the evidence")
    ] = None
    budget_tokens: Annotated[int, Field(ge=16, le=100_000)] = 1500
    placement: ContextPlacement = "ranked"
    template: ContextTemplate = "numbered"
    tool_outputs: Annotated[
        tuple[ToolOutput, ...],
        Field(max_length=20, description="what tools gave, for half of the budget at most, after the evidence"),
    ] = ()
    enhanced: Annotated[bool, Field(description="answer with the context as an object, too")] = False

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.vector_store_ids and self.memory is None:
            raise ValueError("name at least one of vector_store_ids, or memory")
        if self.memory is not None and self.memory.user is None:
            raise ValueError("memory needs a user")
        return self


class Citation(Reply):
    """What `[index]` in the context stands for."""

    index: int
    chunk_id: str
    document_id: str
    vector_store_id: str
    source: str
    heading: str | None = None
    score: float
    truncated: bool = False
    start: Annotated[int | None, Field(description="where the quote begins: characters of the document's text")] = None
    end: Annotated[int | None, Field(description="where it ends, exclusive")] = None
    quote: Annotated[
        str | None, Field(description="exactly those characters; null where the guard policy changed the evidence")
    ] = None
    file_id: Annotated[str, Field(description="the file, or the document's id if it was added as text")] = ""


class ContextReply(Reply):
    """The context block to put before the question, and the chunks that it cites; `text` is empty without a hit.

    A chunk is given whole, or left out when the budget has no room for it (`left_out` counts those). Only if not even
    the best one fits it is shortened: its text then ends in a note that says so, and its citation is `truncated`.
    `tokens` counts in the embedding model's tokens; a chat model's tokenizer counts a little differently.
    """

    text: str
    citations: tuple[Citation, ...]
    tokens: int = 0
    left_out: int = 0
    memories: Annotated[tuple[FoundMemory, ...], Field(description="what was recalled of the end user")] = ()
    understood: Understood | None = None
    enhanced: EnhancedContext | None = None
    computed: ComputedFigure | None = None
    degraded: Annotated[tuple[DegradedPart, ...], Field(description=_DEGRADED)] = ()
    version: Annotated[str, Field(description=_VERSION)] = ""
    unchanged: Annotated[bool, Field(description=_UNCHANGED)] = False


class Deleted(Reply):
    """Something was deleted."""

    id: str
    object: str
    deleted: bool = True


class RetrievalPolicy(Reply):
    """Retrieval that a policy switches on for each request of its route; `beside_guard` asks before the input guard is done."""

    vector_store_ids: tuple[str, ...] = ()
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    mode: SearchMode = "hybrid"
    on_error: Literal["fail", "continue"] = "fail"
    when: Literal["after_guard", "beside_guard"] = "after_guard"
    rerank: RerankMethod = "none"
    placement: ContextPlacement = "ranked"
    follow_ups: bool = True
    understand: QueryUnderstanding | None = None
    template: ContextTemplate = "numbered"
    memory: MemoryUse | None = None
