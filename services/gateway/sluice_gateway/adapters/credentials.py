"""What deployments want to see in `Authorization`."""

from dataclasses import dataclass

from sluice.auth import ServiceTokens
from sluice.contracts.routing import DeploymentAuth
from sluice.errors import DependencyUnavailable
from sluice.secrets import ProviderSecrets


@dataclass(frozen=True, slots=True)
class DeploymentCredentials:
    """Deployment credentials: API keys from the environment or from files, or service tokens for Sluice's own services."""

    tokens: ServiceTokens
    secrets: ProviderSecrets

    def bearer(self, auth: DeploymentAuth, tenant: str) -> str | None:
        """Return the bearer token for a deployment, None when it wants none.

        Raises:
            DependencyUnavailable: the variable or file that should hold the secret is not there.
        """
        if auth.kind == "none":
            return None
        if auth.kind == "service":
            return self.tokens.mint(auth.audience or "", tenant=tenant, subject="gateway")
        secret = self.secrets.read(auth)
        if secret is None:
            raise DependencyUnavailable("The credential for this model's provider is not configured.")
        return secret
