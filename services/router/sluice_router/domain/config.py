"""The shape of models.yaml, its checks, and the snapshot that it makes."""

from collections.abc import Container, Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.routing import (
    Alias,
    AttemptPolicy,
    Balance,
    CachePolicy,
    Capability,
    DeploymentAuth,
    Modality,
    ModelKind,
    Policy,
    Prefer,
    Quality,
    Region,
    Rule,
    SemanticCache,
    SemanticTuning,
    Share,
)
from sluice.contracts.sampling import SamplingConfig
from sluice.contracts.targets import Targets
from sluice_router.domain.base_url import BaseUrl
from sluice_router.domain.errors import ModelsFileError
from sluice_router.domain.price_config import PriceChange, PriceConfig, PriceTierConfig
from sluice_router.domain.references import STAR, Named, misfits
from sluice_router.domain.sentences import Lines, described

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
ModelName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9*][A-Za-z0-9._:/@+*-]*$")
]  # with one star at most, which stands for what providers list
Tag = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
TokenScale = Annotated[float, Field(ge=0.1, le=20, allow_inf_nan=False)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# A misspelt field of a policy must not switch its guard off in silence, so these refuse what the wire shapes ignore.
class AuthConfig(DeploymentAuth, frozen=True, extra="forbid"):
    """How a deployment wants to be called; `env` names the variable that holds the key, `file` a file of the folder for secrets."""

    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "bearer" and bool(self.env) == bool(self.file):
            raise ValueError(
                "kind 'bearer' needs 'env', the name of the variable that holds the key, or 'file', its file in SLUICE_SECRETS_DIR"
            )
        if self.kind == "aws" and (not self.region or (self.env and self.file)):
            raise ValueError(
                "kind 'aws' needs 'region', and 'env' or 'file' with ACCESS_KEY:SECRET_KEY or ACCESS_KEY:SECRET_KEY:SESSION_TOKEN, or neither for the machine's own role"
            )
        if self.kind == "service" and not self.audience:
            raise ValueError("kind 'service' needs 'audience', the name of the Sluice service")
        return self


class RetrievalConfig(RetrievalPolicy, frozen=True, extra="forbid"):
    """Retrieval that a policy switches on."""


class TuningConfig(SemanticTuning, frozen=True, extra="forbid"):
    """Lets the threshold of a semantic cache follow what is seen."""


class SemanticConfig(SemanticCache, frozen=True, extra="forbid"):
    """Kept answers also for questions that ask for the same in other words."""

    tune: TuningConfig | None = None

    @model_validator(mode="after")
    def _begins_within(self) -> Self:
        if self.tune is not None and not self.tune.least <= self.threshold <= self.tune.most:
            raise ValueError(
                f"threshold ({self.threshold:g}) is not between tune.least ({self.tune.least:g}) and tune.most ({self.tune.most:g}); it is where tuning begins"
            )
        return self


class CacheConfig(CachePolicy, frozen=True, extra="forbid"):
    """Answers that are kept, and given again to requests that ask for the same."""

    semantic: SemanticConfig | None = None


class AttemptConfig(AttemptPolicy, frozen=True, extra="forbid"):
    """How long one attempt may take, how many there are, and when a second deployment is asked as well."""


class PolicyConfig(Policy, frozen=True, extra="forbid"):
    """What happens to a request besides being answered."""

    name: Name
    sampling: SamplingConfig | None = None
    retrieval: RetrievalConfig | None = None
    cache: CacheConfig | None = None
    attempts: AttemptConfig | None = None


ProviderName = Literal["openai", "llamacpp", "vllm", "azure", "anthropic", "gemini", "bedrock", "bridge"]


_UNLISTED = frozenset({"azure", "bedrock", "bridge"})


class HealthCheck(_Section):
    """How a deployment is probed: GET `path` must answer with a status below 400.

    `path` is below the base URL, or below the host with `at: host` (such as /health of an engine).
    """

    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=500)] = "/models"
    at: Literal["base", "host"] = "base"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    enabled: bool = True


class DeploymentConfig(_Section):
    """One place that serves a model; see `sluice.contracts.routing.Deployment` for the fields that are passed on."""

    id: ModelName | None = None
    provider: ProviderName = "openai"
    base_url: BaseUrl
    upstream_model: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    adapter: Name | None = None
    region: Region | None = None
    api_version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,50}$")] | None = None
    responses: Literal["translated", "native"] = "translated"
    auth: AuthConfig = AuthConfig()
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    max_in_flight: Annotated[int, Field(ge=1)] = 64
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    first_byte_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    idle_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    health: HealthCheck = HealthCheck()

    @model_validator(mode="after")
    def _crosses_the_bridge(self) -> Self:
        if self.provider != "bridge":
            return self
        if self.auth.kind != "service" or self.auth.audience != "bridge":
            raise ValueError(
                "provider 'bridge' needs auth: {kind: service, audience: bridge}; the bridge holds the keys"
            )
        if "/" not in (self.upstream_model or ""):
            raise ValueError(
                "provider 'bridge' needs upstream_model with a provider of bridge.yaml before the model, such as cohere/command-a-03-2025"
            )
        return self

    @model_validator(mode="after")
    def _asks_for_its_adapter(self) -> Self:
        if self.adapter is not None and self.upstream_model not in (None, self.adapter):
            raise ValueError("adapter is the name that the engine is asked for; leave upstream_model out")
        return self


