"""Vector stores and their files in OpenAI's shape, where it differs from our own (`sluice.contracts.retrieval`)."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, model_validator

from sluice.contracts.base import Metadata, MetadataKey, MetadataValue, Reply, Request
from sluice.contracts.files import FileId
from sluice.contracts.paging import Cursor, PageQuery
from sluice.contracts.questions import QueryUnderstanding
from sluice.contracts.vector_ranking import CaptionsChoice

FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]
FileAttributes = Annotated[
    dict[MetadataKey, StrictBool | StrictInt | StrictFloat | MetadataValue], Field(max_length=16)
]
MAX_BATCH = 500


class _Open(Request):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StaticChunking(_Open):
    """Windows of tokens."""

    max_chunk_size_tokens: Annotated[int, Field(ge=16, le=4096)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0, le=2048)]


class ChunkingStrategyChoice(_Open):
    """`auto` takes the store's own way; `static` cuts windows (at most 512 tokens: what is more is brought down to it)."""

    type: Literal["auto", "static", "other"]
    static: StaticChunking | None = None


class StoreExpiry(_Open):
    """A store ends so many days after it was last searched or changed."""

    anchor: Literal["last_active_at"] = "last_active_at"
    days: Annotated[int, Field(ge=1, le=365)]


class FileCounts(Reply):
    """How many files are in which state."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class VectorStoreUpdate(_Open):
    """Change a vector store; what is left out stays as it is, and `expires_after: null` lets it live for ever."""

    name: Annotated[str, Field(max_length=200)] | None = None
    metadata: Metadata | None = None
    expires_after: StoreExpiry | None = None
    understand: QueryUnderstanding | None = None
    captions: CaptionsChoice | None = None

    @model_validator(mode="before")
    @classmethod
    def _leaves_what_is_fixed(cls, given: Any) -> Any:
        for name in ("metric", "keywords"):
            if isinstance(given, dict) and given.get(name) is not None:
                raise ValueError(f"{name} is fixed when a store is made; make another store")
        return given


class FileAdd(_Open):
    """Add a file that was uploaded with POST /v1/files."""

    file_id: FileId
    attributes: FileAttributes | None = None
    chunking_strategy: ChunkingStrategyChoice | None = None


class BatchEntry(_Open):
    """One file of a batch with attributes of its own."""

    file_id: FileId
    attributes: FileAttributes | None = None
    chunking_strategy: ChunkingStrategyChoice | None = None


class FileBatchCreate(_Open):
    """Add several files at once: `file_ids` with the same attributes, or `files` with their own."""

    file_ids: Annotated[tuple[FileId, ...], Field(max_length=MAX_BATCH)] = ()
    files: Annotated[tuple[BatchEntry, ...], Field(max_length=MAX_BATCH)] = ()
    attributes: FileAttributes | None = None
    chunking_strategy: ChunkingStrategyChoice | None = None


class FileUpdate(_Open):
    """Change a file's attributes."""

    attributes: FileAttributes | None


class LastError(Reply):
    """Why a file could not be ingested, or as long as it is in progress what it waited for last (`server_error`)."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


TranscribedSeconds = Annotated[
    float | None,
    Field(
        description="seconds of a recording that were written down so far, and its length at the end; null for other documents"
    ),
]


class VectorStoreFile(Reply):
    """A file of a vector store; documents that were added as text are files too, under their document's id."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    status: FileStatus
    last_error: LastError | None = None
    usage_bytes: int
    attributes: FileAttributes = {}
    document_id: str
    filename: str
    indexed_chunks: int = 0
    planned_chunks: int | None = None
    transcribed_s: TranscribedSeconds = None
    chunking_strategy: Annotated[
        ChunkingStrategyChoice, Field(description="`static` if the file was added with one; `other`: the store's")
    ] = ChunkingStrategyChoice(type="other")


class FileBatch(Reply):
    """Files that were added together."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: FileCounts


class FileQuery(PageQuery):
    """Which part of a list of files."""

    before: Cursor | None = None
    filter: FileStatus | None = None


class TextPart(Reply):
    """Text."""

    type: Literal["text"] = "text"
    text: str


class FileContent(Reply):
    """A file's text, as it was extracted."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: tuple[TextPart, ...]
    has_more: bool = False
    next_page: str | None = None
