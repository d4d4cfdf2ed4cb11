"""The services that the gateway asks, behind the ports of the request path."""

from dataclasses import dataclass

from sluice.auth import ServiceTokens
from sluice.clients.http import ServiceClient
from sluice.contracts.retrieval import ContextReply, ContextRequest
from sluice.contracts.routing import DeploymentAuth, RouteDecision, RouteRequest, RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice.settings import secret_from_environment

_ANY_TENANT = "default"


@dataclass(frozen=True, slots=True)
class RouterService:
    """The router over HTTP."""

    http: ServiceClient

    async def route(self, request: RouteRequest, *, tenant: str, timeout_s: float) -> RouteDecision:
        """Return which model and deployment answers a request for a virtual model."""
        return await self.http.request(
            "POST", "/route", request, reply=RouteDecision, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def snapshot(self) -> RoutingSnapshot:
        """Return the snapshot in force, which is the same for all tenants."""
        return await self.http.request("GET", "/v1/snapshot", reply=RoutingSnapshot, tenant=_ANY_TENANT)


@dataclass(frozen=True, slots=True)
class RetrievalService:
    """Retrieval over HTTP."""

    http: ServiceClient

    async def context(self, request: ContextRequest, *, tenant: str, timeout_s: float) -> ContextReply:
        """Return evidence for a question."""
        return await self.http.request(
            "POST", "/v1/context", request, reply=ContextReply, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )


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
