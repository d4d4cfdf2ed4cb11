"""The typed client of the inference service."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from sluice.clients.http import ServiceClient
from sluice.contracts.engine import (
    AdapterList,
    AdapterLoad,
    AdapterStatus,
    Capacity,
    EngineList,
    EngineStatus,
    ScalingSignals,
)


@dataclass(frozen=True, slots=True)
class InferenceClient:
    """Asks for engines and their capacity; tokens never flow this way.

    When the service is away its engines may well answer: a caller that routes goes on with its own health checks.
    """

    http: ServiceClient

    async def engines(self, *, tenant: str = "default", timeout_s: float | None = None) -> EngineList:
        """Return all engines of the host."""
        return await self.http.request("GET", "/v1/engines", reply=EngineList, tenant=tenant, timeout_s=timeout_s)

    async def engine(self, engine_id: str, *, tenant: str = "default") -> EngineStatus:
        """Return one engine."""
        return await self.http.request("GET", _path(engine_id), reply=EngineStatus, tenant=tenant)

    async def change(
        self, engine_id: str, verb: Literal["start", "stop", "restart"], *, tenant: str = "default"
    ) -> EngineStatus:
        """Ask for a start, a stop or a restart; the answer comes before it has happened."""
        return await self.http.request(
            "POST", f"{_path(engine_id)}/{verb}", reply=EngineStatus, tenant=tenant, idempotent=True
        )

    async def adapters(self, *, tenant: str = "default") -> AdapterList:
        """Return the LoRA adapters of the host."""
        return await self.http.request("GET", "/v1/adapters", reply=AdapterList, tenant=tenant)

    async def load_adapter(self, wanted: AdapterLoad, *, tenant: str = "default") -> AdapterStatus:
        """Load an adapter on every engine that serves its model."""
        return await self.http.request(
            "POST", "/v1/adapters", wanted, reply=AdapterStatus, tenant=tenant, idempotent=True
        )

    async def capacity(self, *, tenant: str = "default") -> Capacity:
        """Return what the host can take on."""
        return await self.http.request("GET", "/v1/capacity", reply=Capacity, tenant=tenant)

    async def scaling(self, name: str, *, tenant: str = "default") -> ScalingSignals:
        """Return what an autoscaler needs to know of a group of replicas."""
        path = f"/v1/scaling/{quote(name, safe='')}"
        return await self.http.request("GET", path, reply=ScalingSignals, tenant=tenant)


def _path(engine_id: str) -> str:
    return f"/v1/engines/{quote(engine_id, safe='')}"
