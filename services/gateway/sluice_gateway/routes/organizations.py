"""Organisations: /admin/organizations."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from sluice.contracts.gateway import KeyName, Tenant
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.contracts.tenancy import CreateOrganization, Deleted, Organization, UpdateOrganization
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import NameTaken, NotEmpty, OrganizationNotFound
from sluice_gateway.routes.admin import AdministratorsTrailDep, OperatorDep, PathId
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/organizations",
    tags=["organizations"],
    responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable),
)
Cascade = Annotated[
    bool,
    Query(description="delete also what is inside: teams are deleted and keys revoked; without it that is refused"),
]


class OrganizationQuery(PageQuery):
    """Which organisations are wanted."""

    after: Annotated[Cursor | None, id_of("org")] = None
    name: KeyName | None = None
    tenant: Tenant | None = Field(None, description="the word under which its data and usage are kept")


@router.post("", status_code=201, summary="Make an organisation", responses=problem_responses(NameTaken))
async def create_organization(body: CreateOrganization, deps: DepsDep, trail: AdministratorsTrailDep) -> Organization:
    """Make an organisation, with its models, regions and limits."""
    return (await deps.tenancy.create_organization(body, trail)).shown()


@router.get("", summary="List organisations")
async def list_organizations(
    query: Annotated[OrganizationQuery, Query()], deps: DepsDep, actor: OperatorDep
) -> Page[Organization]:
    """List organisations, newest first; an admin key sees its own."""
    rows = await deps.tenancy_store.organizations(
        within=actor.organization_id,
        name=query.name,
        tenant=query.tenant,
        limit=query.limit,
        after=query.after,
        order=query.order,
    )
    return Page[Organization].of([row.shown() for row in rows], query.limit)


@router.get("/{organization_id}", summary="Get an organisation", responses=problem_responses(OrganizationNotFound))
async def get_organization(organization_id: PathId, deps: DepsDep, actor: OperatorDep) -> Organization:
    """Return one organisation."""
    return (await deps.tenancy_store.organization(organization_id, actor.organization_id)).shown()


@router.patch(
    "/{organization_id}",
    summary="Change an organisation",
    responses=problem_responses(OrganizationNotFound, NameTaken),
)
async def change_organization(
    organization_id: PathId, body: UpdateOrganization, deps: DepsDep, trail: AdministratorsTrailDep
) -> Organization:
    """Change what is given; its keys follow in all gateway processes within a second. `disabled` stops them all."""
    return (await deps.tenancy.change_organization(organization_id, body, trail)).shown()


@router.delete(
    "/{organization_id}",
    summary="Delete an organisation",
    responses=problem_responses(OrganizationNotFound, NotEmpty),
)
async def delete_organization(
    organization_id: PathId, deps: DepsDep, trail: AdministratorsTrailDep, cascade: Cascade = False
) -> Deleted:
    """Delete an organisation for good. Its usage and audit records stay, and its tenant is never given to another."""
    removal = await deps.tenancy.delete_organization(organization_id, cascade=cascade, trail=trail)
    return Deleted(
        id=removal.deleted.id,
        object="organization.deleted",
        teams_deleted=removal.teams,
        keys_revoked=removal.keys,
    )
