"""A client that takes less than its model says: the engine waits, nothing piles up, and nothing is lost."""

import asyncio
import contextlib
import json

import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot

pytestmark = pytest.mark.integration

_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 60_000)
_PART = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
_PARTS = 1_000  # 60 MB, many times what the buffers of both connections hold


async def test_an_engine_waits_for_a_client_that_reads_nothing() -> None:
    sent = 0

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_HEAD)
            for _ in range(_PARTS):
                writer.write(_PART)
                await writer.drain()
                sent += 1
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(_USAGE), _USAGE))
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(engine, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with serving(Parts(), snapshot(model("m", deployment("d", address)))) as gateway, asyncio.timeout(60):
        host, port = gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 16)
        body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\n"
            b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < _PARTS // 2, "it goes on although nobody reads"
        words = 0
        tail = b""
        while part := await reader.read(1 << 20):
            words += part.count(b"x" * 1_000)
            tail = (tail + part)[-400:]
        writer.close()
        assert sent == _PARTS
        assert words > _PARTS * 55  # some are cut where reads end
        assert b"[DONE]" in tail
    server.close()
