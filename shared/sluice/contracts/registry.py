"""What the registry of the router tells of itself: versions, and what each of them changed."""

from typing import Any, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request

RegistryKind = Literal["model", "route", "policy", "alias"]
RegistryAction = Literal["create", "replace", "change", "delete", "rollback"]


class RegistryChange(Reply):
    """One object of the registry before and after; `before` is null for what was made, `after` for what was deleted."""

    kind: RegistryKind
    name: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class RegistryVersion(Reply):
    """One change of the registry: who made it, when (unix seconds), in which request, and all that it changed."""

    id: str
    object: Literal["registry.version"] = "registry.version"
    version: int
    at: float
    actor: str
    action: RegistryAction
    request_id: str
    changes: tuple[RegistryChange, ...]


class HeldBack(Reply):
    """An object that was made through the API and is not in force, and why."""

    kind: RegistryKind
    name: str
    problem: str


class RegistryStatus(Reply):
    """The version in force here, how many objects were made through the API, and which of them are held back."""

    object: Literal["registry"] = "registry"
    version: int
    objects: int
    held_back: tuple[HeldBack, ...] = ()


class RegistryDeleted(Reply):
    """What was deleted, and the version of the registry without it."""

    object: Literal["registry.deleted"] = "registry.deleted"
    kind: RegistryKind
    name: str
    deleted: Literal[True] = True
    version: int


class RollbackRequest(Request):
    """Bring everything that was made through the API back to how it was at a version; 0 is before the first change."""

    version: int = Field(ge=0, le=2**53)
