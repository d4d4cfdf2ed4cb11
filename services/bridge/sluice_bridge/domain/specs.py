"""The shape of bridge.yaml: which providers there are, and how each is asked."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sluice.contracts.routing import DeploymentAuth

ProviderId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# What a request must never say by itself: where it goes, with which credential, and what else is sent along.
_NEVER = frozenset(
    {"api_key", "api_base", "base_url", "extra_headers", "extra_query", "extra_body", "request_options", "timeout"}
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeySource(_Section):
    """Where a provider's key is: the variable `env`, or the file `file` in SLUICE_SECRETS_DIR."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")] | None = None
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.env) == bool(self.file):
            raise ValueError("a key needs 'env', the name of its variable, or 'file', its file in SLUICE_SECRETS_DIR")
        return self

    def reference(self) -> DeploymentAuth:
        """Return it in the form in which `ProviderSecrets` reads keys."""
        return DeploymentAuth(kind="bearer", env=self.env, file=self.file)


class ProviderSpec(_Section):
    """One account at a provider.

    A model is asked as `id/model`, for example `cohere/command-a-03-2025`. `sdk` is the provider's name in any-llm (cohere, sagemaker,
    bedrock, vertexai …). Without `key` its SDK finds the credentials itself: the machine's role, an identity file.
    `options` are arguments of the SDK's client (a region, a project). `extra_fields` are fields of the provider's own that requests may have.
    """

    id: ProviderId
    sdk: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,63}$")]
    only_if: str | None = None
    key: KeySource | None = None
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2000)] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    extra_fields: tuple[FieldName, ...] = ()
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0

    @model_validator(mode="after")
    def _leaves_the_way_alone(self) -> Self:
        wrong = sorted(_NEVER.intersection(self.extra_fields))
        if wrong:
            raise ValueError(f"extra_fields cannot hold {', '.join(wrong)}: callers must not say where a request goes")
        if "api_key" in self.options:
            raise ValueError("options cannot hold api_key: name the key's variable or file under 'key'")
        return self


class BridgeFile(_Section):
    """bridge.yaml."""

    providers: tuple[ProviderSpec, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [provider.id for provider in self.providers]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"these provider ids stand there twice: {', '.join(twice)}")
        return self

    def offered(self) -> tuple[ProviderSpec, ...]:
        """Return the providers that are not switched off by an empty `only_if`."""
        return tuple(one for one in self.providers if one.only_if is None or one.only_if.strip())
