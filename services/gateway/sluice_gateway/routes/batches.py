"""Batches: OpenAI's /v1/batches."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from sluice.contracts.batches import Batch, BatchCreate
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.ids import new_id
from sluice_gateway.domain.batches import BatchKey, OnBehalf
from sluice_gateway.routes.admin import PathId
from sluice_gateway.routes.described import public_errors
from sluice_gateway.routes.public import KeyDep, PublicRoute
from sluice_gateway.wiring import DepsDep

router = APIRouter(prefix="/v1/batches", tags=["batches"], route_class=PublicRoute)

Repetition = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="any unique text; the same request with the same value makes one batch, for 24 hours",
    ),
]


@router.post("", summary="Make a batch", responses=public_errors(403, 422, 429))
async def create_batch(
    body: BatchCreate, key: KeyDep, deps: DepsDep, response: Response, repetition: Repetition = None
) -> Batch:
    """Have the requests of a file answered when there is room, with the rights and limits of this API key."""
    now = deps.clock.now()
    owner = OnBehalf(key.tenant, key.key_id)
    look_at = now + deps.settings.batch_resend_s
    with deps.batch_metrics.refusals():
        stored = await deps.batches.add(new_id("batch"), owner, body, repetition, now, look_at)
    if stored.replayed:
        response.headers["idempotent-replayed"] = "true"
        return stored.batch
    deps.batch_metrics.created.inc()
    await wake(deps, key.tenant, stored.batch.id)
    return stored.batch


@router.get("", summary="List batches", responses=public_errors(400))
async def list_batches(
    key: KeyDep,
    deps: DepsDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[Cursor | None, id_of("batch", "msgbatch"), Query()] = None,
) -> Page[Batch]:
    """List the tenant's batches, newest first."""
    return Page[Batch].of(await deps.batches.page(key.tenant, PageQuery(limit=limit, after=after)), limit)


@router.get("/{batch_id}", summary="Get a batch", responses=public_errors(404))
async def get_batch(batch_id: PathId, key: KeyDep, deps: DepsDep) -> Batch:
    """Return a batch with how many of its requests are answered."""
    return await deps.batches.get(key.tenant, batch_id)


@router.post("/{batch_id}/cancel", summary="Cancel a batch", responses=public_errors(404, 409))
async def cancel_batch(batch_id: PathId, key: KeyDep, deps: DepsDep) -> Batch:
    """Have a batch end early; what was answered by then is in its files."""
    batch = await deps.batches.cancel(key.tenant, batch_id, deps.clock.now())
    await wake(deps, key.tenant, batch_id)
    return batch


async def wake(deps: DepsDep, tenant: str, batch_id: str) -> None:
    """Have a batch looked at. A queue that cannot be reached is no error: the batch is kept, and the sweep sends it later."""
    deps.sweep.wake()
    await deps.batch_queue.send(BatchKey(tenant, batch_id))
