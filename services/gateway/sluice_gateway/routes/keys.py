"""API keys: /admin/keys."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from sluice.contracts.gateway import ApiKey, CreateApiKey, CreatedApiKey, Tenant, UpdateApiKey
from sluice.contracts.paging import Page, PageQuery
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import IdempotencyKeyReused, KeyNotFound, KeyRevoked, PolicyUnknown
from sluice_gateway.domain.keys import StoredKey
from sluice_gateway.routes.admin import AdministratorDep
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/keys", tags=["keys"], responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable)
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

    tenant: Tenant | None = None


@router.post(
    "", status_code=201, summary="Make an API key", responses=problem_responses(IdempotencyKeyReused, PolicyUnknown)
)
async def create_key(
    body: CreateApiKey, deps: DepsDep, _: AdministratorDep, response: Response, idempotency_key: IdempotencyKey = None
) -> CreatedApiKey:
    """Make a key for a tenant. The answer holds the key itself, which is shown this once."""
    made = await deps.keys.create(body, idempotency_key)
    response.headers["cache-control"] = "no-store"
    if made.replayed:
        response.headers["idempotent-replayed"] = "true"
    return CreatedApiKey(**_shown(made.key, deps.clock.now()).model_dump(), key=made.secret)


@router.get("", summary="List API keys")
async def list_keys(query: Annotated[KeyQuery, Query()], deps: DepsDep, _: AdministratorDep) -> Page[ApiKey]:
    """List keys, newest first, without their secrets; revoked ones too."""
    now = deps.clock.now()
    rows = await deps.key_store.page(tenant=query.tenant, limit=query.limit, after=query.after, order=query.order)
    return Page[ApiKey].of([_shown(row, now) for row in rows], query.limit)


@router.get("/{key_id}", summary="Get an API key", responses=problem_responses(KeyNotFound))
async def get_key(key_id: str, deps: DepsDep, _: AdministratorDep) -> ApiKey:
    """Return one key without its secret."""
    return _shown(await deps.key_store.get(key_id), deps.clock.now())


@router.patch(
    "/{key_id}", summary="Change an API key", responses=problem_responses(KeyNotFound, KeyRevoked, PolicyUnknown)
)
async def change_key(key_id: str, body: UpdateApiKey, deps: DepsDep, _: AdministratorDep) -> ApiKey:
    """Change what is given; all gateway processes follow within a second."""
    return _shown(await deps.keys.change(key_id, body), deps.clock.now())


@router.delete("/{key_id}", summary="Revoke an API key", responses=problem_responses(KeyNotFound))
async def revoke_key(key_id: str, deps: DepsDep, _: AdministratorDep) -> ApiKey:
    """Revoke a key for good; all gateway processes refuse it within a second. Its usage stays."""
    return _shown(await deps.keys.revoke(key_id), deps.clock.now())


def _shown(key: StoredKey, now: float) -> ApiKey:
    return ApiKey(
        id=key.id,
        name=key.name,
        tenant=key.tenant,
        prefix=key.prefix,
        status=key.status(now),
        models=key.models,
        policy=key.policy,
        metadata=key.metadata,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
