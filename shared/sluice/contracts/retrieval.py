"""Vector stores, documents, search and context, as the retrieval service speaks them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sluice.contracts.base import Metadata, Reply, Request

SearchMode = Literal["hybrid", "dense", "bm25"]
DocumentStatus = Literal["queued", "processing", "ready", "failed"]
ContextPlacement = Literal["ranked", "edges"]
"""`ranked`: best evidence first. `edges`: the best first, the second best last, the weakest in the middle."""


class ChunkingOptions(Request):
    """How documents of a store are cut; sizes are tokens of the embedding model."""

    strategy: Annotated[
        Literal["fixed", "sentence", "paragraph"],
        Field(
            description="fixed: windows of tokens; sentence: whole sentences; paragraph: whole paragraphs, no overlap"
        ),
    ] = "paragraph"
    max_tokens: Annotated[int, Field(ge=16, le=512, description="a chunk never has more")] = 200
    overlap_tokens: Annotated[
        int, Field(ge=0, le=256, description="repeated from the chunk before; at most half of max_tokens is used")
    ] = 30


class VectorStoreCreate(Request):
    """Make a vector store."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    chunking: ChunkingOptions = ChunkingOptions()
    metadata: Metadata = {}


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


class DocumentCreate(Request):
    """Ingest one document given as text; the same `name` in a store replaces the document that was there."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    text: str
    media_type: Literal["text/plain", "text/markdown"] = "text/plain"
    metadata: Metadata = {}


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
    chunks: int
    created_at: int
    metadata: Metadata = {}


class SearchRequest(Request):
    """Search one store."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    mode: SearchMode = "hybrid"


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


class SearchReply(Reply):
    """Best matches first."""

    object: Literal["vector_store.search_results"] = "vector_store.search_results"
    mode: SearchMode
    data: tuple[SearchHit, ...]


class ContextRequest(Request):
    """Evidence for a question out of several stores, cut to a token budget."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    vector_store_ids: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    mode: SearchMode = "hybrid"
    budget_tokens: Annotated[int, Field(ge=16, le=100_000)] = 1500
    placement: ContextPlacement = "ranked"


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


class Deleted(Reply):
    """Something was deleted."""

    id: str
    object: str
    deleted: bool = True


class EmbeddingRequest(Request):
    """OpenAI's shape of an embeddings request; fields that it does not name are passed over.

    Texts only: arrays of token ids belong to another model's tokenizer and are refused.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    input: str | tuple[str, ...] | tuple[int, ...] | tuple[tuple[int, ...], ...]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class EmbeddingReplyItem(Reply):
    """One vector: numbers, or base64 of little-endian 32-bit floats."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: tuple[float, ...] | str


class EmbeddingUsage(Reply):
    """What the embedding model read, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingReply(Reply):
    """OpenAI's shape of an embeddings answer."""

    object: Literal["list"] = "list"
    data: tuple[EmbeddingReplyItem, ...]
    model: str
    usage: EmbeddingUsage
