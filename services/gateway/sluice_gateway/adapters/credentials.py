"""What deployments want to see in `Authorization`."""

from dataclasses import dataclass, field

from sluice.auth import ServiceTokens
from sluice.contracts.routing import DeploymentAuth, RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice.secrets import ProviderSecrets
from sluice_gateway.adapters.aws_role import AwsRole
from sluice_gateway.adapters.aws_signing import AwsCredentials, AwsSigner

_FEWEST, _MOST = 2, 3


@dataclass(frozen=True, slots=True)
class DeploymentCredentials:
    """Deployment credentials: API keys and AWS keys from the environment or from files, AWS credentials of this machine, or service tokens for Sluice's own services."""

    tokens: ServiceTokens
    secrets: ProviderSecrets
    role: AwsRole = field(default_factory=AwsRole)
    _signers: dict[tuple[str, str], tuple[AwsCredentials, AwsSigner]] = field(default_factory=dict)

    def expect(self, snapshot: RoutingSnapshot) -> None:
        """Begin to look for the credentials of this machine, if a deployment wants them."""
        places = (place for model in snapshot.models for place in model.deployments)
        if any(_is_role(place.auth) for place in places):
            self.role.want()

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

    def signed(self, auth: DeploymentAuth, url: str, body: bytes) -> tuple[tuple[str, str], ...]:
        """Return the headers that sign a POST of this body to a deployment that wants signatures.

        Raises:
            DependencyUnavailable: the variable or file that should hold the keys is not there or holds something else, or this machine has none.
        """
        place = auth.file or auth.env or "", auth.region or ""
        keys = self.role.credentials() if _is_role(auth) else self._keys(auth)
        known = self._signers.get(place)
        if known is None or known[0] != keys:
            known = self._signers[place] = keys, AwsSigner(keys, place[1])
        return tuple(known[1].headers(url, body).items())

    def _keys(self, auth: DeploymentAuth) -> AwsCredentials:
        keys = (self.secrets.read(auth) or "").split(":", _MOST - 1)
        if len(keys) < _FEWEST or not all(keys):
            raise DependencyUnavailable("The AWS keys for this model's provider are not configured.")
        return AwsCredentials(*keys)


def _is_role(auth: DeploymentAuth) -> bool:
    return auth.kind == "aws" and auth.env is None and auth.file is None
