"""Requests that are answered by callbacks: they end as those do that a coroutine answers, whatever happens on the way.

The first request of a gateway opens a connection, which takes a coroutine; those that follow find it open.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot, spans_of
from openai_provider import Behaviour, Provider

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.app import DataPlane
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import Options

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}]}
STREAM = {**BODY, "stream": True}
KEY = {"authorization": "Bearer sk-test"}


class CountingPlane(DataPlane):
    """Counts the requests that a coroutine answers."""

    coroutines = 0

    async def run(self, ctx: RequestContext) -> None:
        self.coroutines += 1
        await super().run(ctx)


@asynccontextmanager
async def warm(provider: Provider, parts: Parts | None = None, *more: Any, **changes: Any) -> AsyncIterator[Served]:
    """Serve a gateway that has an open connection to its provider."""
    routing = snapshot(model("small", deployment("d1", provider.base_url, **changes), *more))
    parts = parts or Parts(options=Options(trace_ratio_direct=0.0, cooldown_s=0.0), plane=CountingPlane)
    async with serving(parts, routing) as gateway:
        async with httpx.AsyncClient(headers=KEY, timeout=60) as client:
            assert (await client.post(gateway.url + CHAT, json=BODY)).status_code == 200
        provider.seen.clear()
        parts.usage.events.clear()
        gateway.plane.coroutines = 0
        yield gateway
        states = [state for entry in gateway.plane._table.models.values() for state in entry.deployments]
        async with asyncio.timeout(60):
            while len(gateway.plane.finishing):
                await asyncio.sleep(0.01)
        assert [state.in_flight for state in states] == [0] * len(states)
        assert gateway.plane.direct == 0


async def outcome(client: httpx.AsyncClient, gateway: Served, body: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a client sees of a request, and what is recorded of it."""
    try:
        answer = await client.post(gateway.url + CHAT, json=body, headers={"x-request-id": "the-same-id"})
    except httpx.HTTPError as exc:
        return (type(exc).__name__,)
    headers = sorted((name, value) for name, value in answer.headers.items() if name != "date")
    event = gateway.parts.usage.events[-1]
    kept = event._replace(event_id="", at=0.0, duration_ms=0.0, ttft_ms=event.ttft_ms is None)
    return answer.status_code, headers, answer.content, kept


FAULTS = {
    "fine": Behaviour(),
    "500": Behaviour(status=500, body=b"secret"),
    "401": Behaviour(status=401, body=b"{}"),
    "400": Behaviour(status=400, body=b'{"error":{"message":"top_k must be positive"}}'),
    "429": Behaviour(status=429, retry_after="3", body=b"{}"),
    "no json": Behaviour(body=b"{not json"),
    "no object": Behaviour(body=b"[1]"),
    "cut body": Behaviour(cut_after=10),
    "cut stream": Behaviour(cut_after=3),
    "cut at once": Behaviour(cut_after=0),
    "error event": Behaviour(stream_error_after=2),
    "error event at once": Behaviour(stream_error_after=0),
    "empty stream": Behaviour(body=b"", content_type="text/event-stream"),
    "no done": Behaviour(done=False),
    "no usage": Behaviour(usage=False),
    "crlf": Behaviour(line_end=b"\r\n"),
    "cr": Behaviour(line_end=b"\r"),
    "interim": Behaviour(interim=True),
    "no length": Behaviour(no_length=True),
    "closes": Behaviour(close=True),
    "one write": Behaviour(one_write=True),
    "split": Behaviour(split=7),
    "silent": Behaviour(stall_s=2.0),
}


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_both_ways_end_the_same(fault: str, body: dict[str, Any], client: httpx.AsyncClient) -> None:
    async with Provider() as provider:
        timeout_s = 0.4 if fault == "silent" else 20.0
        async with warm(provider, timeout_s=timeout_s) as gateway:
            provider.default = FAULTS[fault]
            direct = await outcome(client, gateway, body)
            calls = len(provider.seen)
            if fault == "fine":
                assert gateway.plane.coroutines == 0, "it was to be answered by callbacks"
        provider.default = Behaviour()
        async with warm(provider, timeout_s=timeout_s) as gateway:
            provider.default = FAULTS[fault]
            gateway.plane._upstreams._clients[provider.base_url.removesuffix("/v1")]._idle.clear()
            again = await outcome(client, gateway, body)
    assert direct == again
    assert calls == len(provider.seen)


async def test_a_client_that_leaves_a_stream_is_billed_and_its_upstream_closed_at_once(provider: Provider) -> None:
    provider.default = Behaviour(repeat=100, chunk_delay_s=0.01)
    for leave_after in (0, 1, 2, 5, 20):
        async with warm(provider) as gateway:
            sent_before, open_before = provider.events_sent, provider.open
            reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))
            writer.write(request(STREAM))
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(leave_after):
                await reader.readuntil(b"data: ")
            await hang_up(writer)
            async with asyncio.timeout(60):
                while not gateway.parts.usage.events or provider.open >= open_before:
                    await asyncio.sleep(0.01)
            event = gateway.parts.usage.events[0]
            assert (event.status, event.http_status) == ("cancelled", 499)
            words = max(0, leave_after - 1)  # the first event only says who speaks
            assert words <= event.completion_tokens <= provider.events_sent - sent_before
            assert gateway.plane.coroutines == 0


