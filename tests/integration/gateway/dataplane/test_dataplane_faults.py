"""Requests that go wrong, and what the caller and the bill see of it."""

import asyncio
import json
from contextlib import suppress

import httpx
import openai
import pytest
from gateway_parts import Parts, Usage, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.deps import Options

MESSAGES = [{"role": "user", "content": "What is a fox?"}]
CHAT = "/v1/chat/completions"
BODY = {"model": "small", "messages": MESSAGES}


def error_of(answer: httpx.Response) -> dict[str, str]:
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    found: dict[str, str] = answer.json()["error"]
    return found


@pytest.mark.parametrize(("fault", "code"), [
    (Behaviour(status=500, body=b"Traceback: secret-host"), "upstream_failed"),
    (Behaviour(status=401, body=b'{"error":"bad key sk-secret-123456"}'), "upstream_failed"),
    (Behaviour(status=404, body=b"secret-host"), "upstream_failed"),
    (Behaviour(status=302, body=b""), "upstream_failed"),
    (Behaviour(body=b"{not json secret-host"), "upstream_failed"),
    (Behaviour(body=b"[1]"), "upstream_failed"),
    (Behaviour(body=b'{"id": "c", "choices": []}'), "upstream_failed"),
    (Behaviour(body=b'{"error": {"message": "secret-host", "code": 502, "metadata": {"raw": "secret"}}}'), "upstream_failed"),
    (Behaviour(body=b'{"error": {"message": "secret-host"}}'), "upstream_failed"),
    (Behaviour(body=b'{"choices": [{"message": {"content": "secret"}, "finish_reason": "error"}]}'), "upstream_failed"),
    (Behaviour(cut_after=10), "upstream_failed"),
    (Behaviour(drop=True), "upstream_failed"),
])  # fmt: skip
async def test_a_failing_provider_is_a_502_that_tells_nothing_of_it(
    fault: Behaviour, code: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = fault
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answer = await client.post(gateway.url + CHAT, json=BODY)
        error = error_of(answer)
    assert (answer.status_code, error["code"]) == (502, code)
    assert "secret" not in answer.text
    assert str(provider.port) not in answer.text
    event = gateway.parts.usage.events[0]
    assert (event.status, event.http_status, event.error_code, event.completion_tokens) == ("error", 502, code, 0)
    assert event.cost_usd == 0


async def test_an_answer_that_is_too_large_is_asked_for_once_and_is_no_fault_of_its_deployment(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(text="x" * 9000)
    parts = Parts(options=Options(max_reply_bytes=5000, retries=3))
    async with serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answer = await client.post(gateway.url + CHAT, json=BODY)
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (502, "answer_too_large")
        assert answer.headers["x-should-retry"] == "false"
        assert len(provider.seen) == 1
        provider.default = Behaviour()
        assert (await client.post(gateway.url + CHAT, json=BODY)).status_code == 200
    assert gateway.plane._table.models["small"].deployments[0].failures == 0


async def test_bad_http_is_a_502(client: httpx.AsyncClient) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        serving(Parts(), snapshot(model("small", deployment("d1", f"http://127.0.0.1:{port}/v1")))) as gateway,
    ):
        answer = await client.post(gateway.url + CHAT, json=BODY)
    assert answer.status_code == 502


async def test_another_deployment_takes_over(client: httpx.AsyncClient) -> None:
    async with Provider() as good, Provider() as bad:
        routing = snapshot(
            model("small", deployment("bad", bad.base_url, weight=1000), deployment("good", good.base_url))
        )
        async with serving(Parts(), routing) as gateway:
            # A kept connection that breaks at once is tried again on a new one, hence two drops.
            for faults in (
                (Behaviour(status=503),),
                (Behaviour(drop=True),) * 2,
                (Behaviour(status=429, retry_after="25"),),
            ):
                gateway.plane.use(routing)
                for state in gateway.plane._table.models["small"].deployments:
                    state.succeeded()
                    state.paused_until = 0.0
                bad.next(*faults)
                answer = await client.post(gateway.url + CHAT, json=BODY)
                assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "good")
            before = len(bad.seen)
            await client.post(gateway.url + CHAT, json=BODY)
            assert len(bad.seen) == before, "a deployment that failed a moment ago is left alone"
            metrics = gateway.parts.registry.render()[0].decode()
    assert 'sluice_gateway_upstream_errors_total{model="small",reason="status_5xx"} 1.0' in metrics
    assert 'sluice_gateway_upstream_errors_total{model="small",reason="reset"} 1.0' in metrics
    assert 'sluice_gateway_upstream_errors_total{model="small",reason="rate_limit"} 1.0' in metrics
    assert 'sluice_gateway_fallbacks_total{model="small"} 3.0' in metrics


