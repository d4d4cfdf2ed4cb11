"""Requests that are refused before anything is asked: OpenAI's error shape, a sentence, and nothing recorded."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from gateway_parts import Keys, Names, Parts, deployment, model, serving, snapshot
from openai_provider import Provider
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.dialling import origin_of
from sluice_gateway.dataplane.pool import HttpPool
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Call
from sluice_gateway.dataplane.wire import GatewayProtocol
from sluice_gateway.domain.ports import KeyRecord

GOOD = b'{"model":"small","messages":[{"role":"user","content":"x"}]}'
KEY = {"authorization": "Bearer sk-test"}
CHAT = "/v1/chat/completions"


async def chunked(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


@pytest.mark.parametrize("http", [GatewayProtocol, HttpToolsProtocol], ids=["short", "asgi"])
async def test_refusals(http: type[HttpToolsProtocol], provider: Provider) -> None:
    parts = Parts(
        http=http,
        options=Options(max_body_bytes=2000),
        keys=Keys(
            {
                b"Bearer sk-test": KeyRecord("k", "t", "n"),
                b"Bearer sk-off": KeyRecord("k2", "t", "n", disabled=True),
                b"Bearer sk-old": KeyRecord("k3", "t", "n", expires_at=1.0),
            }
        ),
    )
    routing = snapshot(model("small", deployment("d1", provider.base_url)))
    long = GOOD.replace(b'"x"', b'"' + b"x" * 5000 + b'"')
    cases = [
        ("POST", {}, GOOD, 401, "invalid_api_key"),
        ("POST", {"authorization": "Bearer sk-wrong"}, GOOD, 401, "invalid_api_key"),
        ("POST", {"authorization": "Basic xyz"}, GOOD, 401, "invalid_api_key"),
        ("POST", {"authorization": "Bearer sk-off"}, GOOD, 401, "key_disabled"),
        ("POST", {"authorization": "Bearer sk-old"}, GOOD, 401, "key_expired"),
        ("POST", KEY, long, 413, "request_too_large"),
        ("POST", KEY, chunked(long), 413, "request_too_large"),
        ("POST", KEY | {"content-encoding": "gzip"}, GOOD, 415, "unsupported_media_type"),
        ("POST", KEY, b"", 400, "invalid_json"),
        ("POST", KEY, b"{oops", 400, "invalid_json"),
        ("POST", KEY, b'{"model":"small","messages":"hi"}', 400, "invalid_value"),
        ("POST", KEY, GOOD.replace(b"small", b"nope"), 404, "model_not_found"),
        ("GET", KEY, b"", 405, "method_not_allowed"),
        ("DELETE", KEY, b"", 405, "method_not_allowed"),
    ]
    async with serving(parts, routing) as gateway, httpx.AsyncClient(timeout=60) as client:
        for method, headers, content, status, code in cases:
            answer = await client.request(method, gateway.url + CHAT, headers=headers, content=content)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (status, code)
            assert set(error) == {"message", "type", "param", "code"}
            assert error["message"].endswith((".", "…`."))
            assert "Traceback" not in answer.text
            assert answer.headers["x-request-id"].startswith("req_")
        wrong = await client.get(gateway.url + CHAT, headers=KEY)
        assert wrong.headers["allow"] == "POST"
        unauthorised = await client.post(gateway.url + CHAT, content=GOOD)
        assert unauthorised.headers["www-authenticate"] == "Bearer"
        again = await client.post(gateway.url + CHAT, headers=KEY, content=GOOD)
        assert again.status_code == 200, "the connection is of use after all that"
    assert len(provider.seen) == 1
    assert [event.status for event in parts.usage.events] == ["ok"]


@pytest.mark.parametrize("http", [GatewayProtocol, HttpToolsProtocol], ids=["short", "asgi"])
async def test_links_whose_names_lead_inside_reach_no_model(http: type[HttpToolsProtocol], provider: Provider) -> None:
    parts = Parts(http=http, names=Names({"evil.example.com": ("10.0.0.7",)}))

    def asking(link: str) -> dict[str, object]:
        part = {"type": "image_url", "image_url": {"url": link}}
        return {"model": "small", "messages": [{"role": "user", "content": [part]}]}

    async with (
        serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway,
        httpx.AsyncClient(headers=KEY, timeout=60) as client,
    ):
        refused = await client.post(gateway.url + CHAT, json=asking("https://evil.example.com/x.png"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "link_not_allowed")
        assert not provider.seen
        passed = await client.post(gateway.url + CHAT, json=asking("https://example.com/x.png"))
        assert passed.status_code == 200
        assert provider.seen[0].json == asking("https://example.com/x.png")
        assert parts.names.asked == ["evil.example.com", "example.com"]


async def test_a_provider_that_redirects_is_not_followed() -> None:
    reached: list[bytes] = []

    async def inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.readline())
        writer.close()

    async def redirecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n" % hidden
        )
        writer.write(b"Connection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(inside, "127.0.0.1", 0) as target,
        await asyncio.start_server(redirecting, "127.0.0.1", 0) as front,
    ):
        hidden, port = (server.sockets[0].getsockname()[1] for server in (target, front))
        turn = Turn(asyncio.get_running_loop())
        upstream = HttpPool(
            origin_of(f"http://127.0.0.1:{port}"), idle_s=1, max_idle=1, max_reply_bytes=1000, turn=turn
        )
        reply = await upstream.send(Call("/v1/chat/completions", b"", (), "req_1", 5.0, 5.0, None))
        await upstream.close()
    assert reply.status == 307
    assert not reached
