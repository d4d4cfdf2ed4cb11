"""What deployments want to see in `Authorization`."""

from dataclasses import dataclass

from sluice.auth import ServiceTokens
from sluice.contracts.routing import DeploymentAuth
from sluice.errors import DependencyUnavailable
from sluice.settings import secret_from_environment


@dataclass(frozen=True, slots=True)
class EnvironmentCredentials:
    """Deployment credentials: API keys from the environment, or service tokens for Sluice's own services."""

    tokens: ServiceTokens

    def bearer(self, auth: DeploymentAuth, tenant: str) -> str | None:
        """Return the bearer token for a deployment, None when it wants none.

        Raises:
            DependencyUnavailable: the variable that should hold the secret is not set.
        """
        if auth.kind == "none":
            return None
        if auth.kind == "service":
            return self.tokens.mint(auth.audience or "", tenant=tenant, subject="gateway")
        secret = secret_from_environment(auth.env or "")
        if secret is None:
            raise DependencyUnavailable("The credential for this model's provider is not configured.")
        return secret
