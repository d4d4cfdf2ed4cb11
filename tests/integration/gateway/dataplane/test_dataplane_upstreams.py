"""Both upstream clients, the plain pool and the one for https providers, against the same provider and the same faults."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from openai_provider import Behaviour, Provider

from sluice.testing import free_port
from sluice_gateway.dataplane.pool import HttpPool
from sluice_gateway.dataplane.provider import ProviderClient
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Call, Upstream, UpstreamError

BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(params=["plain", "provider"])
async def upstream(request: pytest.FixtureRequest, provider: Provider) -> AsyncIterator[Upstream]:
    async with aiohttp.ClientSession() as session:
        client = make(request.param, provider.port, session)
        yield client
        await client.close()


def make(kind: str, port: int, session: aiohttp.ClientSession) -> Upstream:
    if kind == "plain":
        return HttpPool(
            "127.0.0.1", port, idle_s=30, max_idle=4, max_reply_bytes=5000, turn=Turn(asyncio.get_running_loop())
        )
    return ProviderClient(f"http://127.0.0.1:{port}", session, max_reply_bytes=5000)


def call(*, stream: bool = False, timeout_s: float = 5.0, deadline_s: float | None = None) -> Call:
    deadline = None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s
    body = json.dumps({**BODY, "stream": stream}).encode()
    headers = (("authorization", "Bearer token"), ("traceparent", "00-a-b-01"))
    return Call("/v1/chat/completions", body, headers, "req-12345678", 1.0, timeout_s, deadline)


async def read_all(reply: object) -> bytes:
    stream = reply.stream
    data = b""
    while part := await stream.read():
        data += part
    stream.close()
    return data


async def test_a_whole_reply(upstream: Upstream, provider: Provider) -> None:
    provider.next(Behaviour(), Behaviour(status=429, retry_after="3", body=b"{}"))
    reply = await upstream.send(call())
    assert (reply.status, reply.stream) == (200, None)
    assert json.loads(reply.body)["choices"]
    limited = await upstream.send(call())
    assert (limited.status, limited.retry_after, limited.body) == (429, b"3", b"{}")
    seen = provider.seen[0].headers
    assert (seen["authorization"], seen["x-request-id"], seen["traceparent"]) == (
        "Bearer token",
        "req-12345678",
        "00-a-b-01",
    )
    assert provider.connections == 1


async def test_a_stream(upstream: Upstream, provider: Provider) -> None:
    reply = await upstream.send(call(stream=True))
    assert reply.content_type.startswith(b"text/event-stream")
    assert (await read_all(reply)).endswith(b"data: [DONE]\n\n")
    await upstream.send(call())
    assert provider.connections == 1, "the connection is kept after a whole stream"


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        (Behaviour(stall_s=5), {"timeout"}),
        (Behaviour(drop=True), {"reset"}),
        (Behaviour(cut_after=5), {"reset"}),
        (Behaviour(text="x" * 9000), {"too_large"}),
    ],
)
async def test_faults_of_whole_replies(
    fault: Behaviour, reasons: set[str], upstream: Upstream, provider: Provider
) -> None:
    provider.default = fault
    with pytest.raises(UpstreamError) as caught:
        await upstream.send(call(timeout_s=0.3))
    assert caught.value.reason in reasons


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Behaviour(cut_after=3, chunk_delay_s=0.02), "reset"), (Behaviour(chunk_delay_s=5), "timeout")],
)
async def test_faults_of_streams(fault: Behaviour, reason: str, upstream: Upstream, provider: Provider) -> None:
    provider.default = fault
    reply = await upstream.send(call(stream=True, timeout_s=0.3))
    with pytest.raises(UpstreamError, match=reason):
        await read_all(reply)


async def test_a_deadline_ends_a_stream_that_goes_on(upstream: Upstream, provider: Provider) -> None:
    provider.default = Behaviour(repeat=100, chunk_delay_s=0.02)
    reply = await upstream.send(call(stream=True, deadline_s=0.3))
    with pytest.raises(UpstreamError, match="timeout"):
        async with asyncio.timeout(3):
            await read_all(reply)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cancelled_call_closes_the_connection(stream: bool, upstream: Upstream, provider: Provider) -> None:
    provider.default = Behaviour(stall_s=0.0 if stream else 30.0, repeat=500, chunk_delay_s=0.02)
    wanted = call(stream=stream, timeout_s=20)
    asyncio.get_running_loop().call_later(0.2, wanted.cancel)
    with pytest.raises(UpstreamError, match="cancelled"):
        async with asyncio.timeout(3):
            await read_all(await upstream.send(wanted))
    async with asyncio.timeout(3):
        while not provider.aborted:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["plain", "provider"])
async def test_nobody_listens(kind: str) -> None:
    async with aiohttp.ClientSession() as session:
        client = make(kind, free_port(), session)
        with pytest.raises(UpstreamError, match="connect"):
            await client.send(call())
