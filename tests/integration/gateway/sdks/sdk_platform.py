"""A gateway process in front of an OpenAI-compatible and an Anthropic provider, for unmodified client libraries."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
import redis
from anthropic_provider import KEY, AnthropicProvider
from foreign_provider import Behaviour
from openai_provider import Provider
from tests.integration.databases import set_up_schema

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, DeploymentAuth, Model, RoutingSnapshot
from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings
from sluice_gateway.wiring import MIGRATIONS

MODELS = ("open", "claude")
VARIABLE = "ANTHROPIC_KEY_OF_THE_SIMULATOR"


@dataclass
class Platform:
    """Where the gateway answers, a key for it, and the providers by their model."""

    url: str
    key: str
    providers: dict[str, Provider]

    def answer(self, **behaviour: object) -> None:
        """Say how both providers answer from now on."""
        for provider in self.providers.values():
            provider.default = Behaviour(**behaviour)  # type: ignore[arg-type]


@asynccontextmanager
async def running(folder: Path, valkey: str, more: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[Platform]:
    """Run it, with more in its environment."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = platform_settings(folder, redis_url=valkey, router_url="http://127.0.0.1:9", gateway_url=url)
    await set_up_schema(settings, "gateway", MIGRATIONS)
    environment = {**environment_of(settings), "SLUICE_GATEWAY_PORT": str(port), VARIABLE: KEY, **more}
    process = ServiceProcess("sluice_gateway", ["serve"], environment, folder / "gateway.log")
    async with Provider() as compatible, AnthropicProvider() as claude:
        snapshot = routing(compatible.base_url, claude.base_url)
        with redis.Redis.from_url(valkey) as client:
            client.set(SNAPSHOT_KEY, snapshot.model_dump_json())
        try:
            process.start()
            process.wait_ready(f"{url}/readyz")
            async with httpx.AsyncClient(timeout=60) as http:
                made = await http.post(
                    f"{url}/admin/keys", json={"name": "sdk", "tenant": "acme"}, headers=admin_headers()
                )
            assert made.status_code == 201, made.text
            yield Platform(url, made.json()["key"], {"open": compatible, "claude": claude})
        finally:
            process.stop()


def routing(compatible: str, claude: str) -> RoutingSnapshot:
    """Return a snapshot with a chat model on each provider and an embedding model."""
    secret = DeploymentAuth(kind="bearer", env=VARIABLE)
    places = (
        Deployment(id="open-1", base_url=compatible, upstream_model="open"),
        Deployment(id="claude-1", base_url=claude, upstream_model="claude-opus", provider="anthropic", auth=secret),
    )
    chat = tuple(
        Model(name=name, deployments=(place,), max_output_tokens=500)
        for name, place in zip(MODELS, places, strict=True)
    )
    place = Deployment(id="vectors-1", base_url=compatible, upstream_model="vectors")
    return RoutingSnapshot(
        version=1, published_at=1.0, models=(*chat, Model(name="vectors", kind="embedding", deployments=(place,)))
    )
