"""The headers of a question to a deployment: whether it answers, and what it offers."""

from sluice.auth import ServiceTokens
from sluice.contracts.routing import KEY_HEADERS, DeploymentAuth
from sluice.secrets import ProviderSecrets
from sluice_router.domain.config import ProviderName
from sluice_router.domain.unserved import key_missing

_ANY_TENANT = "default"
_ANTHROPIC_VERSION = "2023-06-01"


class MissingKey(Exception):
    """The key of a deployment is not there; the sentence says where it should be."""


def headers_of(
    auth: DeploymentAuth, provider: ProviderName, tokens: ServiceTokens, secrets: ProviderSecrets
) -> dict[str, str]:
    """Return what a deployment wants to be asked with.

    Raises:
        MissingKey: it wants a key that is not there.
    """
    # llama.cpp's server looks at an open connection a hundred times a second, so none is left open between two rounds.
    headers = {"accept": "application/json", "connection": "close"}
    if auth.kind == "bearer":
        secret = secrets.read(auth)
        if secret is None:
            raise MissingKey(key_missing(auth))
        return headers | _key(provider, secret)
    if auth.kind == "service" and auth.audience:
        token = tokens.mint(auth.audience, tenant=_ANY_TENANT, subject="router")
        headers["authorization"] = f"Bearer {token}"
    return headers


def _key(provider: ProviderName, secret: str) -> dict[str, str]:
    name = KEY_HEADERS.get(provider)
    if name is None:
        return {"authorization": f"Bearer {secret}"}
    version = {"anthropic-version": _ANTHROPIC_VERSION} if provider == "anthropic" else {}
    return {name: secret, **version}
