"""Prices of models: /admin/prices."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from sluice.contracts.gateway import ModelName
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.contracts.prices import ModelPriceList, PriceOverride, SetPrice
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import PriceNotFound, SnapshotMissing
from sluice_gateway.domain.prices import model_prices, stored_price
from sluice_gateway.routes.admin import AdministratorDep, AdministratorsTrailDep, PathId
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/prices", tags=["prices"], responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable)
)


class OverrideQuery(PageQuery):
    """Which overrides are wanted."""

    after: Annotated[Cursor | None, id_of("price")] = None
    model: ModelName | None = None
    deleted: bool = Field(False, description="deleted ones as well")


@router.get("", summary="What models cost", responses=problem_responses(SnapshotMissing))
async def list_prices(
    deps: DepsDep,
    _actor: AdministratorDep,
    model: Annotated[ModelName | None, Query(description="this one only")] = None,
) -> ModelPriceList:
    """Return each model's price now, where it comes from and in which version, and the overrides that are set."""
    await deps.routing.probe()
    assert deps.routing.current is not None
    found = model_prices(deps.routing.current, deps.prices.overrides, deps.clock.now())
    return ModelPriceList(data=tuple(one for one in found if model in (None, one.model)))


@router.get("/overrides", summary="List price overrides")
async def list_overrides(
    query: Annotated[OverrideQuery, Query()], deps: DepsDep, _actor: AdministratorDep
) -> Page[PriceOverride]:
    """List the prices that were set here, newest first."""
    rows = await deps.price_store.page(
        model=query.model, deleted=query.deleted, limit=query.limit, after=query.after, order=query.order
    )
    return Page[PriceOverride].of([row.shown() for row in rows], query.limit)


@router.post("/overrides", status_code=201, summary="Set a price")
async def set_price(body: SetPrice, deps: DepsDep, trail: AdministratorsTrailDep) -> PriceOverride:
    """Set what a model costs from a time on, in all gateways within a second. A price in models.yaml comes before it."""
    stored = await deps.price_store.add(stored_price(body, trail.new_id("price"), trail.at), trail)
    await deps.prices.changed()
    return stored.shown()


@router.get("/overrides/{price_id}", summary="Get a price override", responses=problem_responses(PriceNotFound))
async def get_override(price_id: PathId, deps: DepsDep, _actor: AdministratorDep) -> PriceOverride:
    """Return one override, also when it is deleted: usage records name it as `price_source`."""
    return (await deps.price_store.get(price_id)).shown()


@router.delete("/overrides/{price_id}", summary="Delete a price override", responses=problem_responses(PriceNotFound))
async def delete_override(price_id: PathId, deps: DepsDep, trail: AdministratorsTrailDep) -> PriceOverride:
    """Let an override hold no more; what was charged at it stays."""
    deleted = await deps.price_store.delete(price_id, trail)
    await deps.prices.changed()
    return deleted.shown()
