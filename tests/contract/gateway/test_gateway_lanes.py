"""The short way out for whole answers says the same on the wire as plain ASGI does."""

import asyncio
import json

import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sluice.contracts.routing import Policy
from sluice_gateway.dataplane.wire import GatewayProtocol
from sluice_gateway.domain.limits import LevelLimits
from sluice_gateway.domain.ports import KeyRecord

LIMIT = LevelLimits("key", "key_2", 60, 90_000, None, None, None)
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "x"}]
CASES: list[tuple[str, str, dict[str, object]]] = [
    ("plain", CHAT, {"model": "small", "messages": MESSAGES}),
    ("priced", CHAT, {"model": "priced", "messages": MESSAGES}),
    ("extension", CHAT, {"model": "small", "messages": MESSAGES, "sluice": {"retrieval": {"vector_store_ids": ["v"]}}}),
    ("guarded", CHAT, {"model": "guarded", "messages": MESSAGES}),
    ("routed", CHAT, {"model": "auto", "messages": MESSAGES}),
    ("streamed", CHAT, {"model": "small", "messages": MESSAGES, "stream": True}),
    (
        "streamed, with its cost",
        CHAT,
        {"model": "small", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}},
    ),
    ("embedding", "/v1/embeddings", {"model": "vectors", "input": "x"}),
    ("completion", "/v1/completions", {"model": "small", "prompt": "x"}),
    ("unknown", CHAT, {"model": "nope", "messages": MESSAGES}),
    ("malformed", CHAT, {"model": 3}),
]


async def talk(
    http: type[HttpToolsProtocol],
    provider: Provider,
    version: str,
    path: str,
    body: dict[str, object],
    key: str = "sk-test",
) -> list[bytes]:
    routing = snapshot(
        model("small", deployment("d1", provider.base_url), price={"input": 0, "output": 0}),
        model("priced", deployment("d2", provider.base_url)),
        model("guarded", deployment("d3", provider.base_url), policy="p"),
        model("vectors", deployment("d4", provider.base_url), kind="embedding"),
        policies=(Policy(name="p", guard_input="enforce", guard_output="enforce"),),
    )
    raw = json.dumps(body).encode()
    parts = Parts(http=http)
    parts.keys.known[b"Bearer sk-limited"] = KeyRecord("key_2", "tenant-a", "limited", limits=(LIMIT,))
    async with serving(parts, routing) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))
        head = (
            f"POST {path} HTTP/{version}\r\nhost: x\r\nauthorization: Bearer {key}\r\nx-request-id: same-for-both\r\n"
        )
        request = head.encode() + b"content-length: %d\r\n" % len(raw)
        if version == "1.1":  # twice on one connection: the second closes it
            writer.write(request + b"\r\n" + raw)
        writer.write(request + b"connection: close\r\n\r\n" + raw)
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return sorted(
        line for line in answer.split(b"\r\n") if not line.lower().startswith((b"date:", b"x-ratelimit-reset"))
    )


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(("name", "path", "body"), CASES, ids=[case[0] for case in CASES])
async def test_both_ways_say_the_same(name: str, path: str, body: dict[str, object], version: str) -> None:
    async with Provider(Behaviour(one_write=True)) as provider:
        plain = await talk(HttpToolsProtocol, provider, version, path, body)
        short = await talk(GatewayProtocol, provider, version, path, body)
    assert short == plain
    assert any(line.startswith(b"HTTP/1.1 ") for line in plain), name


@pytest.mark.parametrize(("name", "path", "body"), CASES, ids=[case[0] for case in CASES])
async def test_both_ways_say_what_is_left(name: str, path: str, body: dict[str, object]) -> None:
    async with Provider(Behaviour(one_write=True)) as provider:
        plain = await talk(HttpToolsProtocol, provider, "1.1", path, body, "sk-limited")
        short = await talk(GatewayProtocol, provider, "1.1", path, body, "sk-limited")
    assert short == plain
    told = [line for line in short if line.startswith(b"x-ratelimit-")]
    assert len(told) == (0 if name in ("unknown", "malformed") else 8), name
    if told:
        left = b"x-ratelimit-remaining-requests: "
        assert [line.removeprefix(left) for line in told if line.startswith(left)] == [b"58", b"59"]
        assert told.count(b"x-ratelimit-limit-tokens: 90000") == 2


