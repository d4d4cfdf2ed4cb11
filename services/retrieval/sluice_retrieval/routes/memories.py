"""Long-term memory of end users (F166)."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from sluice.auth import CallerDep
from sluice.contracts.memories import (
    MemoriesForgotten,
    MemoriesFound,
    Memory,
    MemoryCreate,
    MemoryQuery,
    MemorySearch,
    MemoryUpdate,
    UserId,
)
from sluice.contracts.paging import Page
from sluice.contracts.retrieval import Deleted, Document
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_retrieval.domain.documents import PLAIN, check_plain, checked_text
from sluice_retrieval.domain.errors import DocumentUnreadable, MemoryNotFound
from sluice_retrieval.domain.library import Waiting
from sluice_retrieval.routes.remembering import remembered
from sluice_retrieval.store.memories import NEVER
from sluice_retrieval.wiring import Deps, DepsDep

_GRACE_S = 5.0
_DAY_S = 86_400
_POOL = 2

router = APIRouter(prefix="/v1/memories", tags=["memory"], responses=problem_responses(Unauthorized))


@router.post(
    "",
    status_code=201,
    summary="Remember something of an end user",
    responses={
        **problem_responses(DocumentUnreadable),
        200: {"model": Memory, "description": "The user has the same text of this kind already"},
    },
)
async def add_memory(body: MemoryCreate, caller: CallerDep, deps: DepsDep, response: Response) -> Memory:
    """Remember a text; 200 with the memory that is there when the user has the same text of this kind already."""
    now = deps.clock.now()
    checked_text(body.content)
    known = await deps.memories.same(caller.tenant, body.user, body.kind, _hash(body.content), now)
    if known is not None:
        response.status_code = 200
        return known
    ends = NEVER if body.expires_after_days is None else now + body.expires_after_days * _DAY_S
    details = {**body.metadata, "user": body.user, "kind": body.kind, "created_at": int(now), "expires_at": ends}
    return await _written(deps, caller.tenant, new_id("mem"), body.content, details)


@router.get("", summary="List the memories of an end user")
async def list_memories(asked: Annotated[MemoryQuery, Query()], caller: CallerDep, deps: DepsDep) -> Page[Memory]:
    """List what is remembered of a user, newest first unless asked otherwise."""
    rows = await deps.memories.page(caller.tenant, asked, deps.clock.now())
    return Page[Memory].of(rows, asked.limit)


@router.delete("", summary="Forget an end user")
async def forget_user(user: Annotated[UserId, Query()], caller: CallerDep, deps: DepsDep) -> MemoriesForgotten:
    """Forget all that is remembered of a user; no search finds it from now on."""
    deleted = await deps.memories.forget_user(caller.tenant, user)
    deps.removing.wake()
    return MemoriesForgotten(user=user, deleted=deleted)


@router.post("/search", summary="Search memories", responses=problem_responses(DependencyUnavailable))
async def search_memories(body: MemorySearch, caller: CallerDep, deps: DepsDep) -> MemoriesFound:
    """Return the memories of one user that match a question best, by meaning and words."""
    return MemoriesFound(data=tuple(await remembered(deps, caller.tenant, body)))


@router.get("/{memory_id}", summary="Get a memory", responses=problem_responses(MemoryNotFound))
async def get_memory(memory_id: str, caller: CallerDep, deps: DepsDep) -> Memory:
    """Return one memory."""
    return await deps.memories.get(caller.tenant, memory_id, deps.clock.now())


@router.post("/{memory_id}", summary="Change a memory", responses=problem_responses(MemoryNotFound, DocumentUnreadable))
async def update_memory(memory_id: str, body: MemoryUpdate, caller: CallerDep, deps: DepsDep) -> Memory:
    """Change a memory; the old text is found until the new one is ready."""
    now = deps.clock.now()
    known = await deps.memories.get(caller.tenant, memory_id, now)
    content = known.content if body.content is None else body.content
    checked_text(content)
    ends: float = NEVER if known.expires_at is None else known.expires_at
    if body.expires_after_days is not None:
        ends = now + body.expires_after_days * _DAY_S
    details = {
        **(known.metadata if body.metadata is None else body.metadata),
        "user": known.user,
        "kind": body.kind or known.kind,
        "created_at": known.created_at,
        "expires_at": ends,
    }
    return await _written(deps, caller.tenant, memory_id, content, details)


@router.delete("/{memory_id}", summary="Forget a memory", responses=problem_responses(MemoryNotFound))
async def forget_memory(memory_id: str, caller: CallerDep, deps: DepsDep) -> Deleted:
    """Forget one memory; no search finds it from now on."""
    await deps.memories.forget(caller.tenant, memory_id)
    deps.removing.wake()
    return Deleted(id=memory_id, object="memory.deleted")


async def _written(deps: Deps, tenant: str, memory_id: str, content: str, details: dict[str, Any]) -> Memory:
    check_plain(*details, *(one for one in details.values() if isinstance(one, str)))
    now = deps.clock.now()
    document = Document(
        id=new_id("doc"),
        vector_store_id=await deps.memories.make_store(tenant, now),
        name=memory_id,
        media_type=PLAIN,
        status="queued",
        bytes=len(content.encode()),
        sha256=_hash(content),
        chunks=0,
        created_at=int(now),
        metadata=details,
    )
    await deps.library.add_document(tenant, document, content, now + _GRACE_S)
    deps.sending.wake()
    deps.dispatch.tell(Waiting(tenant, document.vector_store_id, document.id))
    return await deps.memories.get(tenant, memory_id, now)


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
