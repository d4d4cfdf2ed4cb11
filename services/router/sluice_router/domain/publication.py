"""The snapshot that a configuration makes, and what of it is probed."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from sluice.contracts.routing import (
    Alias,
    Deployment,
    DeploymentAuth,
    DeploymentHealth,
    FallbacksOn,
    Model,
    Policy,
    Price,
    Route,
    RoutingSnapshot,
)
from sluice_router.domain.config import DeploymentConfig, HealthCheck, ModelConfig, ModelsFile, ProviderName, with_ids
from sluice_router.domain.price_config import price_at


class Probed(BaseModel):
    """What the prober needs to know of one deployment."""

    model_config = ConfigDict(frozen=True)

    id: str
    url: str
    auth: DeploymentAuth
    check: HealthCheck
    provider: ProviderName = "openai"


class HealthNote(BaseModel):
    """What the prober knows of one deployment."""

    model_config = ConfigDict(frozen=True)

    health: DeploymentHealth = "unknown"
    reason: str | None = None


def probed(config: ModelsFile) -> tuple[Probed, ...]:
    """Return every deployment that is to be probed."""
    return tuple(
        Probed(
            id=deployment_id,
            url=_probe_url(deployment),
            auth=deployment.auth,
            check=deployment.health,
            provider=deployment.provider,
        )
        for model in config.models
        for deployment_id, deployment in with_ids(model)
        if _is_probed(deployment)
    )


def _is_probed(config: DeploymentConfig) -> bool:
    # Bedrock's runtime endpoint has nothing that could be asked for free.
    return config.health.enabled and config.provider != "bedrock"


def snapshot(
    config: ModelsFile,
    notes: Mapping[str, HealthNote],
    *,
    version: int,
    now: float,
    catalogue: Callable[[ModelConfig, float], Price | None] = lambda _model, _now: None,
    probed_as: Mapping[str, str] = MappingProxyType({}),
) -> RoutingSnapshot:
    """Return the snapshot that the data plane gets; a deployment that is not probed counts as up.

    `probed_as` says by which deployment's probes the health of one is known, where they are not its own. A model whose price the file does not say has the catalogue's, if it knows one.
    """
    return RoutingSnapshot(
        version=version,
        published_at=now,
        models=tuple(
            _model(model, notes, probed_as, price_at(model.price, model.price_changes, now) or catalogue(model, now))
            for model in config.models
        ),
        routes=tuple(Route.model_validate(route.model_dump()) for route in config.routes),
        policies=tuple(Policy.model_validate(policy.model_dump()) for policy in config.policies),
        aliases=tuple(Alias(name=alias.name, model=alias.model) for alias in config.aliases),
    )


def same_content(left: RoutingSnapshot, right: RoutingSnapshot) -> bool:
    """Tell whether two snapshots differ in nothing that the data plane acts on."""
    ignored = {"version": 0, "published_at": 0.0}
    return left.model_copy(update=ignored) == right.model_copy(update=ignored)


def _model(
    model: ModelConfig, notes: Mapping[str, HealthNote], probed_as: Mapping[str, str], price: Price | None
) -> Model:
    return Model(
        name=model.name,
        kind=model.kind,
        owned_by=model.owned_by,
        created=model.created,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        embedding_dimensions=model.embedding_dimensions,
        price=price,
        version=model.version,
        architecture=model.architecture,
        parameters_b=model.parameters_b,
        licence=model.licence,
        domains=model.domains,
        token_scale=dict(model.token_scale),
        input_modalities=model.input_modalities,
        output_modalities=model.output_modalities,
        capabilities=model.capabilities,
        policy=model.policy,
        fallbacks=model.fallbacks,
        fallbacks_on=FallbacksOn.model_validate(model.fallbacks_on.model_dump()),
        balance=model.balance,
        hedge_after_ms=model.hedge_after_ms,
        deployments=tuple(
            _deployment(deployment_id, deployment, model.name, notes.get(probed_as.get(deployment_id, deployment_id)))
            for deployment_id, deployment in with_ids(model)
        ),
    )


def _deployment(deployment_id: str, config: DeploymentConfig, model: str, known: HealthNote | None) -> Deployment:
    note = (known or HealthNote()) if _is_probed(config) else HealthNote(health="up")
    return Deployment(
        id=deployment_id,
        provider=config.provider,
        base_url=config.base_url.rstrip("/"),
        upstream_model=config.adapter or config.upstream_model or model,
        adapter=config.adapter,
        region=config.region,
        api_version=config.api_version,
        responses=config.responses,
        auth=DeploymentAuth.model_validate(config.auth.model_dump()),
        weight=config.weight,
        max_in_flight=config.max_in_flight,
        timeout_s=config.timeout_s,
        connect_timeout_s=config.connect_timeout_s,
        first_byte_timeout_s=config.first_byte_timeout_s,
        idle_timeout_s=config.idle_timeout_s,
        health=note.health,
        health_reason=note.reason,
    )


def _probe_url(deployment: DeploymentConfig) -> str:
    base = deployment.base_url.rstrip("/")
    if deployment.health.at == "host":
        scheme, _, rest = base.partition("://")
        base = f"{scheme}://{rest.partition('/')[0]}"
    elif deployment.provider == "azure" and not base.endswith("/openai/v1"):
        base += "/openai/v1"
    return base + deployment.health.path
