"""SLUICE_SERVICES=gateway: the gateway and its router, as `sluice up` runs them, answer with a provider and say what is off."""

import asyncio
from pathlib import Path

import httpx
import pytest
from openai_provider import Provider

from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = [pytest.mark.integration]

GATEWAY_ONLY = Path(__file__).parents[3] / "deploy/config/gateway-only"


async def test_the_gateway_alone_answers_and_says_what_is_off(tmp_path: Path, flushed_valkey: str) -> None:
    port, router_port = free_port(), free_port()
    platform = platform_settings(
        tmp_path,
        redis_url=flushed_valkey,
        config_dir=GATEWAY_ONLY,
        services="gateway",
        router_url=f"http://127.0.0.1:{router_port}",
    )
    async with Provider() as provider:
        environment = environment_of(platform) | {
            "SLUICE_GATEWAY_PORT": str(port),
            "SLUICE_ROUTER_PORT": str(router_port),
            "PROVIDER_URL": provider.base_url,
            "PROVIDER_KEY": "k",
            "PROVIDER_MODEL": "fox",
        }
        with (
            ServiceProcess("sluice_router", ["serve"], environment, tmp_path / "router.log", cwd=tmp_path) as router,
            ServiceProcess("sluice_gateway", ["serve"], environment, tmp_path / "gateway.log", cwd=tmp_path) as gateway,
        ):
            await asyncio.to_thread(router.wait_ready, f"http://127.0.0.1:{router_port}/readyz")
            await asyncio.to_thread(gateway.wait_ready, f"http://127.0.0.1:{port}/readyz")
            await _ask(f"http://127.0.0.1:{port}")


async def _ask(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        made = (await http.post("/admin/keys", json={"name": "k"}, headers=admin_headers())).json()
        http.headers["authorization"] = f"Bearer {made['key']}"
        asked = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
        answer = await http.post("/v1/chat/completions", json=asked)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-sluice-model"] == "fox"
        off = {
            "retrieval": await http.get("/v1/vector_stores"),
            "feedback": await http.post("/v1/feedback", json={"request_id": "r", "thumbs": "up"}),
            "guardrail": await http.post("/v1/moderations", json={"input": "hello"}),
            "retrieval service": await http.post(
                "/v1/chat/completions", json={**asked, "sluice": {"retrieval": {"vector_store_ids": ["vs"]}}}
            ),
        }
        for service, answer in off.items():
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (503, "service_off"), answer.text
            assert f"add `{service.split()[0]}` to SLUICE_SERVICES" in error["message"]
