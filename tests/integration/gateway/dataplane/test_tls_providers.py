"""Providers over TLS: certificates of one's own authority, certificates that are not trusted, and the proxy of the network."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import redis
from openai_provider import Behaviour, Provider
from tls import behind_tls, certificates, proxy

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, RoutingSnapshot
from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = pytest.mark.integration

_TEXT = "Over a wire that nobody reads."


@asynccontextmanager
async def _gateway(
    folder: Path, valkey: str, tls_port: int, more: Mapping[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = platform_settings(folder, redis_url=valkey, router_url="http://127.0.0.1:9", gateway_url=url)
    place = Deployment(id="far-1", base_url=f"https://localhost:{tls_port}/v1", upstream_model="far")
    snapshot = RoutingSnapshot(version=1, published_at=1.0, models=(Model(name="far", deployments=(place,)),))
    with redis.Redis.from_url(valkey) as client:
        client.set(SNAPSHOT_KEY, snapshot.model_dump_json())
    environment = {**environment_of(settings), "SLUICE_GATEWAY_PORT": str(port), "SLUICE_GATEWAY_RETRIES": "0", **more}
    process = ServiceProcess("sluice_gateway", ["serve"], environment, folder / "gateway.log")
    try:
        process.start()
        process.wait_ready(f"{url}/readyz")
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            made = await http.post("/admin/keys", json={"name": "tls", "tenant": "acme"}, headers=admin_headers())
            http.headers["authorization"] = f"Bearer {made.json()['key']}"
            yield http
    finally:
        process.stop()


async def _ask(http: httpx.AsyncClient, *, stream: bool = False) -> httpx.Response:
    body = {"model": "far", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return await http.post("/v1/chat/completions", json=body)


async def test_a_provider_is_called_over_tls_whole_and_streamed(tmp_path: Path, flushed_valkey: str) -> None:
    authority, context = certificates(tmp_path)
    async with (
        Provider(default=Behaviour(text=_TEXT)) as provider,
        behind_tls(provider.port, context) as port,
        _gateway(tmp_path, flushed_valkey, port, {"SSL_CERT_FILE": str(authority)}) as http,
    ):
        answer = await _ask(http)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == _TEXT
        streamed = await _ask(http, stream=True)
        assert streamed.text.rstrip().endswith("data: [DONE]")
        assert len(provider.seen) == 2


@pytest.mark.parametrize("wrong", ["unknown authority", "expired"])
async def test_a_certificate_that_is_not_to_be_trusted_ends_the_call(
    tmp_path: Path, flushed_valkey: str, wrong: str
) -> None:
    authority, context = certificates(tmp_path, days=-1 if wrong == "expired" else 1)
    more = {"SSL_CERT_FILE": str(authority)} if wrong == "expired" else {}
    async with (
        Provider() as provider,
        behind_tls(provider.port, context) as port,
        _gateway(tmp_path, flushed_valkey, port, more) as http,
    ):
        answer = await _ask(http)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream_failed"  # why is for the operator
        assert "could not be called: " in (tmp_path / "gateway.log").read_text()
        assert 'reason="certificate"} 1.0' in (await http.get("/metrics")).text
        assert provider.seen == []


async def test_the_proxy_of_the_network_is_gone_through(tmp_path: Path, flushed_valkey: str) -> None:
    authority, context = certificates(tmp_path)
    async with (
        Provider(default=Behaviour(text=_TEXT)) as provider,
        behind_tls(provider.port, context) as port,
        proxy() as way,
    ):
        more = {"SSL_CERT_FILE": str(authority), "HTTPS_PROXY": way.url, "HTTP_PROXY": "http://127.0.0.1:9"}
        async with _gateway(tmp_path, flushed_valkey, port, more) as http:
            for stream in (False, True):
                answer = await _ask(http, stream=stream)
                assert answer.status_code == 200, answer.text
            assert set(way.asked) == {f"CONNECT localhost:{port}"}
            assert len(provider.seen) == 2


async def test_a_proxy_that_refuses_is_named(tmp_path: Path, flushed_valkey: str) -> None:
    authority, context = certificates(tmp_path)
    async with Provider() as provider, behind_tls(provider.port, context) as port, proxy() as way:
        way.refuses = True
        more = {"SSL_CERT_FILE": str(authority), "HTTPS_PROXY": way.url}
        async with _gateway(tmp_path, flushed_valkey, port, more) as http:
            answer = await _ask(http)
            assert answer.status_code == 502
            assert "403" in (tmp_path / "gateway.log").read_text()
            assert 'reason="proxy"} 1.0' in (await http.get("/metrics")).text
            assert provider.seen == []


async def test_no_proxy_is_asked_for_hosts_that_need_none(tmp_path: Path, flushed_valkey: str) -> None:
    authority, context = certificates(tmp_path)
    async with Provider() as provider, behind_tls(provider.port, context) as port, proxy() as way:
        more = {"SSL_CERT_FILE": str(authority), "HTTPS_PROXY": way.url, "NO_PROXY": "example.com,localhost"}
        async with _gateway(tmp_path, flushed_valkey, port, more) as http:
            assert (await _ask(http)).status_code == 200
            assert way.asked == []
            assert len(provider.seen) == 1
