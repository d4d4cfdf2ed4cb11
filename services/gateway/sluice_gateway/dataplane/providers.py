"""Which API a deployment speaks, and where its paths are."""

from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from sluice.contracts.routing import KEY_HEADERS, Deployment
from sluice_gateway.translate import registry
from sluice_gateway.translate.shapes import Provider, Style

AZURE = "azure"
_FOREIGN: tuple[Style, ...] = ("anthropic", "gemini", "bedrock")


class Paths(NamedTuple):
    """Where a deployment's paths are: `before` and `after` what the API itself calls a path."""

    before: str
    after: str = ""


def provider_of(config: Deployment) -> Provider | None:
    """Return the translator of a deployment whose API is not OpenAI's, None for all others."""
    for style in _FOREIGN:
        if config.provider == style:
            return registry.provider(style)
    return None


def credential_header_of(config: Deployment) -> str | None:
    """Return the header that carries the credential as it is; None means a bearer token in `authorization`.

    Service tokens of Sluice's own services are bearer tokens whatever the provider.
    """
    return KEY_HEADERS.get(config.provider) if config.auth.kind == "bearer" else None


def paths_of(config: Deployment) -> Paths:
    """Return where a deployment's paths are.

    Azure has OpenAI's API below the resource: with `api_version` in the older form, where the deployment stands in the path,
    else below `/openai/v1`. Source: https://learn.microsoft.com/azure/ai-services/openai/reference
    """
    base = urlsplit(config.base_url).path.rstrip("/")
    if config.provider != AZURE:
        return Paths(base)
    if config.api_version is None:
        return Paths(base if base.endswith("/openai/v1") else f"{base}/openai/v1")
    query = urlencode({"api-version": config.api_version})
    return Paths(f"{base}/openai/deployments/{quote(config.upstream_model, safe='')}", f"?{query}")