async def test_a_client_that_leaves_before_the_answer_frees_the_upstream(provider: Provider) -> None:
    options = Options(trace_ratio_direct=0.0, given_up_s=0.0)
    async with warm(provider, Parts(options=options, plane=CountingPlane)) as gateway:
        provider.default = Behaviour(stall_s=5.0)
        _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))
        writer.write(request(BODY))
        async with asyncio.timeout(60):
            while not provider.seen:
                await asyncio.sleep(0.01)
        await hang_up(writer)
        async with asyncio.timeout(60):
            while not gateway.parts.usage.events:
                await asyncio.sleep(0.01)
        assert gateway.parts.usage.events[0].status == "cancelled"


async def test_a_slow_reader_slows_the_upstream_down(provider: Provider) -> None:
    async with warm(provider) as gateway:
        provider.default = Behaviour(text="x" * 50_000 + " y", repeat=1000)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]), limit=2**16)
        writer.write(request(STREAM))
        waiting = -1
        while waiting != provider.events_sent or not waiting:
            waiting = provider.events_sent
            await asyncio.sleep(0.3)
        assert waiting < 1500, "nothing more is read from the upstream while the client reads nothing"
        async with asyncio.timeout(60):
            while not (await reader.read(2**20)).endswith(b"0\r\n\r\n"):
                pass
        await hang_up(writer)
        assert gateway.parts.usage.events[0].status == "ok"


async def test_a_connection_that_the_upstream_closed_is_replaced(provider: Provider, client: httpx.AsyncClient) -> None:
    async with warm(provider) as gateway:
        provider.close_idle()
        answer = await client.post(gateway.url + CHAT, json=BODY)
        assert answer.status_code == 200
        provider.next(Behaviour(drop=True))  # it closes when the request comes, as if it had crossed with it
        answer = await client.post(gateway.url + CHAT, json=BODY)
        assert answer.status_code == 200
    assert [event.status for event in gateway.parts.usage.events] == ["ok", "ok"]


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_another_deployment_takes_over_before_the_first_byte(
    body: dict[str, Any], client: httpx.AsyncClient
) -> None:
    async with (
        Provider() as good,
        Provider() as bad,
        warm(bad, None, deployment("good", good.base_url, weight=0.01)) as gateway,
    ):
        for fault in ("500", "no json", "cut at once", "429"):
            gateway.plane._table.models["small"].deployments[0].succeeded()
            gateway.plane._table.models["small"].deployments[0].paused_until = 0.0
            bad.default = FAULTS[fault]
            answer = await client.post(gateway.url + CHAT, json=body)
            assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "good"), fault
            bad.default = Behaviour()
            gateway.plane._table.models["small"].deployments[0].paused_until = 0.0
            assert (await client.post(gateway.url + CHAT, json=BODY)).status_code == 200


