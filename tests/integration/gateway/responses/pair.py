"""Two gateway processes on one database and one Valkey, in front of a provider of each kind, for clients that go on with kept responses."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import openai
import redis
from anthropic_provider import KEY, AnthropicProvider
from foreign_provider import Behaviour
from gemini_provider import KEY as GEMINI_KEY
from gemini_provider import GeminiProvider
from openai_provider import Provider

from sluice.contracts.routing import (
    SNAPSHOT_KEY,
    CachePolicy,
    Deployment,
    DeploymentAuth,
    Model,
    Policy,
    RoutingSnapshot,
)
from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

KINDS = ("open", "claude", "gemini")
_CLAUDE, _GEMINI = "ANTHROPIC_KEY_OF_THE_SIMULATOR", "GEMINI_KEY_OF_THE_SIMULATOR"

PATIENCE_S = 60.0
"""How long a client waits, also for a connection, for which its own default is 5 s: many at once on a busy machine take longer."""


@dataclass
class Pair:
    """Where both gateways answer, an API key of one tenant and one of another, and the providers by their model."""

    urls: tuple[str, str]
    key: str
    other_key: str
    providers: dict[str, Provider]
    processes: tuple[ServiceProcess, ServiceProcess]

    def api(self, which: int = 0, key: str | None = None) -> openai.AsyncOpenAI:
        """Return OpenAI's client on one of the gateways."""
        return openai.AsyncOpenAI(
            base_url=f"{self.urls[which]}/v1", api_key=key or self.key, max_retries=0, timeout=PATIENCE_S
        )

    def answer(self, **behaviour: Any) -> None:
        """Say how all providers answer from now on."""
        for provider in self.providers.values():
            provider.default = Behaviour(**behaviour)

    def asked(self, model: str) -> dict[str, Any]:
        """Return what the provider of a model was asked last."""
        return self.providers[model].seen[-1].json

    def start(self, which: int) -> None:
        """Start one of the gateways."""
        self.processes[which].start()
        self.processes[which].wait_ready(f"{self.urls[which]}/readyz")


def routing(providers: Mapping[str, Provider]) -> RoutingSnapshot:
    """Return a snapshot with one model on each provider, and some with policies of their own."""

    def auth(variable: str) -> DeploymentAuth:
        return DeploymentAuth(kind="bearer", env=variable)

    url = {name: provider.base_url for name, provider in providers.items()}
    plain = Deployment(id="open-1", base_url=url["open"], upstream_model="open")
    native = Deployment(id="native-1", base_url=url["native"], upstream_model="native", responses="native")
    claude = Deployment(
        id="claude-1", base_url=url["claude"], upstream_model="claude-opus", provider="anthropic", auth=auth(_CLAUDE)
    )
    gemini = Deployment(
        id="gemini-1", base_url=url["gemini"], upstream_model="gemini-2.5-pro", provider="gemini", auth=auth(_GEMINI)
    )
    return RoutingSnapshot(
        version=1,
        published_at=1.0,
        models=(
            Model(name="open", deployments=(plain,), max_output_tokens=500),
            Model(name="native", deployments=(native,)),
            Model(name="claude", deployments=(claude,), max_output_tokens=500),
            Model(name="gemini", deployments=(gemini,), max_output_tokens=500),
            Model(name="small", deployments=(plain,), context_tokens=100),
            Model(name="cached", deployments=(plain,), policy="cached"),
            Model(name="discreet", deployments=(plain,), policy="discreet"),
        ),
        policies=(
            Policy(name="cached", cache=CachePolicy(any_temperature=True)),
            Policy(name="discreet", keep_responses=False),
        ),
    )


@asynccontextmanager
async def running(
    folder: Path, valkey: str, database_url: str, more: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Pair]:
    """Run both, with more in their environment."""
    async with AsyncExitStack() as stack:
        providers: dict[str, Provider] = {
            "open": await stack.enter_async_context(Provider(default=Behaviour())),
            "native": await stack.enter_async_context(Provider(default=Behaviour())),
            "claude": await stack.enter_async_context(AnthropicProvider()),
            "gemini": await stack.enter_async_context(GeminiProvider()),
        }
        with redis.Redis.from_url(valkey) as client:
            client.set(SNAPSHOT_KEY, routing(providers).model_dump_json())
        urls, processes = [], []
        for name in ("one", "two"):
            port = free_port()
            urls.append(f"http://127.0.0.1:{port}")
            settings = platform_settings(
                folder / name,
                redis_url=valkey,
                router_url="http://127.0.0.1:9",
                gateway_url=urls[-1],
                database_url=database_url or f"sqlite+aiosqlite:///{folder}/gateway.sqlite",
            )
            environment = {
                **environment_of(settings), "SLUICE_GATEWAY_PORT": str(port), _CLAUDE: KEY, _GEMINI: GEMINI_KEY, **more
            }  # fmt: skip
            processes.append(ServiceProcess("sluice_gateway", ["serve"], environment, folder / f"{name}.log"))
            stack.callback(processes[-1].stop)
        pair = Pair((urls[0], urls[1]), "", "", providers, (processes[0], processes[1]))
        pair.start(0)
        pair.start(1)
        pair.key, pair.other_key = [await made_key(pair, tenant) for tenant in ("acme", "other")]
        yield pair


async def made_key(pair: Pair, tenant: str) -> str:
    """Make an API key that both gateways know."""
    async with httpx.AsyncClient(timeout=60) as http:
        body = {"name": f"k{len(pair.key)}", "tenant": tenant}
        made = await http.post(f"{pair.urls[0]}/admin/keys", json=body, headers=admin_headers())
        assert made.status_code == 201, made.text
        key: str = made.json()["key"]
        for url in pair.urls:
            while (await http.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"})).status_code == 401:
                pass
    return key
