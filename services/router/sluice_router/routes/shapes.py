"""What the admin API of the registry takes and answers, besides the objects themselves."""

from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Header, Path, Query
from pydantic import BaseModel, Field, computed_field

from sluice.contracts.base import Reply
from sluice.contracts.paging import Cursor
from sluice.contracts.registry import RegistryKind
from sluice.contracts.routing import DeploymentHealth
from sluice.contracts.sizes import ModelSize, size_of
from sluice_router.domain.config import DeploymentConfig, ModelConfig, ModelName
from sluice_router.domain.registry_admin import Condition

Spec = TypeVar("Spec", bound=BaseModel)
DeclaredIn = Literal["file", "api"]

PathName = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9*][A-Za-z0-9._:/@+*-]*$")]
DryRun = Annotated[bool, Query(description="check everything and change nothing; the answer is what would be")]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        pattern=r'^(\*|"[0-9]{1,10}"(, ?"[0-9]{1,10}")*)$',
        description='the ETag that was read, such as "17"; the change is refused (412) if another one came between',
    ),
]
IfNoneMatch = Annotated[
    Literal["*"] | None, Header(alias="If-None-Match", description="`*`: only make what is not there yet")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=200,
        description="any unique text; the same request with the same value makes one object, for 24 hours",
    ),
]


class Offered(Reply):
    """What the place of a deployment lists, for a model with a star in its name: since when (unix seconds), how many models, and why the last question failed."""

    deployment: str
    listed_at: float | None
    models: int
    problem: str | None


class Object(Reply, Generic[Spec]):
    """An object of the registry: where it is declared, whether it is in force, and what was said of it.

    `version` is the registry's when it last changed, and its ETag; what models.yaml declares has none. One of the API that does not
    fit models.yaml is not in force, and `problem` says why. `size` is that of a model whose `parameters_b` is known; `offers` says of a
    model with a star what its deployments list.
    """

    object: Literal["registry.object"] = "registry.object"
    kind: RegistryKind
    name: str
    declared_in: DeclaredIn
    in_force: bool
    problem: str | None = None
    version: int | None = None
    created_at: float | None = None
    updated_at: float | None = None
    updated_by: str | None = None
    offers: tuple[Offered, ...] | None = None
    spec: Spec

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> ModelSize | None:
        """Its category by parameters, and the memory of its weights."""
        if isinstance(self.spec, ModelConfig) and self.spec.parameters_b is not None:
            return size_of(self.spec.parameters_b)
        return None


class DeploymentObject(Reply):
    """A deployment with the model that it serves, its health and its load (the share of its capacity in use, as far as known)."""

    object: Literal["registry.deployment"] = "registry.deployment"
    id: str
    model: str
    declared_in: DeclaredIn
    in_force: bool
    version: int | None = None
    health: DeploymentHealth = "unknown"
    health_reason: str | None = None
    load: float = 0.0
    spec: DeploymentConfig


class NewDeployment(DeploymentConfig):
    """A deployment for a model that was made through the API."""

    model: ModelName


class ObjectQuery(BaseModel, frozen=True, extra="forbid"):
    """Which objects are wanted: at most `limit`, by name, that come after `after`."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Cursor | None = None
    declared_in: DeclaredIn | None = None
    in_force: bool | None = None


class DeploymentQuery(ObjectQuery, frozen=True, extra="forbid"):
    """Which deployments are wanted; they come by id."""

    model: Annotated[str, Field(max_length=200)] | None = None
    health: DeploymentHealth | None = None


def condition_of(if_match: str | None, if_none_match: str | None = None) -> Condition:
    """Return what a request's headers demand of the object as it is."""
    match = None if if_match is None else frozenset(part.strip().strip('"') for part in if_match.split(","))
    return Condition(match, absent=if_none_match is not None)