async def test_a_deadline_of_the_caller_holds(provider: Provider, client: httpx.AsyncClient) -> None:
    async with warm(provider) as gateway:
        provider.default = Behaviour(stall_s=3.0)
        answer = await client.post(gateway.url + CHAT, json=BODY, headers={"x-sluice-deadline-ms": "150"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert answer.elapsed.total_seconds() < 3.0, "before the provider has answered"


async def test_an_answer_that_cannot_be_recorded_is_not_given(provider: Provider, client: httpx.AsyncClient) -> None:
    async with warm(provider) as gateway:
        gateway.parts.usage.failing = DependencyUnavailable("The usage journal cannot be written.")
        answer = await client.post(gateway.url + CHAT, json=BODY)
        assert answer.status_code == 503
        streamed = await client.post(gateway.url + CHAT, json=STREAM)
        assert b"dependency_unavailable" in streamed.content
        assert b"[DONE]" not in streamed.content


def said_by(span: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: next(iter(entry["value"].values())) for entry in span.get("attributes", [])}


async def test_a_traced_request_stays_on_the_short_way(
    provider: Provider, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    parts = Parts(options=Options(trace_ratio_direct=0.5), plane=CountingPlane, trace_dir=str(tmp_path))
    async with warm(provider, parts) as gateway:
        for _ in range(40):
            assert (await client.post(gateway.url + CHAT, json=BODY)).status_code == 200
        assert gateway.plane.coroutines == 0
    ids = {event.trace_id for event in parts.usage.events} - {None}
    found = [span for span in spans_of(tmp_path) if span["name"] == f"POST {CHAT}"]
    assert 5 < len(ids) < 35
    assert ids <= {span["traceId"] for span in found}
    assert len(found) in (len(ids), len(ids) + 1), "and the one with which the gateway was warmed, if that was traced"


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "streamed"])
async def test_the_spans_of_the_short_way_are_those_of_the_other(
    provider: Provider, client: httpx.AsyncClient, tmp_path: Path, body: dict[str, Any]
) -> None:
    parts = Parts(options=Options(trace_ratio_direct=0.0), plane=CountingPlane, trace_dir=str(tmp_path))
    trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with warm(provider, parts) as gateway:
        began = time.time_ns()
        await client.post(gateway.url + CHAT, json=body, headers={"traceparent": f"00-{trace}-{caller}-01"})
        await client.post(gateway.url + CHAT, json=body, headers={"traceparent": f"00-{trace}-{caller}-00"})
        ended = time.time_ns()
        assert gateway.plane.coroutines == 0
    call, server = spans_of(tmp_path)
    assert (server["name"], server["traceId"], server["parentSpanId"]) == (f"POST {CHAT}", trace, caller)
    assert (call["name"], call["traceId"], call["parentSpanId"]) == ("chat small", trace, server["spanId"])
    assert [seen.headers["traceparent"] for seen in provider.seen] == [
        f"00-{trace}-{call['spanId']}-01",
        f"00-{trace}-{caller}-00",
    ]
    times = [int(span[when]) for span, when in product((server, call), ("startTimeUnixNano", "endTimeUnixNano"))]
    assert began - 10_000_000 < times[0] <= times[2] <= times[3] <= times[1] < ended + 10_000_000
    assert said_by(server)["http.response.status_code"] == "200"
    assert said_by(call)["gen_ai.usage.output_tokens"] == said_by(server)["gen_ai.usage.output_tokens"]
    assert [event.trace_id for event in parts.usage.events] == [trace, None]


@pytest.mark.parametrize(("fault", "status"), [("400", "400"), ("500", "502")])
async def test_a_traced_request_that_fails_says_so(
    provider: Provider, client: httpx.AsyncClient, tmp_path: Path, fault: str, status: str
) -> None:
    parts = Parts(options=Options(trace_ratio_direct=1.0, cooldown_s=0.0), plane=CountingPlane, trace_dir=str(tmp_path))
    async with warm(provider, parts) as gateway:
        provider.next(*[FAULTS[fault]] * 4)
        await client.post(gateway.url + CHAT, json=BODY, headers={"x-request-id": "one-that-fails"})
    trace = parts.usage.events[-1].trace_id
    server, *calls = [span for span in reversed(spans_of(tmp_path)) if span["traceId"] == trace]
    assert (server["name"], said_by(server)["http.response.status_code"]) == (f"POST {CHAT}", status)
    assert said_by(server)["error.type"] == parts.usage.events[-1].error_code
    assert calls
    assert {span["status"].get("code") for span in calls} == {2}
    assert {span["parentSpanId"] for span in calls} == {server["spanId"]}


async def test_pipelined_requests_are_answered_in_order(provider: Provider) -> None:
    async with warm(provider) as gateway:
        provider.next(Behaviour(stall_s=0.3, text="first"), Behaviour(text="second"), Behaviour(text="third"))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))
        writer.write(request(BODY) * 2 + request(BODY, close=True))
        async with asyncio.timeout(60):
            answers = await reader.read(-1)
        await hang_up(writer)
    places = [answers.index(word) for word in (b"first", b"second", b"third")]
    assert places == sorted(places)
    assert answers.count(b"HTTP/1.1 200 OK") == 3


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def request(body: dict[str, Any], *, close: bool = False) -> bytes:
    """Return a request as it stands on the wire."""
    raw = json.dumps(body).encode()
    end = b"connection: close\r\n" if close else b""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\n"
    return head + end + b"content-length: %d\r\n\r\n" % len(raw) + raw


@pytest.mark.parametrize("way", ["callbacks", "coroutine"])
async def test_gaps_between_words_are_timed_on_both_ways(
    provider: Provider, client: httpx.AsyncClient, way: str
) -> None:
    provider.default = Behaviour(text="one two three", chunk_delay_s=0.4)
    async with warm(provider) as gateway:
        if way == "coroutine":
            gateway.plane._upstreams._clients[provider.base_url.removesuffix("/v1")]._idle.clear()
        await client.post(gateway.url + CHAT, json=STREAM)
        assert gateway.plane.coroutines == (way == "coroutine")
        found = gateway.parts.registry.registry.get_sample_value
        name, labels = "sluice_gateway_inter_token_latency_seconds", {"model": "small"}
        assert found(f"{name}_count", labels) == 3.0  # who speaks, three words; why it ended and the counts are none
        assert found(f"{name}_bucket", labels | {"le": "0.1"}) == 0.0
        assert 1.0 < found(f"{name}_sum", labels) < 10
        state = gateway.plane._table.models["small"].deployments[0]
        async with asyncio.timeout(60):
            while state.in_flight:  # the provider has not ended its reply yet
                await asyncio.sleep(0.01)
