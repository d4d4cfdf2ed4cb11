"""Heads as they stand on the wire: how long they may be and take, what stands behind a body, and the order of answers."""

import asyncio
import json
from typing import Any

import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Provider

from sluice.contracts.routing import CachePolicy, Policy
from sluice_gateway.dataplane.app import DataPlane
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.timers import Limits
from sluice_gateway.dataplane.wire import GatewayProtocol

BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "x"}], "temperature": 0}
RANKING: dict[str, Any] = {"query": "x", "documents": ["a"]}
KEY = b"authorization: Bearer sk-test\r\n"
LONG = b"a" * 40_000


class Hasty(GatewayProtocol):
    """Waits a moment for a head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = 0.1  # type: ignore[assignment] # seconds, as the loop counts them


class HastyPlane(DataPlane):
    """Looks often at who rests."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.idle = Limits(self._loop, 0.02)


def request(body: dict[str, Any], *, head: bytes = KEY, path: bytes = b"/v1/chat/completions") -> bytes:
    """Return a request as it stands on the wire."""
    raw = json.dumps(body).encode()
    return b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b" % (path, head, len(raw), raw)


async def said(gateway: Served, *parts: bytes, ends: bool = False) -> bytes:
    """Return what the gateway says to these parts, to its first answer or until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))
    try:
        async with asyncio.timeout(60):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            return await (reader.read(-1) if ends else reader.read(100_000))
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\nx-a: ", b"431"),
        (b"GET /", b"431"),
        (b"POST /v1/rerank HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nx-a: ", b"401"),
    ],
)
async def test_a_head_without_an_end_is_not_read_for_ever(provider: Provider, start: bytes, status: bytes) -> None:
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answer = await said(gateway, start, LONG, LONG, ends=True)
        fitting = await said(
            gateway, b"POST /v1/chat/completions HTTP/1.1\r\nx-a: ", LONG, b"\r\n" + request(BODY)[36:]
        )
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert fitting.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("start", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost:"])
async def test_a_client_that_sends_no_head_does_not_hold_its_connection(provider: Provider, start: bytes) -> None:
    parts = Parts(http=Hasty, plane=HastyPlane)
    async with serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        assert await said(gateway, start, ends=True) == b""
        assert (await said(gateway, request(BODY)[:20], request(BODY)[20:])).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/rerank"])
async def test_what_stands_behind_a_body_is_no_header(provider: Provider, path: bytes) -> None:
    raw = json.dumps(BODY).encode()
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % path
    body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(raw), raw, KEY)
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        assert (await said(gateway, head + body)).startswith(b"HTTP/1.1 401")


async def test_a_stream_does_not_overtake_the_answer_before_it(provider: Provider) -> None:
    kept = Policy(name="kept", cache=CachePolicy())
    routing = snapshot(model("small", deployment("d1", provider.base_url), policy="kept"), policies=(kept,))
    stream = request({**BODY, "stream": True})
    async with serving(Parts(options=Options(trace_ratio_direct=0.0)), routing) as gateway:
        await said(gateway, stream)
        answers = await said(gateway, request({"model": "small"}) + stream)
    assert answers.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 200" in answers


class BrokenPlane(DataPlane):
    """Has a mistake where nothing catches it."""

    async def run(self, ctx: RequestContext) -> None:
        raise RuntimeError("secret cause")


async def test_a_mistake_before_the_answer_does_not_leave_the_client_waiting(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts(plane=BrokenPlane)
    async with serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answer = await said(gateway, request(BODY), ends=True)
    assert answer.startswith(b"HTTP/1.1 500")
    assert "secret cause" in caplog.text
    assert b"secret cause" not in answer


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [(b"1.1", 0, b"400"), (b"1.1", 1, b"200"), (b"1.1", 2, b"400"), (b"1.0", 0, b"200"), (b"1.0", 2, b"400")],
)
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/rerank"])
async def test_a_request_has_one_host(
    provider: Provider, path: bytes, version: bytes, hosts: int, status: bytes
) -> None:
    raw = json.dumps(BODY if path.endswith(b"completions") else {**RANKING, "model": "ranker"}).encode()
    head = b"POST %b HTTP/%b\r\n%b%bcontent-length: %d\r\n\r\n" % (path, version, b"host: x\r\n" * hosts, KEY, len(raw))
    models = (
        model("small", deployment("d1", provider.base_url)),
        model("ranker", deployment("d2", provider.base_url), kind="rerank"),
    )
    async with serving(Parts(), snapshot(*models)) as gateway:
        answer = await said(gateway, head + raw)
        assert answer.split()[1] == status, answer
        assert len(provider.seen) == (status == b"200")
