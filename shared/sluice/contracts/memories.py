"""Long-term memory: what is known of an end user, kept from one conversation to the next (F166)."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, field_validator

from sluice.contracts.base import MetadataKey, MetadataValue, Reply, Request
from sluice.contracts.paging import PageQuery

MemoryKind = Literal["knowledge", "experience", "preference"]
"""`knowledge`: facts. `experience`: what was done and how it came out. `preference`: how the user wants it."""

UserId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
MemoryText = Annotated[str, Field(min_length=1, max_length=2000)]
MemoryMetadata = Annotated[
    dict[MetadataKey, StrictBool | StrictInt | StrictFloat | MetadataValue], Field(max_length=10)
]
Lifetime = Annotated[float, Field(ge=1e-5, le=3650, description="it is forgotten so many days after this request")]
RESERVED = frozenset({"user", "kind", "created_at", "expires_at"})


def _own_keys(metadata: MemoryMetadata | None) -> MemoryMetadata | None:
    taken = sorted(RESERVED.intersection(metadata or {}))
    if taken:
        raise ValueError(f"{', '.join(taken)} are fields of a memory; use other keys in metadata")
    return metadata


class MemoryCreate(Request):
    """Remember something of an end user; the same text of the same kind is remembered once."""

    user: UserId
    content: MemoryText
    kind: MemoryKind = "knowledge"
    metadata: MemoryMetadata = {}
    expires_after_days: Lifetime | None = None

    _own = field_validator("metadata")(_own_keys)


class MemoryUpdate(Request):
    """Change a memory; what is left out stays as it is."""

    content: MemoryText | None = None
    kind: MemoryKind | None = None
    metadata: MemoryMetadata | None = None
    expires_after_days: Lifetime | None = None

    _own = field_validator("metadata")(_own_keys)


class Memory(Reply):
    """Something that is remembered. It is listed at once, and found by searches once it is `ready`."""

    id: str
    object: Literal["memory"] = "memory"
    user: str
    kind: MemoryKind
    content: str
    metadata: MemoryMetadata = {}
    status: Literal["queued", "processing", "ready", "failed", "cancelled"]
    created_at: int
    updated_at: int
    expires_at: int | None = None


class MemoryQuery(PageQuery):
    """Which memories."""

    user: UserId
    kind: MemoryKind | None = None


class MemoryUse(Request):
    """Which memories are put before a question; `user` is whoever the request names if it is left out."""

    user: UserId | None = None
    kinds: Annotated[tuple[MemoryKind, ...], Field(min_length=1, max_length=3)] = (
        "knowledge",
        "experience",
        "preference",
    )
    top_k: Annotated[int, Field(ge=1, le=20)] = 5


class MemorySearch(MemoryUse):
    """Search the memories of one end user."""

    user: UserId
    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    min_score: float | None = None


class FoundMemory(Reply):
    """A memory that matches; `score` is comparable only inside one answer."""

    score: float
    memory: Memory


class MemoriesFound(Reply):
    """Best matches first."""

    object: Literal["list"] = "list"
    data: tuple[FoundMemory, ...]


class MemoriesForgotten(Reply):
    """All that was remembered of an end user is gone."""

    object: Literal["memory.user.deleted"] = "memory.user.deleted"
    user: str
    deleted: int
