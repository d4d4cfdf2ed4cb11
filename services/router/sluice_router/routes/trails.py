"""Who changes something: the administrator, or another service."""

from typing import Annotated

from fastapi import Depends, Request

from sluice.auth import AdminDep
from sluice.service import request_id_of
from sluice_router.domain.registry_admin import Trail
from sluice_router.wiring import DepsDep


def trail_of(request: Request, caller: AdminDep, deps: DepsDep) -> Trail:
    """FastAPI dependency: who changes something; the administrator or another service, or 403."""
    return Trail(caller.subject, request_id_of(request), deps.clock.now())


TrailDep = Annotated[Trail, Depends(trail_of)]