class FallbacksOnConfig(_Section):
    """Models to try instead when one failed for a reason."""

    timeout: tuple[str, ...] | None = None
    context: tuple[str, ...] | None = None
    content: tuple[str, ...] | None = None

    def chains(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        """Return each chain that is set, with its reason."""
        given = (("timeout", self.timeout), ("context", self.context), ("content", self.content))
        return ((reason, chain) for reason, chain in given if chain is not None)

    def only(self, names: Container[str]) -> Self:
        """Return the chains without the models that are switched off."""
        kept = {reason: tuple(name for name in chain if name in names) for reason, chain in self.chains()}
        return self.model_copy(update=kept)


class ModelConfig(_Section):
    """A model that callers can name.

    `only_if` leaves the model out when its text is empty, so that `${SOME_URL:-}` can switch a model on by a variable. A name with a
    star is that of many models: one for each that the deployments' providers list, without those whose id is of a form in `skip`.
    """

    name: ModelName
    kind: ModelKind = "chat"
    owned_by: str = "sluice"
    created: Annotated[int, Field(ge=0)] = 0
    only_if: str | None = None
    context_tokens: Annotated[int, Field(ge=1)] = 8192
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    embedding_dimensions: Annotated[int, Field(ge=1)] | None = None
    price: PriceConfig | None = None
    price_changes: tuple[PriceChange, ...] = ()
    version: Words | None = None
    architecture: Words | None = None
    parameters_b: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    licence: Words | None = None
    domains: Annotated[tuple[Tag, ...], Field(max_length=50)] = ()
    token_scale: Annotated[dict[Language, TokenScale], Field(max_length=100)] = {}
    input_modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] | None = None
    output_modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] | None = None
    capabilities: tuple[Capability, ...] | None = None
    policy: str | None = None
    fallbacks: tuple[str, ...] = ()
    fallbacks_on: FallbacksOnConfig = FallbacksOnConfig()
    balance: Balance = "least_loaded"
    hedge_after_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    skip: Annotated[tuple[Words, ...], Field(max_length=100)] = ()
    deployments: Annotated[tuple[DeploymentConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _stands_for_what_is_listed(self) -> Self:
        if STAR not in self.name:
            if self.skip:
                raise ValueError("skip is for models with a star in their name, such as openai/*")
            if any(STAR in (place.id or "") for place in self.deployments):
                raise ValueError("the id of a deployment has a star only where the name of its model has one")
            return self
        if self.name.count(STAR) > 1:
            raise ValueError("name may have one star")
        for place in self.deployments:
            if place.provider in _UNLISTED:
                raise ValueError(f"provider '{place.provider}' lists no models that could be called; name each one")
            if place.adapter is not None or (place.upstream_model or STAR).count(STAR) != 1:
                raise ValueError(
                    "a deployment of a model with a star has no adapter, and one star in upstream_model (left out: what follows the last / of the name)"
                )
        return self

    def deployment_ids(self) -> tuple[str, ...]:
        """Return the ids of its deployments; one without is called after the model and its place."""
        return tuple(deployment_id for deployment_id, _ in with_ids(self))


class ShareConfig(Share, frozen=True, extra="forbid"):
    """The weight of one candidate."""


class RuleConfig(Rule, frozen=True, extra="forbid"):
    """Which models some requests go to first."""

    languages: tuple[Language, ...] = ()

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        named = (self.intents, self.domains, self.languages, self.modalities, self.asks_for)
        if not any(named) and self.longer_than is None:
            raise ValueError(
                "a rule needs a condition: intents, domains, languages, modalities, asks_for or longer_than"
            )
        return self


class QualityConfig(Quality, frozen=True, extra="forbid"):
    """Which candidates are the stronger ones, and the share of requests that they get."""


class TargetsConfig(Targets, frozen=True, extra="forbid"):
    """What a route's answers should cost and take."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.cost is None and self.latency_s is None:
            raise ValueError("targets needs cost, latency_s or both")
        return self


class RouteConfig(_Section):
    """A virtual model."""

    name: Name
    candidates: Annotated[tuple[str, ...], Field(min_length=1)]
    fallbacks: tuple[str, ...] = ()
    fallbacks_on: FallbacksOnConfig = FallbacksOnConfig()
    policy: str | None = None
    prefer: Prefer = "least_loaded"
    split: tuple[ShareConfig, ...] = ()
    rules: tuple[RuleConfig, ...] = ()
    quality: QualityConfig | None = None
    by_domain: bool = False
    by_modality: bool = False
    targets: TargetsConfig | None = None
    when_all_down: Literal["try", "refuse"] = "try"

    @model_validator(mode="after")
    def _splits_its_candidates(self) -> Self:
        names = [share.model for share in self.split]
        if unknown := sorted(set(names) - set(self.candidates)):
            raise ValueError(f"split names {', '.join(unknown)}, which is no candidate of this route; add it there")
        if len(set(names)) < len(names):
            raise ValueError("split names a model twice; give each one weight")
        if names and not any(share.weight for share in self.split):
            raise ValueError("split gives no model a weight above 0")
        return self

    @model_validator(mode="after")
    def _has_stronger_and_weaker(self) -> Self:
        if self.quality is None:
            return self
        strong = set(self.quality.strong)
        if unknown := sorted(strong - set(self.candidates)):
            raise ValueError(
                f"quality.strong names {', '.join(unknown)}, which is no candidate of this route; add it there"
            )
        if strong == set(self.candidates):
            raise ValueError("quality.strong names every candidate; leave a weaker one")
        return self


class AliasConfig(Alias, frozen=True, extra="forbid"):
    """Another name for a model or a route."""

    name: Name
    model: Name


class ModelsFile(_Section):
    """The whole file; names must be unique and every reference must lead somewhere."""

    models: tuple[ModelConfig, ...]
    routes: tuple[RouteConfig, ...] = ()
    policies: tuple[PolicyConfig, ...] = ()
    aliases: tuple[AliasConfig, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := dict.fromkeys(map(str, misfits(self))):
            raise ValueError("; ".join(problems))
        return self


_SECTIONS: tuple[type[BaseModel], ...] = (
    *(
        ModelsFile,
        ModelConfig,
        DeploymentConfig,
        HealthCheck,
        RouteConfig,
        ShareConfig,
        RuleConfig,
        QualityConfig,
        TargetsConfig,
        SemanticConfig,
        TuningConfig,
        FallbacksOnConfig,
        AliasConfig,
    ),
    *(AuthConfig, PriceConfig, PriceTierConfig, PolicyConfig, RetrievalConfig, CacheConfig, AttemptConfig),
)
_FIELDS = frozenset(name for section in _SECTIONS for name in section.model_fields)


def parse(raw: Any, where: str, line_of: Lines = lambda _: "") -> ModelsFile:
    """Check the content of models.yaml and drop the models that are switched off.

    Raises:
        ModelsFileError: with the path of every wrong value and what is wrong there.
    """
    try:
        whole = ModelsFile.model_validate(raw)
        kept = tuple(model for model in whole.models if model.only_if is None or model.only_if.strip())
        names = Named(kept)
        routes = tuple(route for route in (_only(route, names) for route in whole.routes) if route is not None)
        return ModelsFile(
            models=tuple(
                model.model_copy(
                    update={
                        "fallbacks": tuple(name for name in model.fallbacks if name in names),
                        "fallbacks_on": model.fallbacks_on.only(names),
                    }
                )
                for model in kept
            ),
            routes=routes,
            policies=whole.policies,
            aliases=tuple(
                alias
                for alias in whole.aliases
                if alias.model in names or any(route.name == alias.model for route in routes)
            ),
        )
    except ValidationError as exc:
        raise ModelsFileError(f"{where} is not right: {described(exc, raw, _FIELDS, line_of)}") from exc


def with_ids(model: ModelConfig) -> Iterable[tuple[str, DeploymentConfig]]:
    """Return the deployments of a model with their ids; one without an id is called after its model and place."""
    for number, deployment in enumerate(model.deployments, 1):
        yield deployment.id or f"{model.name}-{number}", deployment


def _only(route: RouteConfig, names: Container[str]) -> RouteConfig | None:
    candidates = tuple(name for name in route.candidates if name in names)
    fallbacks = tuple(name for name in route.fallbacks if name in names)
    split = tuple(share for share in route.split if share.model in names)
    if not any(share.weight for share in split):
        split = ()

    def rule_only(rule: RuleConfig) -> RuleConfig:
        return rule.model_copy(update={"use": tuple(name for name in rule.use if name in names)})

    left = {
        "candidates": candidates,
        "fallbacks": fallbacks,
        "fallbacks_on": route.fallbacks_on.only(names),
        "split": split,
        "rules": tuple(rule for rule in map(rule_only, route.rules) if rule.use),
        "quality": _quality_only(route.quality, candidates),
    }
    return route.model_copy(update=left) if candidates else None


def _quality_only(quality: QualityConfig | None, candidates: tuple[str, ...]) -> QualityConfig | None:
    if quality is None:
        return None
    strong = tuple(name for name in quality.strong if name in candidates)
    return quality.model_copy(update={"strong": strong}) if strong and set(strong) != set(candidates) else None
