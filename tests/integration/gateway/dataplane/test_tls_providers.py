"""Providers over TLS: certificates of one's own authority, certificates that are not trusted, and the proxy of the network."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

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
    folder: Path, valkey: str, tls_port: int, more: Mapping[str, str], **timing: float
) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = platform_settings(folder, redis_url=valkey, router_url="http://127.0.0.1:9", gateway_url=url)
    place = Deployment(id="far-1", base_url=f"https://localhost:{tls_port}/v1", upstream_model="far", **timing)
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


async def test_what_stands_before_a_provider_leaves_no_connection_behind(tmp_path: Path) -> None:
    # A socket that is still open when a test's loop ends is a warning, and with it the failure of whichever test comes next.
    authority, context = certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=authority)
    async with asyncio.timeout(60), Provider() as provider:
        before = asyncio.all_tasks()
        async with behind_tls(provider.port, context) as port, proxy() as way:
            silent = await asyncio.open_connection("127.0.0.1", port)  # its handshake never comes
            joined = await asyncio.open_connection("localhost", port, ssl=trusting)
            through = await asyncio.open_connection("127.0.0.1", urlsplit(way.url).port)
            through[1].write(f"CONNECT 127.0.0.1:{provider.port} HTTP/1.1\r\n\r\n".encode())
            assert await through[0].readuntil(b"\r\n\r\n")
            while provider.connections < 2:  # both ways have reached it
                await asyncio.sleep(0.01)
        assert {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before} <= {"Provider._serve"}
        for reader, writer in (silent, joined, through):
            with suppress(ConnectionError, ssl.SSLError):
                assert await reader.read() == b""
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


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


async def test_a_handshake_that_does_not_end_is_given_up_and_its_connection_closed(
    tmp_path: Path, flushed_valkey: str
) -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(4096):
                pass
        writer.close()
        left.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with _gateway(tmp_path, flushed_valkey, port, {}, connect_timeout_s=0.2) as http:
            answer = await _ask(http)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "connect_timeout")
            async with asyncio.timeout(60):
                await left.wait()


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
