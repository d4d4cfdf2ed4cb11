"""A client that takes less than its model says: the engine waits, nothing piles up, and nothing is lost."""

import asyncio
import contextlib
import json

import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot
from tests.integration.gateway.dataplane.test_dataplane_direct import CountingPlane

from sluice_gateway.dataplane.deps import Options

pytestmark = pytest.mark.integration

_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 60_000)
_PART = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
_PARTS = 1_000  # 60 MB, many times what the buffers of both connections hold


def _request(stop: bool) -> bytes:
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    close = b"connection: close\r\n" if stop else b""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\n%bcontent-length: %d\r\n\r\n"
    return head % (close, len(body)) + body


async def test_an_engine_waits_for_a_client_that_reads_nothing() -> None:
    sent = 0

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for parts in (
                0,
                _PARTS,
            ):  # the first answer leaves a connection open, so that the second request takes the short way
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                writer.write(_HEAD)
                for _ in range(parts):
                    writer.write(_PART)
                    await writer.drain()
                    sent += 1
                writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(_USAGE), _USAGE))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(engine, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    parts = Parts(options=Options(trace_ratio_direct=0.0), plane=CountingPlane)
    async with serving(parts, snapshot(model("m", deployment("d", address)))) as gateway, asyncio.timeout(60):
        host, port = gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 16)
        writer.write(_request(stop=False))
        await reader.readuntil(b"0\r\n\r\n")
        coroutines = gateway.plane.coroutines
        writer.write(_request(stop=True))
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < _PARTS // 2, "it goes on although nobody reads"
        words, tail = 0, b""
        while part := await reader.read(1 << 20):
            words += part.count(b"x" * 1_000)
            tail = (tail + part)[-400:]
        writer.close()
        assert sent == _PARTS
        assert words > _PARTS * 55  # some are cut where reads end
        assert b"[DONE]" in tail
        assert gateway.plane.coroutines == coroutines
    server.close()
