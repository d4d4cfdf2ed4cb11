"""The metrics of several real servers behind one name, and the REST call over all of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from sluice.clients.inference import InferenceClient
from sluice.errors import DependencyUnavailable, NotFound
from sluice.testing import free_port, platform_settings, service_client
from sluice_inference.adapters.replicas import ReplicaMetrics, addresses_of
from sluice_inference.app import create_app
from sluice_inference.settings import Settings
from sluice_inference.wiring import open_deps


@asynccontextmanager
async def _replica(address: str, port: int, waiting: int) -> AsyncIterator[None]:
    async def metrics(request: web.Request) -> web.Response:
        assert request.headers["host"] == f"pods:{port}" or request.headers["host"].startswith("127.")
        return web.Response(text=f'vllm:num_requests_waiting{{engine="0"}} {waiting}\n')

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        yield
    finally:
        await runner.cleanup()


async def test_every_address_is_asked_and_the_dead_one_is_told() -> None:
    port = free_port()

    async def three(host: str, asked: int) -> Sequence[str]:
        assert (host, asked) == ("pods", port)
        return ["127.0.0.1", "127.0.0.2", "127.0.0.3"]

    async with _replica("127.0.0.1", port, 4), _replica("127.0.0.2", port, 5), aiohttp.ClientSession() as session:
        found = await ReplicaMetrics(session, resolve=three).read(f"http://pods:{port}/metrics")
    assert found["127.0.0.1"] != found["127.0.0.2"]
    assert {address: text is not None for address, text in found.items()} == {
        "127.0.0.1": True,
        "127.0.0.2": True,
        "127.0.0.3": False,
    }


async def test_a_name_without_an_address_says_that_no_replica_is_ready() -> None:
    with pytest.raises(DependencyUnavailable, match="no replica is ready"):
        await addresses_of("no-such-host.invalid", 80)


async def test_the_call_answers_over_rest(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "config"
    config.mkdir()
    content = {
        "engines": [{"id": "far", "backend": "remote", "model": "m", "base_url": "http://127.0.0.1:9/v1"}],
        "scaling": [
            {"name": "pods", "metrics_url": f"http://127.0.0.1:{port}/metrics", "every_s": 0.5},
            {"name": "off", "metrics_url": "http://127.0.0.1:9/metrics", "only_if": ""},
        ],
    }
    (config / "engines.yaml").write_text(yaml.safe_dump(content))
    platform = platform_settings(tmp_path, config_dir=config)
    app = create_app(lambda: open_deps(platform, Settings(_env_file=None, log_dir=tmp_path / "logs")))
    async with app.router.lifespan_context(app), service_client("inference", app, platform) as called:
        client = InferenceClient(called)
        with pytest.raises(DependencyUnavailable, match="None of the 1 replicas"):
            await client.scaling("pods")
        async with _replica("127.0.0.1", port, 6):
            found = await client.scaling("pods")
        assert (found.requests_waiting, found.replicas, found.replicas_read) == (6, 1, 1)
        with pytest.raises(NotFound, match="It has: pods"):
            await client.scaling("off")
