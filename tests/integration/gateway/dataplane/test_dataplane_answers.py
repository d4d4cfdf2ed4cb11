"""Requests that are answered: the bytes that go upstream, the answer, its headers and its bill."""

import asyncio
import json
from typing import Any

import anthropic
import httpx
import openai
import pytest
from gateway_parts import Keys, Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import Route
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.domain.ports import KeyRecord

MESSAGES = [{"role": "user", "content": "What is a fox?"}]
CHAT = "/v1/chat/completions"


async def settled(parts: Parts, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while len(parts.usage.events) < count:
            await asyncio.sleep(0.01)


async def test_a_body_goes_upstream_as_the_bytes_that_came(provider: Provider, client: httpx.AsyncClient) -> None:
    raw = b'{ "model": "small",  "messages": [{"role":"user","content":"h\\u00e9 1.0"}], "unknown": {"x": 1.50}, "seed": 7 }\n'
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        answer = await client.post(gateway.url + CHAT, content=raw, headers={"x-request-id": "my-request-1"})
    assert answer.status_code == 200
    assert provider.seen[0].body == raw
    assert provider.seen[0].path == "/v1/chat/completions"
    assert provider.seen[0].headers["x-request-id"] == "my-request-1"
    assert "authorization" not in provider.seen[0].headers
    assert answer.headers["x-request-id"] == "my-request-1"
    assert answer.headers["x-sluice-model"] == "small"
    assert answer.headers["x-sluice-deployment"] == "d1"
    usage = answer.json()["usage"]
    cost = usage["prompt_tokens"] * 1e-6 + usage["completion_tokens"] * 2e-6
    assert float(answer.headers["x-sluice-cost"]) == pytest.approx(cost)
    event = gateway.parts.usage.events[0]
    assert (event.prompt_tokens, event.completion_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (event.status, event.http_status, event.tokens_exact) == ("ok", 200, True)
    assert event.cost_usd == pytest.approx(cost)
    assert (event.tenant, event.key_id, event.request_id) == ("tenant-a", "key_1", "my-request-1")


@pytest.mark.parametrize("extension", [{}, {"sluice": {}}])
@pytest.mark.parametrize("one_write", [False, True])
async def test_several_answers_are_told_as_they_are_billed_however_their_stream_comes(
    one_write: bool, extension: dict[str, Any], provider: Provider, client: httpx.AsyncClient
) -> None:
    """A stream that comes whole is counted before the request knows who answered it."""
    place = deployment("d1", provider.base_url, provider="llamacpp")
    asked = {"n": 2, "stream": True, "stream_options": {"include_usage": True}, **extension}
    provider.next(Behaviour(one_write=one_write))
    async with serving(Parts(), snapshot(model("small", place))) as gateway:
        answer = await client.post(gateway.url + CHAT, json={"model": "small", "messages": MESSAGES, **asked})
        await settled(gateway.parts)
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    told = next(chunk["usage"] for chunk in chunks if chunk.get("usage"))
    event = gateway.parts.usage.events[0]
    assert (event.completion_tokens, event.tokens_exact) == (told["completion_tokens"], False)
    assert told["completion_tokens"] > 2
    assert told["completion_tokens"] % 2 == 0
    assert told["sluice"]["cost_usd"] == pytest.approx(event.cost_usd)


async def test_only_model_and_extension_change(provider: Provider, client: httpx.AsyncClient) -> None:
    routing = snapshot(
        model(
            "small",
            deployment("d1", provider.base_url, upstream_model="vendor/small-1", auth={"kind": "bearer", "env": "X"}),
        )
    )
    body = {"model": "small", "messages": MESSAGES, "sluice": {}, "unknown": [1, None]}
    async with serving(Parts(), routing) as gateway:
        answer = await client.post(gateway.url + CHAT, json=body)
    assert provider.seen[0].json == {"model": "vendor/small-1", "messages": MESSAGES, "unknown": [1, None]}
    assert provider.seen[0].headers["authorization"] == "Bearer bearer-tenant-a"
    assert answer.json()["sluice"]["citations"] == []


async def test_duplicated_names_cannot_reach_another_model(provider: Provider, client: httpx.AsyncClient) -> None:
    raw = b'{"\\u006dodel":"secret-model","messages":[{"role":"user","content":"x"}],"model":"small"}'
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        assert (await client.post(gateway.url + CHAT, content=raw)).status_code == 200
    assert b"secret-model" not in provider.seen[0].body


@pytest.mark.parametrize("behaviour", [
    Behaviour(), Behaviour(one_write=True), Behaviour(split=7), Behaviour(split=1, line_end=b"\r\n"),
    Behaviour(line_end=b"\r\n"), Behaviour(line_end=b"\r"), Behaviour(split=1, line_end=b"\r"),
    Behaviour(content_type="Text/Event-Stream"), Behaviour(content_type="  TEXT/event-stream ;charset=UTF-8 "),
    Behaviour(null_usage=True), Behaviour(one_write=True, split=1000), Behaviour(interim=True), Behaviour(done=False),
])  # fmt: skip
async def test_a_stream_arrives_whole_and_exactly_billed(behaviour: Behaviour, provider: Provider) -> None:
    provider.default = behaviour
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        async with openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1") as api:
            stream = await api.chat.completions.create(model="small", messages=MESSAGES, stream=True)
            chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == behaviour.text
        assert all(chunk.usage is None for chunk in chunks)
        assert provider.seen[0].json["stream_options"] == {"include_usage": True}
        await settled(gateway.parts)
    event = gateway.parts.usage.events[0]
    assert (event.completion_tokens, event.tokens_exact, event.status) == (9, True, "ok")
    assert event.ttft_ms is not None
    assert event.stream


async def test_a_stream_shows_its_usage_to_who_asked(provider: Provider) -> None:
    async with (
        serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway,
        openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1") as api,
    ):
        stream = await api.chat.completions.create(
            model="small",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage.completion_tokens == 9
    assert chunks[-1].choices == []


async def test_a_stream_without_counts_is_counted_by_its_chunks(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(usage=False)
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        await client.post(gateway.url + CHAT, json={"model": "small", "messages": MESSAGES, "stream": True})
        await settled(gateway.parts)
    event = gateway.parts.usage.events[0]
    assert not event.tokens_exact
    assert event.completion_tokens in range(9, 12)


NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("again", [False, True], ids=["long way", "short way"])
async def test_counts_of_nothing_for_an_answer_are_no_counts(
    again: bool, streamed: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    said = {"role": "assistant", "content": "The quick brown fox."}
    shape = {"id": "c", "object": "chat.completion", "created": 1, "model": "small"}
    choice = {"index": 0, "delta" if streamed else "message": said, "finish_reason": "stop"}
    found = json.dumps({**shape, "choices": [choice], "usage": NOTHING}).encode()
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        body = {"model": "small", "messages": MESSAGES, "stream": streamed}
        if again:  # the first opens a connection
            await client.post(gateway.url + CHAT, json=body)
        kind = "text/event-stream" if streamed else "application/json"
        provider.default = Behaviour(
            body=b"data: %b\n\ndata: [DONE]\n\n" % found if streamed else found, content_type=kind
        )
        answer = await client.post(gateway.url + CHAT, json=body)
        assert "fox" in answer.text
        await settled(gateway.parts, 2 if again else 1)
    event = gateway.parts.usage.events[-1]
    assert (event.tokens_exact, event.prompt_tokens > 0, event.completion_tokens > 0) == (False, True, True)


@pytest.mark.parametrize("again", [False, True], ids=["long way", "short way"])
async def test_a_whole_answer_without_counts_is_charged_by_its_size(
    again: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    text = "The quick brown fox. " * 20
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        if again:  # the first opens a connection
            await client.post(gateway.url + CHAT, json={"model": "small", "messages": MESSAGES})
        provider.default = Behaviour(text=text, usage=False)
        answer = await client.post(gateway.url + CHAT, json={"model": "small", "messages": MESSAGES})
        await settled(gateway.parts)
    event = gateway.parts.usage.events[-1]
    assert "usage" not in answer.json(), "what the provider did not tell is not made up"
    assert (event.tokens_exact, event.prompt_tokens > 0) == (False, True)
    assert len(text) // 4 <= event.completion_tokens <= len(text) // 4 + 1


async def test_completions_and_embeddings(provider: Provider) -> None:
    routing = snapshot(
        model("small", deployment("d1", provider.base_url)),
        model("vectors", deployment("d2", provider.base_url, upstream_model="vectors"), kind="embedding"),
    )
    async with (
        serving(Parts(), routing) as gateway,
        openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1") as api,
    ):
        done = await api.completions.create(model="small", prompt="Once")
        assert done.choices[0].text == Behaviour().text
        stream = await api.completions.create(model="small", prompt="Once", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == Behaviour().text
        vectors = await api.embeddings.create(model="vectors", input=["a", "b"], encoding_format="float")
        assert len(vectors.data) == 2
    assert [event.endpoint for event in gateway.parts.usage.events] == [
        "/v1/completions", "/v1/completions", "/v1/embeddings",
    ]  # fmt: skip
    assert gateway.parts.usage.events[2].prompt_tokens == 8


async def test_models_lists_what_the_key_may_use(provider: Provider, client: httpx.AsyncClient) -> None:
    keys = Keys({b"Bearer sk-test": KeyRecord("k", "t", "n", models=frozenset({"small", "auto"}))})
    routing = snapshot(
        model("small", deployment("d1", provider.base_url)), model("large", deployment("d2", provider.base_url))
    )
    async with serving(Parts(keys=keys), routing) as gateway:
        listed = (await client.get(gateway.url + "/v1/models")).json()
        one = await client.get(gateway.url + "/v1/models/small")
        hidden = await client.get(gateway.url + "/v1/models/large")
        refused = await client.post(gateway.url + CHAT, json={"model": "large", "messages": MESSAGES})
        other = await client.get(gateway.url + "/elsewhere")
    assert [row["id"] for row in listed["data"]] == ["small", "auto"]
    assert one.json()["object"] == "model"
    assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "model_not_found")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert other.text == "fallback"
    assert provider.seen == []


async def test_models_that_run_in_no_region_of_the_key_are_not_listed(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    keys = Keys({b"Bearer sk-test": KeyRecord("k", "t", "n", regions=frozenset({"eu"}))})
    routing = snapshot(
        model("here", deployment("d1", provider.base_url, region="eu"), deployment("d2", provider.base_url)),
        model("there", deployment("d3", provider.base_url, region="us")),
        routes=(Route(name="both", candidates=("here", "there")), Route(name="away", candidates=("there",))),
    )
    async with serving(Parts(keys=keys), routing) as gateway:
        listed = (await client.get(gateway.url + "/v1/models")).json()
        hidden = await client.get(gateway.url + "/v1/models/there")
    assert {row["id"] for row in listed["data"]} == {"here", "both", "auto"}
    assert hidden.status_code == 404


async def test_a_model_says_what_it_is_and_what_it_serves(provider: Provider, client: httpx.AsyncClient) -> None:
    told = {"input_modalities": ["text", "image"], "capabilities": ["tools", "json_schema"]}
    claude = deployment("d2", provider.base_url, provider="anthropic")
    routing = snapshot(
        model("small", deployment("d1", provider.base_url), context_tokens=4096, max_output_tokens=512, **told),
        model("claude", claude),
        model("ranker", deployment("d3", provider.base_url), kind="rerank"),
        model("no-ranker", claude.model_copy(update={"id": "d4"}), kind="rerank"),
    )
    async with serving(Parts(), routing) as gateway:
        rows = (await client.get(gateway.url + "/v1/models")).json()["data"]
        one = (await client.get(gateway.url + "/v1/models/small")).json()
    found = {row["id"]: row["sluice"] for row in rows}
    assert one["sluice"] == found["small"]
    assert told.items() <= found["small"].items()
    assert (found["small"]["context_tokens"], found["small"]["max_output_tokens"]) == (4096, 512)
    assert (found["small"]["price"]["input"], found["small"]["price"]["output"]) == (1.0, 2.0)
    assert "/v1/completions" in found["small"]["endpoints"]
    assert "/v1/messages/count_tokens" not in found["small"]["endpoints"]
    assert "/v1/completions" not in found["claude"]["endpoints"]
    assert "/v1/messages/count_tokens" in found["claude"]["endpoints"]
    assert found["claude"]["capabilities"] is None, "nobody said"
    assert (found["ranker"]["endpoints"], found["no-ranker"]["endpoints"]) == (["/v1/rerank"], [])


async def test_anthropics_clients_page_through_the_models(provider: Provider) -> None:
    routing = snapshot(*(model(f"m{number}", deployment(f"d{number}", provider.base_url)) for number in range(5)))
    async with (
        serving(Parts(), routing) as gateway,
        anthropic.AsyncAnthropic(base_url=gateway.url, api_key="sk-test", max_retries=0) as api,
    ):
        assert [one.id async for one in api.models.list(limit=2)] == ["m0", "m1", "m2", "m3", "m4", "auto"]
        assert [one.id async for one in api.models.list()] == ["m0", "m1", "m2", "m3", "m4", "auto"]
        after = await api.models.list(limit=2, after_id="m1")
        assert ([one.id for one in after.data], after.has_more, after.last_id) == (["m2", "m3"], True, "m3")
        before = await api.models.list(limit=2, before_id="m3")
        assert ([one.id for one in before.data], before.has_more) == (["m1", "m2"], True)
        first = await api.models.list(limit=9, before_id="m1")
        assert ([one.id for one in first.data], first.has_more) == (["m0"], False)
        for asked in ({"limit": 0}, {"limit": 1001}, {"after_id": "x"}, {"after_id": "m1", "before_id": "m2"}):
            with pytest.raises(anthropic.BadRequestError):
                await api.models.list(**asked)  # type: ignore[arg-type]  # the fields vary


async def test_connections_are_kept_and_a_stale_one_costs_nothing(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    body = {"model": "small", "messages": MESSAGES}
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        for _ in range(3):
            assert (await client.post(gateway.url + CHAT, json=body)).status_code == 200
        assert provider.connections == 1
        provider.close_idle()
        assert (await client.post(gateway.url + CHAT, json=body)).status_code == 200
        provider.default = Behaviour(close=True)
        for _ in range(2):
            assert (await client.post(gateway.url + CHAT, json=body)).status_code == 200
        provider.default = Behaviour(no_length=True)
        assert (await client.post(gateway.url + CHAT, json=body)).status_code == 200
    assert len(provider.seen) == 7
    assert gateway.parts.usage.events[-1].status == "ok"


async def test_requests_spread_by_weight_over_what_is_least_busy(client: httpx.AsyncClient) -> None:
    async with Provider(Behaviour(stall_s=0.3)) as one, Provider(Behaviour(stall_s=0.3)) as two:
        routing = snapshot(
            model("small", deployment("d1", one.base_url, weight=3.0), deployment("d2", two.base_url, weight=1.0))
        )
        async with serving(Parts(), routing) as gateway:
            body = {"model": "small", "messages": MESSAGES}
            answers = await asyncio.gather(*(client.post(gateway.url + CHAT, json=body) for _ in range(8)))
            states = gateway.plane._table.models["small"].deployments
            assert [state.in_flight for state in states] == [0, 0]
    assert {answer.status_code for answer in answers} == {200}
    assert (len(one.seen), len(two.seen)) == (6, 2)


async def test_a_new_snapshot_keeps_counters_and_drops_what_is_gone(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    first = snapshot(model("small", deployment("d1", provider.base_url)))
    second = snapshot(
        model("small", deployment("d1", provider.base_url)), model("new", deployment("d2", provider.base_url))
    )
    async with serving(Parts(), first) as gateway:
        state = gateway.plane._table.models["small"].deployments[0]
        assert (await client.post(gateway.url + CHAT, json={"model": "new", "messages": MESSAGES})).status_code == 404
        gateway.plane.use(second)
        assert gateway.plane._table.models["small"].deployments[0] is state
        assert (await client.post(gateway.url + CHAT, json={"model": "new", "messages": MESSAGES})).status_code == 200


async def test_metrics_have_closed_labels(provider: Provider, client: httpx.AsyncClient) -> None:
    parts = Parts()
    async with serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        await client.post(gateway.url + CHAT, json={"model": "small", "messages": MESSAGES})
        await client.post(gateway.url + CHAT, json={"model": "made-up-by-a-client", "messages": MESSAGES})
        text = parts.registry.render()[0].decode()
    assert 'sluice_gateway_requests_total{endpoint="/v1/chat/completions",model="small",status="200"} 1.0' in text
    assert 'sluice_gateway_requests_total{endpoint="/v1/chat/completions",model="other",status="404"} 1.0' in text
    assert "made-up-by-a-client" not in text
    assert 'sluice_gateway_tokens_total{direction="output",model="small"} 9.0' in text


async def test_spans_cross_to_the_engine(provider: Provider, client: httpx.AsyncClient, tmp_path: Any) -> None:
    parts = Parts(trace_dir=str(tmp_path))
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        parent = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        await client.post(gateway.url + CHAT, json={"model": "small", "messages": MESSAGES}, headers=parent)
    assert provider.seen[0].headers["traceparent"].split("-")[1] == trace
    assert parts.usage.events[0].trace_id == trace
    spans = [
        span
        for line in (tmp_path / "gateway.jsonl").read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert {span["name"] for span in spans} == {"POST /v1/chat/completions", "chat small"}
    engine = next(span for span in spans if span["name"] == "chat small")
    assert engine["spanId"] == provider.seen[0].headers["traceparent"].split("-")[2]


@pytest.mark.parametrize(
    ("own", "header", "found", "label"),
    [
        (None, None, None, None),
        ("pro", None, "pro", "pro"),
        ("pro", "free", "free", "free"),
        ("old", None, "old", "other"),
    ],
)
async def test_usage_and_metrics_tell_kinds_of_users_apart(
    own: str | None,
    header: str | None,
    found: str | None,
    label: str | None,
    provider: Provider,
    client: httpx.AsyncClient,
) -> None:
    parts = Parts(options=Options(user_types=frozenset({"free", "pro"})))
    parts.keys.known[b"Bearer sk-test"] = KeyRecord("key_1", "tenant-a", "test", plain=True, user_type=own)
    routing = snapshot(model("small", deployment("d1", provider.base_url)))
    async with serving(parts, routing) as gateway:
        headers = {} if header is None else {"x-sluice-user-type": header}
        body = {"model": "small", "messages": MESSAGES, "stream": True}
        answer = await client.post(gateway.url + CHAT, json=body, headers=headers)
        await settled(parts)
    assert answer.status_code == 200
    event = parts.usage.events[0]
    assert event.user_type == found

    def value(name: str, **labels: str) -> float | None:
        labels |= {"model": "small", "user_type": str(label)}
        return parts.registry.registry.get_sample_value(f"sluice_gateway_user_type_{name}", labels)

    assert value("requests_total", status="ok") == (None if label is None else 1.0)
    if label is not None:
        assert value("tokens_total", direction="output") == event.completion_tokens
        for kind in ("request_duration", "time_to_first_token", "time_per_output_token"):
            assert value(f"{kind}_seconds_count") == 1.0
        assert value("cost_usd_total") == pytest.approx(event.cost_usd)


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
async def test_tags_of_key_body_and_head_are_recorded_and_go_no_further(
    path: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    parts = Parts()
    parts.keys.known[b"Bearer sk-test"] = KeyRecord("key_1", "tenant-a", "test", plain=True, tags=("team:search",))
    async with serving(parts, snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        body = {"model": "small", "messages": MESSAGES, "max_tokens": 9, "metadata": {"tags": ["job:7"]}}
        answer = await client.post(gateway.url + path, json=body, headers={"x-sluice-tags": "prod, job:7"})
        plain = await client.post(gateway.url + path, json={"model": "small", "messages": MESSAGES, "max_tokens": 9})
        refused = await client.post(gateway.url + path, json=body, headers={"x-sluice-tags": "x" * 65})
        await settled(parts)
    assert (answer.status_code, plain.status_code) == (200, 200), answer.text
    assert [event.tags for event in parts.usage.events] == [("team:search", "job:7", "prod"), ("team:search",)]
    assert all("metadata" not in seen.json for seen in provider.seen)
    assert (refused.status_code, len(provider.seen)) == (400, 2)
    assert "x-sluice-tags" in refused.text


async def test_a_kind_of_user_that_nobody_declared_is_refused(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        body = {"model": "small", "messages": MESSAGES}
        answer = await client.post(gateway.url + CHAT, json=body, headers={"x-sluice-user-type": "gold"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-sluice-user-type")
    assert "SLUICE_GATEWAY_USER_TYPES" in answer.json()["error"]["message"]
    assert not provider.seen
