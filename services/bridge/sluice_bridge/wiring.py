"""What the bridge is made of: the one place that knows which adapter stands behind which port."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from pydantic import ValidationError

from sluice.auth import ServiceTokens
from sluice.clock import Clock, SystemClock
from sluice.secrets import ProviderSecrets
from sluice.service import deps_of
from sluice.settings import ConfigError, PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_bridge.adapters.any_llm_sdk import AnyLlmSdk, Connect, connect
from sluice_bridge.domain.errors import NotConfigured, UnknownProvider
from sluice_bridge.domain.ports import Sdk
from sluice_bridge.domain.specs import BridgeFile, ProviderSpec
from sluice_bridge.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of bridge.yaml and what asks it."""

    spec: ProviderSpec
    sdk: Sdk

    @property
    def extra(self) -> frozenset[str]:
        """The fields of its own that requests may have."""
        return frozenset(self.spec.extra_fields)


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that handlers use."""

    platform: PlatformSettings
    registry: MetricRegistry
    tokens: ServiceTokens
    tracing: Tracing
    probes: Mapping[str, Callable[[], Awaitable[None]]]
    providers: Mapping[str, Provider]
    clock: Clock

    def provider(self, provider_id: str) -> Provider:
        """Return a provider.

        Raises:
            UnknownProvider: bridge.yaml has none of that id.
        """
        found = self.providers.get(provider_id)
        if found is None:
            known = ", ".join(self.providers) or "none; name them in bridge.yaml"
            raise UnknownProvider(f"The bridge has no provider {provider_id!r}. Its providers are: {known}.")
        return found


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(
    platform: PlatformSettings, settings: Settings, connect_to: Connect = connect
) -> AsyncIterator[Deps]:
    """Open what handlers use: each provider's SDK is loaded, and none is asked. One that cannot be is told of, and the others work."""
    described = load_providers(platform, settings)
    tokens = ServiceTokens.of_one(_secret(settings), "bridge")
    secrets = ProviderSecrets(platform.secrets_dir)
    tracing = Tracing("bridge", platform)

    def reader(spec: ProviderSpec) -> Callable[[], str | None]:
        key = spec.key
        if key is None:
            return lambda: None
        reference = key.reference()
        return lambda: secrets.read(reference)

    offered = {spec.id: Provider(spec, AnyLlmSdk(spec, reader(spec), connect_to)) for spec in described.offered()}
    await _open_all(offered.values())
    try:
        yield Deps(
            platform=platform,
            registry=MetricRegistry(process=True),
            tokens=tokens,
            tracing=tracing,
            probes={},
            providers=offered,
            clock=SystemClock(),
        )
    finally:
        tracing.close()


def _secret(settings: Settings) -> str:
    found = settings.secret.get_secret_value()
    if not found:
        raise ConfigError(
            "SLUICE_BRIDGE_SECRET is missing. Set it to what `printf 'sluice service token for bridge' | openssl dgst -sha256 -hmac "
            '"$SLUICE_SERVICE_SECRET"` prints after the equals sign; the bridge gets that and not SLUICE_SERVICE_SECRET.'
        )
    return found


async def _open_all(providers: Iterable[Provider]) -> None:
    for provider in providers:
        try:
            await provider.sdk.open()
        except NotConfigured as exc:
            _log.warning("a provider cannot be asked", extra={"provider": provider.spec.id, "why": exc.detail})


def load_providers(platform: PlatformSettings, settings: Settings) -> BridgeFile:
    """Read and check bridge.yaml.

    Raises:
        ConfigError: it is missing, or a value is wrong; the sentence names it.
    """
    path = platform.config_dir / settings.providers_file
    try:
        return BridgeFile.model_validate(platform.load_yaml(settings.providers_file) or {})
    except ValidationError as exc:
        problems = "; ".join(
            f"{platform.line_of(settings.providers_file, item['loc'])}{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg'].removeprefix('Value error, ')}"
            for item in exc.errors()
        )
        raise ConfigError(f"{path} is not right: {problems}") from exc
