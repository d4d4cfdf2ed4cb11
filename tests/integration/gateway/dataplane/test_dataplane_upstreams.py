"""The client of engines and providers, plain and over TLS, against the same provider and the same faults."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from openai_provider import Behaviour, Provider
from tls import behind_tls, certificates

from sluice.testing import free_port
from sluice_gateway.dataplane.dialling import origin_of
from sluice_gateway.dataplane.pool import HttpPool
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Call, Upstream, UpstreamError

BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(params=["plain", "tls"])
async def upstream(
    request: pytest.FixtureRequest, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Upstream]:
    async with AsyncExitStack() as stack:
        url = f"http://127.0.0.1:{provider.port}"
        if request.param == "tls":
            authority, context = certificates(tmp_path)
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
            url = f"https://localhost:{await stack.enter_async_context(behind_tls(provider.port, context))}"
        client = make(url)
        yield client
        await client.close()


def make(url: str) -> Upstream:
    return HttpPool(origin_of(url), idle_s=30, max_idle=4, max_reply_bytes=5000, turn=Turn(asyncio.get_running_loop()))


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
        await upstream.send(call(timeout_s=0.3 if "timeout" in reasons else 20.0))
    assert caught.value.reason in reasons


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Behaviour(cut_after=3, chunk_delay_s=0.02), "reset"), (Behaviour(chunk_delay_s=5), "timeout")],
)
async def test_faults_of_streams(fault: Behaviour, reason: str, upstream: Upstream, provider: Provider) -> None:
    provider.default = fault
    with pytest.raises(UpstreamError, match=reason):
        await read_all(await upstream.send(call(stream=True, timeout_s=0.3 if reason == "timeout" else 20.0)))


async def test_a_deadline_ends_a_stream_that_goes_on(upstream: Upstream, provider: Provider) -> None:
    provider.default = Behaviour(repeat=10_000, chunk_delay_s=0.02)
    with pytest.raises(UpstreamError, match="timeout"):
        async with asyncio.timeout(60):
            await read_all(await upstream.send(call(stream=True, deadline_s=0.3)))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cancelled_call_closes_the_connection(stream: bool, upstream: Upstream, provider: Provider) -> None:
    provider.default = Behaviour(stall_s=0.0 if stream else 30.0, repeat=500, chunk_delay_s=0.02)
    wanted = call(stream=stream, timeout_s=20)

    async def cancel() -> None:
        while not provider.seen or (stream and not provider.events_sent):
            await asyncio.sleep(0.01)
        wanted.cancel()

    cancelling = asyncio.create_task(cancel())
    with pytest.raises(UpstreamError, match="cancelled"):
        async with asyncio.timeout(60):
            await read_all(await upstream.send(wanted))
    async with asyncio.timeout(60):
        while not provider.aborted:
            await asyncio.sleep(0.01)
    await cancelling


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nobody_listens(scheme: str) -> None:
    client = make(f"{scheme}://127.0.0.1:{free_port()}")
    with pytest.raises(UpstreamError, match="connect"):
        await client.send(call())


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://api.example.com/v1", "api.example.com"),
        ("https://api.example.com:443", "api.example.com"),
        ("https://api.example.com:8443", "api.example.com:8443"),
        ("http://api.example.com:443", "api.example.com:443"),
        ("http://engine", "engine"),
        ("http://[::1]:8090", "[::1]:8090"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_is_told_as_signatures_and_certificates_have_it(url: str, authority: str) -> None:
    assert origin_of(url).authority == authority