async def test_another_model_takes_over_before_the_first_event(provider: Provider, client: httpx.AsyncClient) -> None:
    async with Provider() as bad:
        routing = snapshot(
            model("small", deployment("d1", bad.base_url), fallbacks=("spare",)),
            model("spare", deployment("d2", provider.base_url, upstream_model="spare-1")),
        )
        faults = [Behaviour(status=500), Behaviour(cut_after=0), Behaviour(body=b"", content_type="text/event-stream")]
        async with serving(Parts(options=Options(cooldown_s=0.0)), routing) as gateway:
            for fault in faults:
                bad.next(fault)
                answer = await client.post(gateway.url + CHAT, json={**BODY, "stream": True})
                assert answer.status_code == 200
                assert answer.headers["x-sluice-model"] == "spare"
                assert answer.text.endswith("data: [DONE]\n\n")
            bad_first = await bad_port_closed(gateway.url, bad, client)
    assert bad_first.headers["x-sluice-model"] == "spare"
    assert provider.seen[0].json["model"] == "spare-1"
    assert gateway.parts.usage.events[0].model == "spare"


async def bad_port_closed(url: str, bad: Provider, client: httpx.AsyncClient) -> httpx.Response:
    await bad.stop()
    answer = await client.post(url + CHAT, json=BODY)
    await bad.start()
    return answer


