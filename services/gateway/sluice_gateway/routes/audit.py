"""The audit log: /admin/audit."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from sluice.contracts.gateway import Id
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.contracts.tenancy import AuditRecord, AuditTarget, AuditVerb
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.audit import AuditFilter
from sluice_gateway.domain.errors import AuditRecordNotFound, OrganizationNotFound
from sluice_gateway.routes.admin import OperatorDep, PathId
from sluice_gateway.routes.usage import At
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/audit", tags=["audit"], responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable)
)


class AuditQuery(PageQuery):
    """Which records are wanted; `from` is included, `to` is not."""

    after: Annotated[Cursor | None, id_of("aud")] = None
    organization_id: Id | None = None
    actor_id: Id | None = Field(
        None, description="`admin` for the platform's administrator, else the id of an admin key"
    )
    action: AuditVerb | None = None
    target: AuditTarget | None = None
    target_id: Id | None = None
    since: At | None = Field(None, alias="from")
    until: At | None = Field(None, alias="to")


@router.get("", summary="List changes", responses=problem_responses(OrganizationNotFound))
async def list_audit(query: Annotated[AuditQuery, Query()], deps: DepsDep, actor: OperatorDep) -> Page[AuditRecord]:
    """List the changes of organisations, teams and keys, newest first; an admin key sees those of its organisation."""
    wanted = AuditFilter(
        organization_id=actor.within(query.organization_id),
        actor_id=query.actor_id,
        action=query.action,
        target=query.target,
        target_id=query.target_id,
        since=query.since,
        until=query.until,
    )
    rows = await deps.audit_store.page(wanted, limit=query.limit, after=query.after, order=query.order)
    return Page[AuditRecord].of(rows, query.limit)


@router.get("/{record_id}", summary="Get one change", responses=problem_responses(AuditRecordNotFound))
async def get_audit(record_id: PathId, deps: DepsDep, actor: OperatorDep) -> AuditRecord:
    """Return one record of the audit log."""
    return await deps.audit_store.get(record_id, actor.organization_id)