async def test_a_slow_reader_is_waited_for_on_the_short_way_too() -> None:
    async with Provider(Behaviour(text="x" * 8_000_000)) as provider:
        parts = Parts()
        async with serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
            raw = json.dumps({"model": "small", "messages": MESSAGES}).encode()
            reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\n"
            request = head + b"content-length: %d\r\n\r\n" % len(raw) + raw
            writer.write(request)
            await asyncio.sleep(0.5)
            writer.write(request)
            for _ in range(2):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert len(await reader.readexactly(length)) > 8_000_000
            writer.close()
            await writer.wait_closed()
    assert [event.status for event in parts.usage.events] == ["ok", "ok"]


async def converse(http: type[HttpToolsProtocol], provider: Provider) -> list[tuple[bytes, bytes]]:
    """Send one head again and again over one connection, with bodies of their own, and return status and body of each answer."""
    routing = snapshot(
        model("small", deployment("d1", provider.base_url)),
        model("guarded", deployment("d2", provider.base_url), policy="p"),
        policies=(Policy(name="p", guard_input="enforce"),),
    )
    parts = Parts(http=http)
    bodies: list[dict[str, object]] = [
        {"model": name, "messages": [{"role": "user", "content": "x" * size}], **more}
        for name, size, more in [
            ("small", 1, {}),
            ("small", 2, {}),
            ("small", 300, {}),
            ("small", 3, {"stream": True}),
            ("nope", 5, {}),
            ("guarded", 7, {}),
            ("small", 100_000, {}),
            ("small", 4, {"stream": True}),
            ("small", 1, {}),
        ]
    ]
    answers = []
    async with serving(parts, routing) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))

        async def answer() -> tuple[bytes, bytes]:
            async with asyncio.timeout(60):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"content-length: " in head:
                    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                    return head.split(b"\r\n")[0], await reader.readexactly(length)
                return head.split(b"\r\n")[0], await reader.readuntil(b"\r\n0\r\n\r\n")

        def request(body: dict[str, object]) -> bytes:
            raw = json.dumps(body).encode()
            head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nContent-Length: {len(raw)}\r\nauthorization: Bearer sk-test\r\n"
            return head.encode() + b"x-request-id: same-for-both\r\n\r\n" + raw

        for body in bodies:  # each as it is sent at once
            writer.write(request(body))
            answers.append(await answer())
        for cut in (3, 60, 170):  # one that comes in two parts, after and before others
            whole = request(bodies[1])
            writer.write(whole[:cut])
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(whole[cut:])
            answers.append(await answer())
            writer.write(whole)
            answers.append(await answer())
        writer.write(
            request(bodies[1]) + request(bodies[2]) + request(bodies[0])[:40]
        )  # in one read, and a bit of a third
        answers += [await answer(), await answer()]
        writer.write(request(bodies[0])[40:])
        answers.append(await answer())
        del parts.keys.known[b"Bearer sk-test"]
        writer.write(request(bodies[0]))
        answers.append(await answer())
        writer.close()
        await writer.wait_closed()
    assert len(parts.usage.events) == 17
    return answers


async def test_a_head_that_comes_again_means_the_same_on_both_ways() -> None:
    async with Provider(Behaviour(one_write=True)) as provider:
        plain = await converse(HttpToolsProtocol, provider)
        short = await converse(GatewayProtocol, provider)
    assert short == plain
    assert [status.split()[1] for status, _ in short] == [b"200"] * 4 + [b"404"] + [b"200"] * 13 + [b"401"]