async def test_rate_limits_come_through_with_their_pause(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(status=429, retry_after="7", body=b"{}")
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        first = await client.post(gateway.url + CHAT, json=BODY)
        second = await client.post(gateway.url + CHAT, json=BODY)
    assert [answer.status_code for answer in (first, second)] == [429, 429]
    assert first.headers["retry-after"] == "7"
    assert int(second.headers["retry-after"]) in (6, 7)
    assert error_of(second)["code"] == "rate_limit_exceeded"
    assert len(provider.seen) == 1


@pytest.mark.parametrize(
    ("code", "status", "told"), [(429, 429, "rate_limit_exceeded"), (400, 400, None), (403, 502, "upstream_failed")]
)
async def test_an_error_that_comes_with_200_is_one(
    code: int, status: int, told: str | None, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(body=json.dumps({"error": {"message": "No.", "code": code}}).encode())
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answer = await client.post(gateway.url + CHAT, json=BODY)
    assert answer.status_code == status
    assert told is None or error_of(answer)["code"] == told
    assert gateway.parts.usage.events[-1].status == "error"


async def test_a_chunk_that_says_error_ends_the_stream_as_one(provider: Provider, client: httpx.AsyncClient) -> None:
    said = {"choices": [{"index": 0, "delta": {"content": "The"}, "finish_reason": None}]}
    broken = {"error": {"message": "secret"}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
    events = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in (said, said, broken)]
    provider.default = Behaviour(body=b"".join([*events, b"data: [DONE]\n\n"]), content_type="text/event-stream")
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answer = await client.post(gateway.url + CHAT, json={**BODY, "stream": True})
    assert "secret" not in answer.text
    assert '"error"' in answer.text
    assert gateway.parts.usage.events[-1].status == "error"


async def test_a_full_deployment_refuses_at_once(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(stall_s=0.5)
    routing = snapshot(model("small", deployment("d1", provider.base_url, max_in_flight=2)))
    async with serving(Parts(), routing) as gateway:
        answers = await asyncio.gather(*(client.post(gateway.url + CHAT, json=BODY) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503]
    full = next(answer for answer in answers if answer.status_code == 503)
    assert error_of(full)["code"] == "model_overloaded"
    assert full.headers["retry-after"] == "1"


async def test_a_refusal_of_parameters_comes_through_cleaned(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.next(
        Behaviour(status=400, body=b'{"error":{"message":"top_k must be > 0, see http://10.0.0.7:9000/docs","type":"x","param":"top_k"}}'),
        Behaviour(status=422, body=b'{"detail":"nope"}'),
        Behaviour(status=400, body=b'{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size (4 tokens)",'
                  b'"type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}'),
        Behaviour(status=400, body=b"<html>"),
    )  # fmt: skip
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answers = [await client.post(gateway.url + CHAT, json=BODY) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [400, 422, 400, 400]
    assert "top_k must be > 0" in error_of(answers[0])["message"]
    assert "10.0.0.7" not in answers[0].text
    assert error_of(answers[0])["param"] == "top_k"
    assert error_of(answers[2])["code"] == "context_length_exceeded"
    assert "9 tokens, the context holds 4" in error_of(answers[2])["message"]
    assert len(provider.seen) == 4, "a refusal is not tried elsewhere"
    assert {event.status for event in gateway.parts.usage.events} == {"error"}


async def test_deadlines_and_time_limits(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(stall_s=5.0)
    routing = snapshot(model("small", deployment("d1", provider.base_url, timeout_s=0.3)))
    async with serving(Parts(), routing) as gateway:
        slow = await client.post(gateway.url + CHAT, json=BODY)
        late = await client.post(gateway.url + CHAT, json=BODY, headers={"x-sluice-deadline-ms": "100"})
        assert late.elapsed.total_seconds() < 5.0, "before the engine has answered"
    assert [slow.status_code, late.status_code] == [504, 504]
    assert error_of(late)["code"] == "deadline_exceeded"


async def test_a_stream_that_breaks_ends_with_an_error_event(provider: Provider, client: httpx.AsyncClient) -> None:
    faults = [
        Behaviour(cut_after=4),
        Behaviour(stream_error_after=3, chunk_delay_s=0.05),
        Behaviour(chunk_delay_s=0.9, repeat=3),
    ]
    routing = snapshot(model("small", deployment("d1", provider.base_url, timeout_s=0.5)))
    async with serving(Parts(), routing) as gateway:
        for fault in faults:
            provider.next(fault)
            answer = await client.post(gateway.url + CHAT, json={**BODY, "stream": True})
            last = answer.text.strip().split("\n\n")[-1]
            error = json.loads(last.removeprefix("data: "))["error"]
            assert error["code"] in ("stream_interrupted", "stream_timeout")
            assert "secret" not in answer.text
        provider.next(Behaviour(cut_after=4))
        async with openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1") as api:
            stream = await api.chat.completions.create(model="small", messages=MESSAGES, stream=True)
            with pytest.raises(openai.APIError, match="middle of its answer"):
                _ = [chunk async for chunk in stream]
    events = gateway.parts.usage.events
    assert [event.status for event in events] == ["error"] * 4
    assert events[0].completion_tokens > 0
    assert not events[0].tokens_exact


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_engine_and_is_billed(stream: bool, provider: Provider) -> None:
    provider.default = Behaviour(repeat=200, chunk_delay_s=0.05, stall_s=0.0 if stream else 30.0)
    routing = snapshot(model("small", deployment("d1", provider.base_url, timeout_s=60)))
    async with serving(Parts(options=Options(given_up_s=0.0)), routing) as gateway:
        async with httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}, timeout=60) as client:
            if stream:
                async with client.stream("POST", gateway.url + CHAT, json={**BODY, "stream": True}) as answer:
                    async for data in answer.aiter_bytes():
                        if b"quick" in data:
                            break
                    await asyncio.sleep(0.3)
            else:
                asked = asyncio.create_task(client.post(gateway.url + CHAT, json=BODY))
                while not provider.seen:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)  # in which an answer could be made
                asked.cancel()
                await asyncio.wait([asked])
        async with asyncio.timeout(60):
            while not gateway.parts.usage.events or not provider.aborted:
                await asyncio.sleep(0.01)
        state = gateway.plane._table.models["small"].deployments[0]
        assert state.in_flight == 0
        assert state.failures == 0
    event = gateway.parts.usage.events[0]
    assert (event.status, event.tokens_exact) == ("cancelled", False)
    assert event.prompt_tokens > 0
    assert event.completion_tokens > 0, "what came of a stream, and of a whole answer what can have been made"


async def test_a_slow_reader_slows_the_engine(provider: Provider) -> None:
    provider.default = Behaviour(text="x" * 10_000, repeat=4000)
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]), limit=1024)
        body = json.dumps({**BODY, "stream": True}).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await reader.read(100)
        early = -1
        while early != provider.events_sent or not early:
            early = provider.events_sent
            await asyncio.sleep(0.3)
        assert early < 3000, "nothing is read from the engine while the client does not read"
        read = 0
        while data := await reader.read(1 << 20):
            read += len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
        writer.close()
        await writer.wait_closed()
    assert read > 40_000_000


async def test_what_cannot_be_billed_is_not_answered(provider: Provider, client: httpx.AsyncClient) -> None:
    usage = Usage(failing=DependencyUnavailable("disk full"))
    async with serving(Parts(usage=usage), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        whole = await client.post(gateway.url + CHAT, json=BODY)
        stream = await client.post(gateway.url + CHAT, json={**BODY, "stream": True})
        usage.accepting = False
        early = await client.post(gateway.url + CHAT, json=BODY)
    assert (whole.status_code, early.status_code) == (503, 503)
    assert "[DONE]" not in stream.text
    assert "could not be accounted for" in stream.text
    assert len(provider.seen) == 2


async def test_without_a_snapshot_it_says_that_it_starts(client: httpx.AsyncClient) -> None:
    async with serving(Parts(), None) as gateway:
        answer = await client.post(gateway.url + CHAT, json=BODY)
    assert (answer.status_code, error_of(answer)["code"]) == (503, "dependency_unavailable")


async def test_a_head_of_a_provider_that_does_not_end_is_not_read_for_ever(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nx-endless: ")
        with suppress(ConnectionError):
            while sent < 64 * 1024 * 1024:
                writer.write(b"a" * 65536)
                await writer.drain()
                sent += 65536
        writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, serving(Parts(), snapshot(model("small", deployment("d1", url, timeout_s=60.0)))) as gateway:
        answer = await client.post(gateway.url + CHAT, json=BODY, timeout=60)
    assert (answer.status_code, error_of(answer)["code"]) == (502, "upstream_failed")
    assert sent < 16 * 1024 * 1024
