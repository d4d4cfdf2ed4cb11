"""The typed client of the router service."""

from dataclasses import dataclass

from sluice.clients.http import ServiceClient
from sluice.contracts.routing import RouteDecision, RouteRequest, RoutingSnapshot
from sluice.contracts.routing_lists import DeploymentList, RouteList


@dataclass(frozen=True, slots=True)
class RouterClient:
    """Asks which model answers; when the router is away, a caller goes on with its last snapshot."""

    http: ServiceClient

    async def route(self, request: RouteRequest, *, tenant: str, timeout_s: float | None = None) -> RouteDecision:
        """Return which model and deployment answers a request."""
        return await self.http.request(
            "POST", "/route", request, reply=RouteDecision, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def snapshot(self, *, tenant: str = "default", timeout_s: float | None = None) -> RoutingSnapshot:
        """Return the snapshot that is in force."""
        return await self.http.request("GET", "/v1/snapshot", reply=RoutingSnapshot, tenant=tenant, timeout_s=timeout_s)

    async def deployments(self, *, tenant: str = "default", timeout_s: float | None = None) -> DeploymentList:
        """Return every deployment with its load."""
        return await self.http.request(
            "GET", "/v1/deployments", reply=DeploymentList, tenant=tenant, timeout_s=timeout_s
        )

    async def routes(self, *, tenant: str = "default", timeout_s: float | None = None) -> RouteList:
        """Return the virtual models."""
        return await self.http.request("GET", "/v1/routes", reply=RouteList, tenant=tenant, timeout_s=timeout_s)
