"""Teams: /admin/teams."""

from typing import Annotated

from fastapi import APIRouter, Query

from sluice.contracts.gateway import Id, KeyName
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.contracts.tenancy import CreateTeam, Deleted, Team, UpdateTeam
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import NameTaken, NotEmpty, OrganizationNotFound, PlacementRefused, TeamNotFound
from sluice_gateway.routes.admin import OperatorDep, OperatorsTrailDep, PathId
from sluice_gateway.routes.organizations import Cascade
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/teams", tags=["teams"], responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable)
)


class TeamQuery(PageQuery):
    """Which teams are wanted."""

    after: Annotated[Cursor | None, id_of("team")] = None
    organization_id: Id | None = None
    name: KeyName | None = None


@router.post(
    "",
    status_code=201,
    summary="Make a team",
    responses=problem_responses(OrganizationNotFound, NameTaken, PlacementRefused),
)
async def create_team(body: CreateTeam, deps: DepsDep, trail: OperatorsTrailDep) -> Team:
    """Make a team of an organisation, with its models and limits."""
    return (await deps.tenancy.create_team(body, trail)).shown()


@router.get("", summary="List teams", responses=problem_responses(OrganizationNotFound))
async def list_teams(query: Annotated[TeamQuery, Query()], deps: DepsDep, actor: OperatorDep) -> Page[Team]:
    """List teams, newest first; an admin key sees those of its organisation."""
    rows = await deps.tenancy_store.teams(
        within=actor.within(query.organization_id),
        name=query.name,
        limit=query.limit,
        after=query.after,
        order=query.order,
    )
    return Page[Team].of([row.shown() for row in rows], query.limit)


@router.get("/{team_id}", summary="Get a team", responses=problem_responses(TeamNotFound))
async def get_team(team_id: PathId, deps: DepsDep, actor: OperatorDep) -> Team:
    """Return one team."""
    return (await deps.tenancy_store.team(team_id, actor.organization_id)).shown()


@router.patch("/{team_id}", summary="Change a team", responses=problem_responses(TeamNotFound, NameTaken))
async def change_team(team_id: PathId, body: UpdateTeam, deps: DepsDep, trail: OperatorsTrailDep) -> Team:
    """Change what is given; its keys follow in all gateway processes within a second. `disabled` stops them all."""
    return (await deps.tenancy.change_team(team_id, body, trail)).shown()


@router.delete("/{team_id}", summary="Delete a team", responses=problem_responses(TeamNotFound, NotEmpty))
async def delete_team(team_id: PathId, deps: DepsDep, trail: OperatorsTrailDep, cascade: Cascade = False) -> Deleted:
    """Delete a team for good. Its usage and audit records stay."""
    removal = await deps.tenancy.delete_team(team_id, cascade=cascade, trail=trail)
    return Deleted(id=removal.deleted.id, object="team.deleted", keys_revoked=removal.keys)
