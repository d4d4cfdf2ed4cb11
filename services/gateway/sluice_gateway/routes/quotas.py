"""Quotas: /admin/quotas."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from sluice.contracts.base import Request
from sluice.contracts.gateway import Id
from sluice.contracts.paging import Page
from sluice.contracts.quotas import Quota, QuotaName
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import OrganizationNotFound
from sluice_gateway.domain.quotas import QUOTAS
from sluice_gateway.routes.admin import OperatorDep
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/quotas",
    tags=["quotas"],
    responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable),
)


class QuotaQuery(Request):
    """Which quotas are wanted."""

    organization_id: Id | None = None
    quota: QuotaName | None = None
    min_share: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="only quotas of which at least this share is used"
    )
    limit: int = Field(100, ge=1, le=1000)


@router.get("", summary="List quotas", responses=problem_responses(OrganizationNotFound))
async def list_quotas(query: Annotated[QuotaQuery, Query()], deps: DepsDep, actor: OperatorDep) -> Page[Quota]:
    """List how much organisations keep and have waiting of what they may, the most used-up first; an admin key sees its own organisation.

    Uploads that are under way count with what is held for them.
    """
    rows = await deps.quotas.most_used(
        organization_id=actor.within(query.organization_id),
        quotas=QUOTAS if query.quota is None else (query.quota,),
        min_share=query.min_share,
        most=query.limit + 1,
    )
    return Page[Quota].of(rows, query.limit)
