"""API keys: /admin/keys, and /v1/key for the holder of one."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from sluice.contracts.gateway import (
    ApiKey,
    CreateApiKey,
    CreatedApiKey,
    Id,
    OwnApiKey,
    RotateApiKey,
    Tenant,
    UpdateApiKey,
)
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import (
    ExpiryPast,
    IdempotencyKeyReused,
    KeyNotFound,
    KeyRevoked,
    OrganizationNotFound,
    PlacementRefused,
    PolicyUnknown,
    TeamNotFound,
    UserTypeUnknown,
)
from sluice_gateway.domain.key_admin import MadeKey
from sluice_gateway.domain.leases import window_at
from sluice_gateway.domain.usage import UsageFilter
from sluice_gateway.routes.admin import OperatorDep, OperatorsTrailDep, PathId
from sluice_gateway.routes.public import ErrorReply, PublicRoute, ReaderDep
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/keys", tags=["keys"], responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable)
)
own = APIRouter(
    prefix="/v1/key",
    tags=["keys"],
    route_class=PublicRoute,
    responses={
        401: {"model": ErrorReply, "description": "No API key, or not a valid one"},
        403: {"model": ErrorReply, "description": "The key may not read"},
        404: {"model": ErrorReply, "description": "The key is gone"},
        503: {"model": ErrorReply, "description": "The database is away"},
    },
)
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=200,
        description="any unique text; the same request with the same value makes one key, for 24 hours",
    ),
]


class KeyQuery(PageQuery):
    """Which keys are wanted."""

    after: Annotated[Cursor | None, id_of("key")] = None
    tenant: Tenant | None = None
    organization_id: Id | None = None
    team_id: Id | None = None


@router.post(
    "",
    status_code=201,
    summary="Make an API key",
    responses=problem_responses(
        IdempotencyKeyReused,
        PolicyUnknown,
        UserTypeUnknown,
        PlacementRefused,
        ExpiryPast,
        OrganizationNotFound,
        TeamNotFound,
    ),
)
async def create_key(
    body: CreateApiKey,
    deps: DepsDep,
    trail: OperatorsTrailDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> CreatedApiKey:
    """Make a key for a team, an organisation or a tenant. The answer holds the key itself, which is shown this once."""
    made = await deps.keys.create(body, trail, idempotency_key)
    if made.replayed:
        response.headers["idempotent-replayed"] = "true"
    return _with_secret(made, response, trail.at)


@router.get("", summary="List API keys", responses=problem_responses(OrganizationNotFound))
async def list_keys(query: Annotated[KeyQuery, Query()], deps: DepsDep, actor: OperatorDep) -> Page[ApiKey]:
    """List keys, newest first, without their secrets; revoked ones too. An admin key sees those of its organisation."""
    rows = await deps.key_store.page(
        tenant=query.tenant,
        organization_id=actor.within(query.organization_id),
        team_id=query.team_id,
        limit=query.limit,
        after=query.after,
        order=query.order,
    )
    now = deps.clock.now()
    return Page[ApiKey].of([row.shown(now) for row in rows], query.limit)


@router.get("/{key_id}", summary="Get an API key", responses=problem_responses(KeyNotFound))
async def get_key(key_id: PathId, deps: DepsDep, actor: OperatorDep) -> ApiKey:
    """Return one key without its secret."""
    return (await deps.key_store.get(key_id, actor.organization_id)).shown(deps.clock.now())


@router.patch(
    "/{key_id}",
    summary="Change an API key",
    responses=problem_responses(
        KeyNotFound, KeyRevoked, TeamNotFound, PolicyUnknown, UserTypeUnknown, PlacementRefused
    ),
)
async def change_key(key_id: PathId, body: UpdateApiKey, deps: DepsDep, trail: OperatorsTrailDep) -> ApiKey:
    """Change what is given; all gateway processes follow within a second. `disabled` stops the key until it is enabled."""
    return (await deps.keys.change(key_id, body, trail)).shown(trail.at)


@router.post("/{key_id}/rotate", summary="Rotate an API key", responses=problem_responses(KeyNotFound, KeyRevoked))
async def rotate_key(
    key_id: PathId, deps: DepsDep, trail: OperatorsTrailDep, response: Response, body: RotateApiKey | None = None
) -> CreatedApiKey:
    """Give a key a new secret, shown this once; the old one, and those before it, work for another `grace_s` seconds at most, by default not at all."""
    return _with_secret(await deps.keys.rotate(key_id, body or RotateApiKey(), trail), response, trail.at)


@router.delete("/{key_id}", summary="Revoke an API key", responses=problem_responses(KeyNotFound))
async def revoke_key(key_id: PathId, deps: DepsDep, trail: OperatorsTrailDep) -> ApiKey:
    """Revoke a key for good; all gateway processes refuse it within a second. Its usage stays."""
    return (await deps.keys.revoke(key_id, trail)).shown(trail.at)


@own.get("", summary="Get your API key")
async def get_own_key(deps: DepsDep, key: ReaderDep) -> OwnApiKey:
    """Return the key that asks, without its secret: what it may do, its limits, when it ends, and what it has spent.

    Its team and organisation may narrow its models and have limits of their own.
    """
    now = deps.clock.now()
    shown = (await deps.key_store.get(key.key_id, key.organization_id)).shown(now)
    spent = {
        kind: (await deps.usage.totals(UsageFilter(key_id=key.key_id, since=window_at(kind, now).begins))).cost_usd
        for kind in ("day", "month")
    }
    return OwnApiKey(**shown.model_dump(), spent_today_usd=spent["day"], spent_this_month_usd=spent["month"])


def _with_secret(made: MadeKey, response: Response, now: float) -> CreatedApiKey:
    response.headers["cache-control"] = "no-store"
    return CreatedApiKey(**made.key.shown(now).model_dump(), key=made.secret)
