"""Publication with a real Valkey: one publisher among several routers, versions that grow, loads of engines."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from redis.asyncio import Redis
from tests.integration.databases import set_up_schema

from sluice.clients.http import HttpAnswer
from sluice.contracts.engine import EngineList, EngineStatus
from sluice.contracts.routing import SNAPSHOT_KEY, RoutingSnapshot
from sluice.queues import ROUTING_CHANGED, subscribe
from sluice.settings import PlatformSettings
from sluice.testing import Valkey, admin_headers, asgi_client, platform_settings, redis_at, valkey_process
from sluice_router.adapters.publisher import LEASE_KEY
from sluice_router.app import create_app
from sluice_router.settings import Settings
from sluice_router.wiring import MIGRATIONS, open_deps

pytestmark = pytest.mark.integration


class Network:
    """Deployments and the inference service, as the router sees them from where it stands."""

    def __init__(self, *down: str) -> None:
        self.down = set(down)
        self.engines: list[EngineStatus] = []
        self.credentials: dict[str, str | None] = {}

    async def send(self, method: str, url: str, headers: Any, body: Any, timeout_s: float) -> HttpAnswer:
        if url.endswith("/v1/engines"):
            return HttpAnswer(200, {}, EngineList(data=tuple(self.engines)).model_dump_json().encode())
        host = url.split("/")[2]
        self.credentials[host] = headers.get("authorization")
        if host in self.down:
            raise ConnectionError(host)
        return HttpAnswer(200, {}, b"{}")

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with valkey_process() as server:
        yield server


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[Redis]:
    client = redis_at(valkey.url)
    yield client
    await client.aclose()


@pytest.fixture
async def platform(tmp_path: Path, valkey: Valkey) -> PlatformSettings:
    places = [{"id": name, "base_url": f"http://{name}/v1"} for name in ("one", "two")]
    places[1]["auth"] = {"kind": "service", "audience": "retrieval"}  # type: ignore[assignment]
    body = {"models": [{"name": "m", "deployments": places}], "routes": [{"name": "auto", "candidates": ["m"]}]}
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(body))
    made = platform_settings(tmp_path, config_dir=tmp_path, redis_url=valkey.url)
    await set_up_schema(made, "router", MIGRATIONS)
    return made


@asynccontextmanager
async def router(
    platform: PlatformSettings, network: Network, port: int = 9001, reload_s: float = 0.1
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(port=port, probe_interval_s=0.05, reload_s=reload_s, publish_s=0.1, loads_s=0.05)
    app = create_app(lambda: open_deps(platform, settings, transport=network))
    async with asgi_client(app) as client:
        client.headers.update(admin_headers())
        yield client


async def eventually(look: Callable[[], Any], seconds: float = 60) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found


async def published(store: Redis) -> RoutingSnapshot | None:
    stored = await store.get(SNAPSHOT_KEY)
    return RoutingSnapshot.model_validate_json(stored) if stored else None


async def health(store: Redis) -> dict[str, str]:
    found = await published(store)
    return {d.id: d.health for d in found.models[0].deployments} if found else {}


def healths(store: Redis, one: str, two: str) -> Callable[[], Any]:
    async def look() -> bool:
        return await health(store) == {"one": one, "two": two}

    return look


async def test_a_router_that_comes_back_keeps_the_version_when_nothing_changed(
    platform: PlatformSettings, store: Redis
) -> None:
    async with router(platform, Network("two")):
        await eventually(healths(store, "up", "down"))
        first = await published(store)
    assert not await store.exists(LEASE_KEY), "the lease is given back at the end"
    async with router(platform, Network("two")) as client:
        await asyncio.sleep(0.5)
        assert await published(store) == first
        assert (await client.get("/v1/snapshot")).json()["version"] == first.version if first else 0
        answer = (await client.post("/route", json={"model": "auto", "explain": True})).json()
        assert answer["snapshot_version"] == (first.version if first else 0)
        assert [c["reason"] for c in answer["candidates"]][1] == "it is down (it cannot be reached)"


async def test_versions_grow_when_redis_lost_its_data_and_every_change_is_announced(
    platform: PlatformSettings, store: Redis
) -> None:
    heard: list[int] = []
    connected = asyncio.Event()

    async def confirm() -> None:
        connected.set()

    async def listen() -> None:
        async for message in subscribe(store, ROUTING_CHANGED, on_connect=confirm):
            heard.append(message.version)  # noqa: PERF401 - read while it goes on

    listener = asyncio.create_task(listen())
    await connected.wait()
    network = Network()
    async with router(platform, network):
        await eventually(healths(store, "up", "up"))
        await store.flushall()
        await eventually(lambda: published(store))
        network.down = {"one"}
        await eventually(healths(store, "down", "up"))
        last = await published(store)
        assert last is not None
        await eventually(lambda: _true(heard[-1:] == [last.version]))
    listener.cancel()
    assert heard == sorted(heard)
    async with router(platform, Network()):
        await eventually(healths(store, "up", "up"))
        newer = await published(store)
        assert newer is not None
        assert newer.version > last.version


async def _true(value: bool) -> bool:
    return value


async def test_of_two_routers_one_publishes_and_the_other_follows_when_it_ends(
    platform: PlatformSettings, store: Redis
) -> None:
    async with router(platform, Network("two"), port=9002) as second:
        async with router(platform, Network("one"), port=9001) as first:
            for client in (first, second):
                await eventually(lambda client=client: _snapshot_has_probes(client))
            await eventually(lambda: published(store))
            await asyncio.sleep(0.5)
            lead = [int("sluice_router_publisher 1.0" in (await c.get("/metrics")).text) for c in (first, second)]
            assert sum(lead) == 1
            assert await health(store) == ({"one": "down", "two": "up"} if lead[0] else {"one": "up", "two": "down"})
            version = (await published(store) or RoutingSnapshot(version=0, published_at=0, models=())).version
            await asyncio.sleep(0.5)
            again = await published(store)
            assert again is not None
            assert again.version == version, "two views of the world do not take turns"
        await eventually(healths(store, "up", "down"))


async def _snapshot_has_probes(client: httpx.AsyncClient) -> bool:
    found = RoutingSnapshot.model_validate_json((await client.get("/v1/snapshot")).content)
    return all(deployment.health != "unknown" for deployment in found.models[0].deployments)


async def test_the_load_of_engines_and_own_decisions_decide(platform: PlatformSettings, store: Redis) -> None:
    network = Network()
    network.engines = [
        EngineStatus(
            id="e", backend="llamacpp", state="ready", base_url="http://one/v1", model="m", slots=2, slots_busy=2
        )
    ]
    async with router(platform, network) as client:
        await eventually(lambda: _load_of(client, "one", 1.0))
        answer = (await client.post("/route", json={"model": "auto", "explain": True})).json()
        assert (answer["instance"], answer["reason"]) == ("two", "least loaded of 2 (0.00)")
        assert network.credentials["one"] is None
        assert str(network.credentials["two"]).startswith("Bearer ey"), "a Sluice service gets a service token"


async def _load_of(client: httpx.AsyncClient, deployment: str, load: float) -> bool:
    listed = (await client.get("/v1/deployments")).json()["data"]
    return any(item["deployment"]["id"] == deployment and item["load"] == load for item in listed)


async def test_a_wrong_change_is_shown_and_a_reload_answers_with_the_sentence(platform: PlatformSettings) -> None:
    path = platform.config_dir / "models.yaml"
    right = path.read_text()
    # Only a request reads the file here: the look that comes by itself could be first.
    async with router(platform, Network(), reload_s=60) as client:
        assert (await client.get("/v1/config")).json().get("problem") is None
        path.write_text(right.replace("base_url", "bass_url"))
        refused = await client.post("/v1/reload")
        assert (refused.status_code, refused.json()["code"]) == (409, "models_file_error")
        assert "did you mean 'base_url'?" in refused.json()["detail"]
        assert "bass_url" in (await client.get("/v1/config")).json()["problem"]
        assert "sluice_router_config_valid 0.0" in (await client.get("/metrics")).text
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/route", json={"model": "auto"})).status_code == 200
        path.write_text(right.replace("name: auto", "name: other"))
        taken = (await client.post("/v1/reload")).json()
        assert taken["changed"] is True
        assert (await client.post("/route", json={"model": "auto"})).status_code == 404
        assert (await client.get("/v1/routes")).json()["data"][0]["name"] == "other"


async def test_prices_come_from_the_list_and_change_at_their_time(
    platform: PlatformSettings, store: Redis, tmp_path: Path
) -> None:
    # The child process that reads the list takes a second or two; what begins in the meantime has begun.
    begins = datetime.fromtimestamp(time.time() + 5, UTC).isoformat()
    listed = {"base_url": "https://api.openai.com/v1", "health": {"enabled": False}}
    changing = {"price": {"input": 1}, "price_changes": [{"from": begins, "price": {"input": 2}}]}
    places = [{"base_url": "http://one/v1"}]
    models = [
        {"name": "gpt-4o-mini", "deployments": [listed]},
        {"name": "changing", "deployments": places, **changing},
        {"name": "home", "deployments": places},
    ]
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": models}))
    async with router(platform, Network()):
        first = await eventually(lambda: published(store), seconds=60)
        prices = {model.name: model.price for model in first.models}
        assert prices["home"] is None
        assert prices["gpt-4o-mini"].source.startswith("genai-prices ")
        assert prices["gpt-4o-mini"].input > 0

        async def turned() -> bool:
            found = await published(store)
            return found is not None and {model.name: model.price for model in found.models}["changing"].input == 2

        await eventually(turned, seconds=60)
        assert time.time() >= datetime.fromisoformat(begins).timestamp()
