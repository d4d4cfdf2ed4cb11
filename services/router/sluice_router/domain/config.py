"""The shape of models.yaml, its checks, and the snapshot that it makes."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sluice.contracts.routing import (
    Deployment,
    DeploymentAuth,
    DeploymentHealth,
    Model,
    ModelKind,
    Policy,
    Price,
    Route,
    RoutingSnapshot,
)
from sluice_router.domain.errors import ModelsFileError

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HealthCheck(_Section):
    """How a deployment is probed: GET `path` below its base URL must answer with a status below 400."""

    path: Annotated[str, Field(pattern=r"^/")] = "/models"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    enabled: bool = True


class DeploymentConfig(_Section):
    """One place that serves a model; see `sluice.contracts.routing.Deployment` for the fields that are passed on."""

    id: Name | None = None
    provider: Literal["openai"] = "openai"
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")]
    upstream_model: str | None = None
    auth: DeploymentAuth = DeploymentAuth()
    weight: Annotated[float, Field(gt=0)] = 1.0
    max_in_flight: Annotated[int, Field(ge=1)] = 64
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    connect_timeout_s: Annotated[float, Field(gt=0)] = 3.0
    health: HealthCheck = HealthCheck()

    @model_validator(mode="after")
    def _auth_is_whole(self) -> Self:
        if self.auth.kind == "bearer" and not self.auth.env:
            raise ValueError("auth of kind 'bearer' needs 'env', the name of the variable that holds the key")
        if self.auth.kind == "service" and not self.auth.audience:
            raise ValueError("auth of kind 'service' needs 'audience', the name of the Sluice service")
        return self


class ModelConfig(_Section):
    """A model that callers can name.

    `only_if` leaves the model out when its text is empty, so that `${SOME_URL:-}` can switch a model on by a variable.
    """

    name: Name
    kind: ModelKind = "chat"
    owned_by: str = "sluice"
    only_if: str | None = None
    context_tokens: Annotated[int, Field(ge=1)] = 8192
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    embedding_dimensions: Annotated[int, Field(ge=1)] | None = None
    price: Price = Price()
    policy: str | None = None
    fallbacks: tuple[str, ...] = ()
    deployments: Annotated[tuple[DeploymentConfig, ...], Field(min_length=1)]


class RouteConfig(_Section):
    """A virtual model."""

    name: Name
    candidates: Annotated[tuple[str, ...], Field(min_length=1)]
    fallbacks: tuple[str, ...] = ()
    policy: str | None = None


class ModelsFile(_Section):
    """The whole file; names must be unique and every reference must lead somewhere."""

    models: tuple[ModelConfig, ...]
    routes: tuple[RouteConfig, ...] = ()
    policies: tuple[Policy, ...] = ()

    @model_validator(mode="after")
    def _references_lead_somewhere(self) -> Self:
        models = [model.name for model in self.models]
        routes = [route.name for route in self.routes]
        policies = [policy.name for policy in self.policies]
        _unique("model or route", [*models, *routes])
        _unique("policy", policies)
        _unique(
            "deployment", [deployment.id for model in self.models for deployment in model.deployments if deployment.id]
        )
        for model in self.models:
            _known(f"model '{model.name}': fallbacks", model.fallbacks, models)
            _known(f"model '{model.name}': policy", (model.policy,) if model.policy else (), policies)
        for route in self.routes:
            _known(f"route '{route.name}': candidates", route.candidates, models)
            _known(f"route '{route.name}': fallbacks", route.fallbacks, models)
            _known(f"route '{route.name}': policy", (route.policy,) if route.policy else (), policies)
        return self


class Probed(_Section):
    """What the prober needs to know of one deployment."""

    id: str
    base_url: str
    auth: DeploymentAuth
    check: HealthCheck


class HealthNote(_Section):
    """What the prober knows of one deployment."""

    health: DeploymentHealth = "unknown"
    reason: str | None = None


def parse(raw: Any, where: str) -> ModelsFile:
    """Check the content of models.yaml and drop the models that are switched off.

    Raises:
        ModelsFileError: with the path of every wrong value and what is wrong there.
    """
    try:
        whole = ModelsFile.model_validate(raw)
        kept = tuple(model for model in whole.models if model.only_if is None or model.only_if.strip())
        names = {model.name for model in kept}
        return ModelsFile(
            models=tuple(
                model.model_copy(update={"fallbacks": tuple(name for name in model.fallbacks if name in names)})
                for model in kept
            ),
            routes=tuple(route for route in (_only(route, names) for route in whole.routes) if route is not None),
            policies=whole.policies,
        )
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'the file'}: {item['msg'].removeprefix('Value error, ')}"
            for item in exc.errors()
        )
        raise ModelsFileError(f"{where} is not right: {problems}") from exc


def probed(config: ModelsFile) -> tuple[Probed, ...]:
    """Return every deployment that is to be probed."""
    return tuple(
        Probed(
            id=deployment_id, base_url=deployment.base_url.rstrip("/"), auth=deployment.auth, check=deployment.health
        )
        for model in config.models
        for deployment_id, deployment in _with_ids(model)
        if deployment.health.enabled
    )


def snapshot(config: ModelsFile, notes: Mapping[str, HealthNote], *, version: int, now: float) -> RoutingSnapshot:
    """Return the snapshot that the data plane gets; a deployment that is not probed counts as up."""
    return RoutingSnapshot(
        version=version,
        published_at=now,
        models=tuple(_model(model, notes) for model in config.models),
        routes=tuple(
            Route(name=route.name, candidates=route.candidates, fallbacks=route.fallbacks, policy=route.policy)
            for route in config.routes
        ),
        policies=config.policies,
    )


def same_content(left: RoutingSnapshot, right: RoutingSnapshot) -> bool:
    """Tell whether two snapshots differ in nothing that the data plane acts on."""
    ignored = {"version": 0, "published_at": 0.0}
    return left.model_copy(update=ignored) == right.model_copy(update=ignored)


def _model(model: ModelConfig, notes: Mapping[str, HealthNote]) -> Model:
    return Model(
        name=model.name,
        kind=model.kind,
        owned_by=model.owned_by,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        embedding_dimensions=model.embedding_dimensions,
        price=model.price,
        policy=model.policy,
        fallbacks=model.fallbacks,
        deployments=tuple(
            _deployment(deployment_id, deployment, model.name, notes) for deployment_id, deployment in _with_ids(model)
        ),
    )


def _deployment(
    deployment_id: str, config: DeploymentConfig, model: str, notes: Mapping[str, HealthNote]
) -> Deployment:
    note = notes.get(deployment_id, HealthNote()) if config.health.enabled else HealthNote(health="up")
    return Deployment(
        id=deployment_id,
        provider=config.provider,
        base_url=config.base_url.rstrip("/"),
        upstream_model=config.upstream_model or model,
        auth=config.auth,
        weight=config.weight,
        max_in_flight=config.max_in_flight,
        timeout_s=config.timeout_s,
        connect_timeout_s=config.connect_timeout_s,
        health=note.health,
        health_reason=note.reason,
    )


def _with_ids(model: ModelConfig) -> Iterable[tuple[str, DeploymentConfig]]:
    for number, deployment in enumerate(model.deployments, 1):
        yield deployment.id or f"{model.name}-{number}", deployment


def _only(route: RouteConfig, names: set[str]) -> RouteConfig | None:
    candidates = tuple(name for name in route.candidates if name in names)
    fallbacks = tuple(name for name in route.fallbacks if name in names)
    return route.model_copy(update={"candidates": candidates, "fallbacks": fallbacks}) if candidates else None


def _unique(what: str, values: list[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{what} named twice: {', '.join(twice)}")


def _known(where: str, used: Iterable[str], known: list[str]) -> None:
    unknown = sorted(set(used) - set(known))
    if unknown:
        raise ValueError(
            f"{where} names {', '.join(unknown)}, which is not defined (defined: {', '.join(known) or 'none'})"
        )
