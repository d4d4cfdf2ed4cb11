"""A router whose models.yaml names all models of a provider, and a gateway that serves them: real processes, a provider over a socket."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.databases import fresh_database
from tests.simulators.openai_provider import Behaviour, Provider

from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@dataclass
class Platform:
    """A router and a gateway before a provider, and the key of a client."""

    provider: Provider
    router: ServiceProcess
    gateway: str
    client: httpx.AsyncClient
    key: dict[str, str]

    def offers(self, *models: dict[str, Any], status: int = 200) -> None:
        """Let the provider list these models."""
        listing = json.dumps({"object": "list", "data": models}).encode()
        self.provider.for_path["/v1/models"] = Behaviour(status=status, body=listing)

    async def admin(self, path: str) -> dict[str, Any]:
        """Read from the admin API."""
        found: dict[str, Any] = (await self.client.get(f"{self.gateway}/admin/{path}", headers=admin_headers())).json()
        return found

    async def models(self) -> list[str]:
        """Return what the client may call."""
        answer = await self.client.get(f"{self.gateway}/v1/models", headers=self.key)
        return sorted(one["id"] for one in answer.json()["data"])

    async def until(self, holds: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the client's list of models is so."""
        began = time.monotonic()
        while not holds(found := await self.models()):
            assert time.monotonic() - began < 60, found
            await asyncio.sleep(0.05)
        return found

    async def ask(self, model: str) -> httpx.Response:
        """Ask a model for an answer."""
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
        return await self.client.post(f"{self.gateway}/v1/chat/completions", json=body, headers=self.key)


@pytest.fixture
async def platform(tmp_path: Path, flushed_valkey: str, postgres: str) -> AsyncIterator[Platform]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider())
        star = {
            "name": "acme/*",
            "price": {"input": 1, "output": 1},
            "skip": ["whisper-*"],
            "deployments": [{"base_url": provider.base_url, "auth": {"kind": "bearer", "env": "ACME_KEY"}}],
        }
        fixed = {"name": "acme/fixed", "price": {"input": 1}, "deployments": [{"base_url": provider.base_url}]}
        routes = [{"name": "either", "candidates": ["acme/later", "acme/big"]}]
        (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": [star, fixed], "routes": routes}))
        ports = {"router": free_port(), "gateway": free_port()}
        settings = platform_settings(
            tmp_path / "data",
            redis_url=flushed_valkey,
            database_url=await asyncio.to_thread(fresh_database, postgres),
            config_dir=tmp_path,
            router_url=f"http://127.0.0.1:{ports['router']}",
        )
        found = Platform(provider, None, f"http://127.0.0.1:{ports['gateway']}", None, {})  # type: ignore[arg-type]  # set below
        found.offers({"id": "big", "max_model_len": 5000}, {"id": "small"}, {"id": "fixed"}, {"id": "whisper-1"})
        for service, port in ports.items():
            environment = {
                **environment_of(settings),
                f"SLUICE_{service.upper()}_PORT": str(port),
                "SLUICE_ROUTER_OFFERS_S": "10",
                "ACME_KEY": "sk-acme",
            }
            log = tmp_path / f"{service}.log"
            process = ServiceProcess(f"sluice_{service}", ["serve"], environment, log, cwd=tmp_path)
            stack.enter_context(process)
            await asyncio.to_thread(process.wait_ready, f"http://127.0.0.1:{port}/readyz")
            if service == "router":
                found.router = process
        found.client = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        made = await found.client.post(f"{found.gateway}/admin/keys", json={"name": "k"}, headers=admin_headers())
        found.key = {"authorization": f"Bearer {made.json()['key']}"}
        yield found


async def test_what_a_provider_lists_can_be_called(platform: Platform) -> None:
    found = await platform.until(lambda models: "acme/small" in models)
    assert found == ["acme/big", "acme/fixed", "acme/small", "auto", "either"]
    assert os.environ.get("ACME_KEY") is None
    asked = next(one for one in platform.provider.seen if one.path == "/v1/models" and "authorization" in one.headers)
    assert asked.headers["authorization"] == "Bearer sk-acme"
    for model, upstream in (("acme/big", "big"), ("either", "big"), ("acme/small", "small")):
        answer = await platform.ask(model)
        assert answer.status_code == 200, answer.text
        called = next(one for one in reversed(platform.provider.seen) if one.path != "/v1/models")  # it lists meanwhile
        assert called.json["model"] == upstream
    listed = await platform.client.get(f"{platform.gateway}/v1/models/acme/big", headers=platform.key)
    assert listed.json()["sluice"]["context_tokens"] == 5000
    assert (await platform.ask("acme/whisper-1")).status_code == 404
    assert (await platform.ask("acme/*")).status_code == 404
    shown = await platform.admin("models/acme/*")
    assert shown["spec"]["skip"] == ["whisper-*"]
    assert [(one["deployment"], one["models"], one["problem"]) for one in shown["offers"]] == [("acme/*-1", 4, None)]


async def test_it_follows_the_provider_and_outlives_its_silence(platform: Platform) -> None:
    await platform.until(lambda models: "acme/small" in models)
    platform.offers({"id": "big"}, {"id": "later"})
    assert "acme/small" not in await platform.until(lambda models: "acme/later" in models)
    platform.offers(status=500)
    platform.router.kill()
    platform.router.start()
    for _ in range(1200):
        shown = await platform.admin("models/acme/*")
        if shown.get("offers") and shown["offers"][0]["problem"]:
            break
        await asyncio.sleep(0.05)
    offered = shown["offers"][0]
    assert (offered["models"], offered["problem"]) == (2, "GET /models answered 500")
    assert offered["listed_at"] == pytest.approx(time.time(), abs=60)
    assert "acme/later" in await platform.models()


async def test_one_made_through_the_api_is_asked_at_once(platform: Platform) -> None:
    made = {
        "name": "other/*",
        "price": {"input": 1},
        "deployments": [{"base_url": platform.provider.base_url, "auth": {"kind": "bearer", "env": "ACME_KEY"}}],
    }
    answer = await platform.client.put(f"{platform.gateway}/admin/models/other/*", json=made, headers=admin_headers())
    assert answer.status_code == 201, answer.text
    await platform.until(lambda models: "other/small" in models and "other/whisper-1" in models)
    places = await platform.admin("deployments?model=other/*")
    assert [(one["id"], one["health"]) for one in places["data"]] == [("other/*-1", "up")]
    gone = await platform.client.delete(f"{platform.gateway}/admin/models/other/*", headers=admin_headers())
    assert gone.status_code == 200, gone.text
    await platform.until(lambda models: not any(name.startswith("other/") for name in models))
