"""Budgets: /admin/budgets."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from sluice.contracts.base import Request
from sluice.contracts.budgets import Budget, BudgetLevel
from sluice.contracts.gateway import Id
from sluice.contracts.paging import Page
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import OrganizationNotFound
from sluice_gateway.routes.admin import OperatorDep
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/budgets",
    tags=["budgets"],
    responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable),
)


class BudgetQuery(Request):
    """Which budgets are wanted."""

    organization_id: Id | None = None
    level: BudgetLevel | None = None
    min_share: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="only budgets of which at least this share is spent"
    )
    limit: int = Field(100, ge=1, le=1000)


@router.get("", summary="List budgets", responses=problem_responses(OrganizationNotFound))
async def list_budgets(query: Annotated[BudgetQuery, Query()], deps: DepsDep, actor: OperatorDep) -> Page[Budget]:
    """List the budgets of organisations, teams and keys with what is spent of them, the most used-up first.

    An admin key sees those of its organisation. What is in progress is not in it; usage is recorded about a second after an answer's end.
    """
    rows = await deps.budgets.most_used(
        deps.clock.now(),
        organization_id=actor.within(query.organization_id),
        level=query.level,
        min_share=query.min_share,
        most=query.limit + 1,
    )
    return Page[Budget].of(rows, query.limit)
