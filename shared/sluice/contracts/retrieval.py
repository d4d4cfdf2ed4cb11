"""Vector stores, documents, search and context, as the retrieval service speaks them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sluice.contracts.base import Metadata, Reply, Request
from sluice.contracts.enhanced import EnhancedContext, ToolOutput
from sluice.contracts.files import FileId
from sluice.contracts.memories import FoundMemory, MemoryUse
from sluice.contracts.questions import QueryUnderstanding, Understood
from sluice.contracts.searching import Attributes, Query, RankingControl, SearchMode
from sluice.contracts.tables import ComputedFigure
from sluice.contracts.vector_files import ChunkingStrategyChoice, FileCounts, StoreExpiry, TextPart, TranscribedSeconds
from sluice.contracts.vector_ranking import CaptionsChoice, KeywordsChoice, MetricChoice, VectorMetric

DocumentStatus = Literal["queued", "processing", "ready", "failed", "cancelled"]
ContextPlacement = Literal["ranked", "edges"]
"""`ranked`: best evidence first. `edges`: the best first, the second best last, the weakest in the middle."""

ContextTemplate = Literal["numbered", "sections"]
"""`numbered`: one list of excerpts. `sections`: one list for each kind, under "Relevant documents:", "Relevant tables:" and "Relevant code:"."""


BudgetChoice = Annotated[
    Annotated[int, Field(ge=16, le=100_000)] | None,
    Field(
        description="most tokens of evidence; by default half of what the answer leaves of the model's context, and 1,500 at most. "
        "Never more than three quarters of what it leaves"
    ),
]
DegradedPart = Literal["rewriter", "reranker", "image_embedder"]
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
    "subtitles": "vtt srt",
    "image": "png jpg jpeg webp gif",
    "recording": "mp3 mpga wav m4a flac ogg webm mp4 mov mkv mpeg mpg",
}
"""The formats of files that can be ingested, with the endings of their names."""
DOCUMENT_SUFFIXES = {f".{ending}": name for name, endings in DOCUMENT_FORMATS.items() for ending in endings.split()}
_VERSION = "opaque; another one once a document of the searched stores, one of their settings or a model or setting of the service has changed"
_DEGRADED = "what was asked for and was away: the chat model that rewrites, or the model that reranks; rules and features stood in"
_TIME = "where in the recording or video it is said or seen, of recordings and subtitles"
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
    """A document and how far its ingestion is; `error` says what to change when `status` is `failed`, and until it is ready what it waited for last."""

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
    transcribed_s: TranscribedSeconds = None
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


class TimeSpan(Reply):
    """From which second of a recording to which other one; the end is null where it is not known."""

    start_s: int
    end_s: int | None = None


class MatchedChunk(Reply):
    """A chunk that was found inside what is given."""

    chunk_id: str
    start: int
    end: int
    score: float


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
    matched: Annotated[
        tuple[MatchedChunk, ...],
        Field(description="with `parent`: the chunks that were found in this text, best first"),
    ] = ()
    thumbnail: Annotated[str | None, Field(description="path of a small WebP, where the document is an image")] = None
    time: Annotated[TimeSpan | None, Field(description=_TIME)] = None


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
    missing_stores: Annotated[
        Literal["leave_out"] | None,
        Field(
            description="search the stores that are there, and name the others; without it one that is missing is 404"
        ),
    ] = None

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
    attributes: Annotated[Attributes, Field(description="the document's metadata")] = {}
    time: Annotated[TimeSpan | None, Field(description=_TIME)] = None


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
    missing_store_ids: Annotated[
        tuple[str, ...], Field(description="stores that are not there or have expired, with `missing_stores`")
    ] = ()


class Deleted(Reply):
    """Something was deleted."""

    id: str
    object: str
    deleted: bool = True


class RetrievalPolicy(RankingControl, Reply):
    """Retrieval that a policy switches on for each request of its route; `beside_guard` asks before the input guard is done.

    A request's own `sluice.retrieval` says what it wants otherwise, field by field; its filters narrow those of the policy.
    """

    vector_store_ids: tuple[str, ...] = ()
    on_error: Literal["fail", "continue"] = "fail"
    when: Literal["after_guard", "beside_guard"] = "after_guard"
    placement: ContextPlacement = "ranked"
    follow_ups: bool = True
    understand: QueryUnderstanding | None = None
    template: ContextTemplate = "numbered"
    memory: MemoryUse | None = None
    budget_tokens: BudgetChoice = None
