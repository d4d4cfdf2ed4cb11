"""Where an object that comes through the API may lead, and which secrets it may name."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel

from sluice.addresses import is_public
from sluice.settings import OPTIONAL_SERVICES, SERVICES, PlatformSettings
from sluice_router.domain.config import DeploymentConfig, ModelConfig, ModelsFile
from sluice_router.domain.registry import Problem


class Names(Protocol):
    """Looks up host names; an unknown name has no addresses."""

    async def addresses(self, name: str) -> Sequence[str]:
        """Return the addresses of a name."""
        ...


@dataclass(frozen=True, slots=True)
class Outside:
    """Refuses base URLs that lead into the operator's network, and secrets that are the platform's own.

    Without it whoever may use the admin API could have the gateway read cloud metadata or services that only it can reach
    (server-side request forgery, OWASP), or send the platform's own secrets away. Allowed are public addresses, the hosts and ports of
    models.yaml, and the hosts that the settings name. A name is looked up once, when the object is written; a name that cannot
    be resolved passes, since nothing can be reached there yet.
    """

    platform: PlatformSettings
    names: Names
    allowed_hosts: Collection[str]

    async def problems(self, spec: BaseModel, config: ModelsFile) -> tuple[Problem, ...]:
        """Return what the object may not say."""
        if not isinstance(spec, ModelConfig):
            return ()
        found: list[Problem] = []
        if spec.only_if is not None:
            found.append(Problem("only_if", "is for models.yaml only; delete the model to take it away."))
        trusted = {_origin(one.base_url) for model in config.models for one in model.deployments}
        for at, deployment in enumerate(spec.deployments):
            field = f"deployments.{at}"
            found.extend(self._secrets(field, deployment))
            said = await self._address(deployment, trusted)
            if said is not None:
                found.append(Problem(f"{field}.base_url", said))
        return tuple(found)

    def _secrets(self, field: str, deployment: DeploymentConfig) -> Iterator[Problem]:
        auth = deployment.auth
        if (auth.env or "").upper().startswith("SLUICE_"):
            said = "names a variable of the platform itself; name one that holds the provider's key."
            yield Problem(f"{field}.auth.env", said)
        if auth.kind == "service" and not self._is_service(auth.audience or "", deployment.base_url):
            said = "a service token goes to that service only: give its address, or another kind of auth."
            yield Problem(f"{field}.auth", said)

    def _is_service(self, audience: str, base_url: str) -> bool:
        service = next((name for name in (*SERVICES, *OPTIONAL_SERVICES) if name == audience), None)
        return service is not None and _origin(base_url) == _origin(self.platform.service_url(service))

    async def _address(self, deployment: DeploymentConfig, trusted: Collection[tuple[str, int]]) -> str | None:
        parts = urlsplit(deployment.base_url)
        host = (parts.hostname or "").rstrip(".").lower()
        if parts.username is not None or parts.password is not None:
            return "must hold no user name or password; use `auth`."
        if host in self.allowed_hosts or _origin(deployment.base_url) in trusted:
            return None
        if deployment.auth.kind == "service":  # the platform's own, as was seen above
            return None
        inside = f"leads to {host}, which is no public address; name the host in SLUICE_ROUTER_ALLOWED_HOSTS or models.yaml to allow it."
        if not is_public(host):
            return inside
        return None if all(is_public(found) for found in await self.names.addresses(host)) else inside


def _origin(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return (parts.hostname or "").rstrip(".").lower(), port or (443 if parts.scheme == "https" else 80)
