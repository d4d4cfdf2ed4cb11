"""Who may use the admin API: the platform's administrator for everything, an organisation's admin key for its own."""

from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials

from sluice.auth import Caller, Doorkeeper, bearer
from sluice.errors import Forbidden, Unauthorized
from sluice.ids import new_id
from sluice.service import request_id_of
from sluice_gateway.dataplane.errors import InvalidKey, NotPermitted
from sluice_gateway.dataplane.stages.authenticate import authenticate
from sluice_gateway.domain.audit import ADMINISTRATOR, Actor, Trail
from sluice_gateway.domain.keys import KEY_BRAND
from sluice_gateway.wiring import Deps, DepsDep

PathId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def require_asker(request: Request, deps: DepsDep, credentials: _Bearer) -> Actor | Caller:
    """FastAPI dependency: the administrator, an admin key, or a service (a `Caller`); else 401 or 403."""
    # A coroutine, so that FastAPI runs it in the loop: the key ring belongs to that thread.
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    credential = credentials.credentials if credentials else None
    try:
        caller = doorkeeper.admit(credential, request.headers.get("x-sluice-tenant"))
    except Unauthorized:
        if credential is None or not credential.startswith(KEY_BRAND):
            raise
        return _admin_key(deps, request.headers.get("authorization", "").encode("latin-1"))
    return ADMINISTRATOR if caller.role == "admin" else caller


async def require_operator(asker: Annotated[Actor | Caller, Depends(require_asker)]) -> Actor:
    """FastAPI dependency: the administrator or an admin key, or 403."""
    if isinstance(asker, Caller):
        raise Forbidden("Only the administrator may do this; send the administrator's key, or an admin API key.")
    return asker


async def require_administrator(actor: Annotated[Actor, Depends(require_operator)]) -> Actor:
    """FastAPI dependency: the platform's administrator, or 403."""
    if actor.organization_id is not None:
        raise Forbidden("Only the platform's administrator may do this; an admin key administers its own organisation.")
    return actor


async def require_tenant(asker: Annotated[Actor | Caller, Depends(require_asker)]) -> str | None:
    """FastAPI dependency: the tenant whose usage may be read, None for all; services read on behalf of one."""
    if isinstance(asker, Caller) and asker.role == "member":
        raise Forbidden("Only the administrator or another service may do this.")
    return asker.tenant


OperatorDep = Annotated[Actor, Depends(require_operator)]
AdministratorDep = Annotated[Actor, Depends(require_administrator)]
TenantDep = Annotated[str | None, Depends(require_tenant)]


def operators_trail(request: Request, actor: OperatorDep, deps: DepsDep) -> Trail:
    """FastAPI dependency: what a change by the administrator or an admin key leaves in the audit log."""
    return Trail(actor, request_id_of(request), deps.clock.now(), new_id)


def administrators_trail(request: Request, actor: AdministratorDep, deps: DepsDep) -> Trail:
    """FastAPI dependency: what a change by the administrator leaves in the audit log."""
    return Trail(actor, request_id_of(request), deps.clock.now(), new_id)


OperatorsTrailDep = Annotated[Trail, Depends(operators_trail)]
AdministratorsTrailDep = Annotated[Trail, Depends(administrators_trail)]


def _admin_key(deps: Deps, authorization: bytes) -> Actor:
    try:
        key = authenticate(deps.ring, authorization, deps.clock.now(), "administer")
    except InvalidKey as exc:
        raise Unauthorized(exc.message, headers={"WWW-Authenticate": "Bearer"}) from exc
    except NotPermitted as exc:
        raise Forbidden(exc.message) from exc
    return Actor("api_key", key.key_id, key.organization_id, key.tenant)
