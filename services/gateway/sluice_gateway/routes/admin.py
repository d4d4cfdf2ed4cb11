"""Who may use the admin API."""

from typing import Annotated

from fastapi import Depends

from sluice.auth import AdminDep, Caller
from sluice.errors import Forbidden


def require_administrator(caller: AdminDep) -> Caller:
    """FastAPI dependency: the administrator in person, or 403."""
    if caller.role != "admin":
        raise Forbidden("Only the administrator may do this; send the administrator's key.")
    return caller


AdministratorDep = Annotated[Caller, Depends(require_administrator)]
