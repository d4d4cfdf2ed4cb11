"""A client that stops in the middle of its request, or takes nothing of its answer, is left after a while; a slow one is not."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from prometheus_client.parser import text_string_to_metric_families

from sluice_gateway.dataplane.deps import Options

pytestmark = pytest.mark.integration

_PATIENCE_S = 1.0
_LATEST_S = 15.0  # a limit is looked at up to a tick of a second late, and a machine may be busy
_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 60_000)
_PART = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
_PARTS = 400  # 24 MB, more than the buffers of both connections hold
_WHOLE = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 60_000 * _PARTS}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
).encode()


class _Engine:
    """An engine that says much; it notes when a gateway leaves it."""

    def __init__(self) -> None:
        self.left_at: float | None = None
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request with 24 MB."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            asked = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            if not json.loads(asked)["stream"]:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n%b" % (len(_WHOLE), _WHOLE))
                await writer.drain()
                return
            writer.write(_HEAD)
            for _ in range(_PARTS):
                writer.write(_PART)
                await writer.drain()
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(_USAGE), _USAGE))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left_at = time.monotonic()
        finally:
            await _close(writer)


@asynccontextmanager
async def _gateway(engine: _Engine, patience_s: float = _PATIENCE_S) -> AsyncIterator[tuple[Served, str, int]]:
    server = await asyncio.start_server(engine.answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    parts = Parts(options=Options(trace_ratio_direct=0.0, client_patience_s=patience_s))
    async with serving(parts, snapshot(model("m", deployment("d", address)))) as gateway, asyncio.timeout(60):
        host, port = gateway.url.removeprefix("http://").split(":")
        yield gateway, host, int(port)
    server.close()


def _head(path: bytes, length: int, more: bytes = b"") -> bytes:
    head = b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (path, more, length)


def _chat(stream: bool = True) -> bytes:
    return json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}).encode()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _left(gateway: Served) -> dict[str, float]:
    families = text_string_to_metric_families(gateway.parts.registry.render()[0].decode())
    samples = [one for family in families for one in family.samples]
    return {one.labels["reason"]: one.value for one in samples if one.name == "sluice_gateway_clients_left_total"}


@pytest.mark.parametrize(
    "more", [b"", b"expect: 100-continue\r\n"], ids=["on the short way", "as a coroutine (Expect: 100-continue)"]
)
async def test_a_body_that_stops_is_refused_and_its_connection_closed(more: bytes) -> None:
    async with _gateway(_Engine()) as (gateway, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(_head(b"/v1/chat/completions", 500, more) + b'{"model": "m", ')
        began = time.monotonic()
        answer = await reader.read()
        took = time.monotonic() - began
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in head
        error = json.loads(body)["error"]
        assert error["code"] == "request_timeout"
        assert "again" in error["message"]
        assert _PATIENCE_S <= took < _LATEST_S
        assert _left(gateway) == {"body": 1.0}
        await _close(writer)


async def test_a_body_that_comes_slowly_is_waited_for() -> None:
    async with _gateway(_Engine(), 2 * _PATIENCE_S) as (gateway, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        words = json.dumps({"model": "m", "messages": [{"role": "user", "content": "w" * 24_000}]}).encode()
        body = words.replace(b'"m"', b'"n"')  # an unknown model: the answer is the gateway's own
        writer.write(_head(b"/v1/chat/completions", len(body)))
        for at in range(0, len(body), 2_000):  # 4 KB a second for three times the patience
            writer.write(body[at : at + 2_000])
            await asyncio.sleep(0.5)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert _left(gateway) == {}
        await _close(writer)


async def test_a_trickle_is_no_body() -> None:
    async with _gateway(_Engine()) as (gateway, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(_head(b"/v1/chat/completions", 5_000))
        began = time.monotonic()

        async def trickle() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.1)

        task = asyncio.create_task(trickle())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < _LATEST_S
        assert _left(gateway) == {"body": 1.0}
        task.cancel()
        await _close(writer)


@pytest.mark.parametrize("streamed", [True, False], ids=["a stream", "a whole answer"])
async def test_who_takes_nothing_of_an_answer_is_left_and_the_engine_is_free(streamed: bool) -> None:
    engine = _Engine()
    async with _gateway(engine) as (gateway, host, port):
        _, writer = await asyncio.open_connection(host, port, limit=1 << 16)
        body = _chat(streamed)
        writer.write(_head(b"/v1/chat/completions", len(body)) + body)
        began = time.monotonic()
        while not _left(gateway):
            assert time.monotonic() - began < 3 * _LATEST_S, "it waits on"
            await asyncio.sleep(0.1)
        assert time.monotonic() - began >= _PATIENCE_S
        assert _left(gateway) == {"answer": 1.0}
        while streamed and engine.left_at is None:
            await asyncio.sleep(0.05)
        assert len(gateway.parts.usage.events) == 1
        await _close(writer)


async def test_who_takes_an_answer_slowly_gets_all_of_it() -> None:
    engine = _Engine()
    async with _gateway(engine) as (gateway, host, port):
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 16)
        body = _chat()
        writer.write(_head(b"/v1/chat/completions", len(body), b"connection: close\r\n") + body)
        began, tail, taken = time.monotonic(), b"", 0
        while part := await reader.read(1 << 18):
            tail = (tail + part)[-400:]
            taken += len(part)
            if time.monotonic() - began < 5 * _PATIENCE_S:
                await asyncio.sleep(0.3)
        assert taken > _PARTS * 60_000
        assert b"[DONE]" in tail
        assert engine.left_at is None
        assert _left(gateway) == {}
        await _close(writer)
