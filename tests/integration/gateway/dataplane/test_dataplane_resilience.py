"""Retries, fallbacks by reason, deadlines of policies, and what the headers tell of it."""

import json
import time
from email.utils import formatdate

import httpx
import pytest
from gateway_parts import Keys, Parts, Router, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import Policy, Route
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.domain.ports import KeyRecord

CHAT = "/v1/chat/completions"
BODY = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}]}
RETRYING = Options(retries=2, retry_base_s=0.001)
TOO_LONG = {
    "openai": b'{"error":{"message":"This model\'s maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",'
    b'"type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}',
    "vllm": b'{"object":"error","message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096.",'
    b'"type":"BadRequestError","param":null,"code":400}',
    "llama.cpp": b'{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it",'
    b'"type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}',
}
FILTERED = {
    "azure": b'{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI\'s content management policy.",'
    b'"type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation",'
    b'"content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}',
    "openai": b'{"error":{"message":"Your request was rejected by our safety system.","type":"invalid_request_error","param":null,'
    b'"code":"content_policy_violation"}}',
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "fault",
    [Behaviour(status=500), Behaviour(status=503), Behaviour(body=b"{bad"), Behaviour(status=429, retry_after="0")],
)
async def test_the_same_deployment_is_asked_again(
    stream: bool, fault: Behaviour, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.next(fault, fault)
    async with serving(
        Parts(options=RETRYING), snapshot(model("small", deployment("d1", provider.base_url)))
    ) as gateway:
        answer = await client.post(gateway.url + CHAT, json={**BODY, "stream": stream})
        metrics = gateway.parts.registry.render()[0].decode()
    assert (answer.status_code, answer.headers["x-sluice-attempts"], len(provider.seen)) == (200, "3", 3)
    assert 'sluice_gateway_retries_total{model="small",outcome="made"} 2.0' in metrics
    assert "sluice_gateway_fallbacks_total{" not in metrics
    assert [event.status for event in gateway.parts.usage.events] == ["ok"]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_what_would_be_answered_again_is_not_retried(
    status: int, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(status=status, body=b"{}")
    async with serving(
        Parts(options=RETRYING), snapshot(model("small", deployment("d1", provider.base_url)))
    ) as gateway:
        answer = await client.post(gateway.url + CHAT, json=BODY)
    assert answer.status_code == (status if status in (400, 422) else 502)
    assert len(provider.seen) == 1


async def test_a_stream_that_has_begun_is_not_retried(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(cut_after=3, chunk_delay_s=0.02)
    async with serving(
        Parts(options=RETRYING), snapshot(model("small", deployment("d1", provider.base_url)))
    ) as gateway:
        answer = await client.post(gateway.url + CHAT, json={**BODY, "stream": True})
    assert (
        json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]["code"]
        == "stream_interrupted"
    )
    assert len(provider.seen) == 1


async def test_retries_stop_at_the_deadline_and_at_the_providers_pause(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(
        Parts(options=RETRYING), snapshot(model("small", deployment("d1", provider.base_url)))
    ) as gateway:
        provider.default = Behaviour(status=429, retry_after="5", body=b"{}")
        late = await client.post(gateway.url + CHAT, json=BODY, headers={"x-sluice-deadline-ms": "2000"})
        gateway.plane._table.models["small"].deployments[0].paused_until = 0.0
        provider.default = Behaviour(status=429, retry_after=formatdate(time.time() + 3600, usegmt=True), body=b"{}")
        long = await client.post(gateway.url + CHAT, json=BODY)
        metrics = gateway.parts.registry.render()[0].decode()
    assert (late.status_code, late.headers["retry-after"]) == (429, "5")
    assert (long.status_code, long.headers["retry-after"]) == (429, "30")
    assert len(provider.seen) == 2
    assert 'sluice_gateway_retries_total{model="small",outcome="no_time"} 2.0' in metrics


async def test_a_dead_provider_gets_no_storm(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(status=500)
    async with serving(
        Parts(options=RETRYING), snapshot(model("small", deployment("d1", provider.base_url)))
    ) as gateway:
        answers = [await client.post(gateway.url + CHAT, json=BODY) for _ in range(40)]
        metrics = gateway.parts.registry.render()[0].decode()
    assert {answer.status_code for answer in answers} == {502}
    # ten retries and a fifth of the requests, in each window of ten seconds
    made = float(next(line for line in metrics.splitlines() if 'outcome="made"' in line).split()[-1])
    assert len(provider.seen) == 40 + made
    assert made < 40
    assert 'sluice_gateway_retries_total{model="small",outcome="no_budget"}' in metrics


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("reason", "body"), [("context", b) for b in TOO_LONG.values()] + [("content", b) for b in FILTERED.values()]
)
async def test_a_refusal_leads_to_the_chain_that_is_set_for_it(
    stream: bool, reason: str, body: bytes, provider: Provider, client: httpx.AsyncClient
) -> None:
    async with Provider() as other:
        provider.default = Behaviour(status=400, body=body)
        routing = snapshot(
            model("small", deployment("d1", provider.base_url), deployment("d1b", provider.base_url),
                  fallbacks=("spare",), fallbacks_on={reason: ["large"]}),
            model("spare", deployment("d2", provider.base_url)),
            model("large", deployment("d3", other.base_url)),
        )  # fmt: skip
        async with serving(Parts(), routing) as gateway:
            answer = await client.post(gateway.url + CHAT, json={**BODY, "stream": stream})
            states = gateway.plane._table.models["small"].deployments
            assert [state.failures for state in states] == [0, 0], "a refusal is no failure of the deployment"
    assert (answer.status_code, answer.headers["x-sluice-model"], answer.headers["x-sluice-attempts"]) == (
        200,
        "large",
        "2",
    )
    assert len(provider.seen) == 1, "the model's other deployments and its other fallbacks would refuse it as well"
    assert gateway.parts.usage.events[0].model == "large"


@pytest.mark.parametrize(
    ("body", "code"), [(TOO_LONG["vllm"], "context_length_exceeded"), (FILTERED["azure"], "content_filter")]
)
async def test_without_a_chain_a_refusal_is_the_callers(
    body: bytes, code: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(status=400, body=body)
    routing = snapshot(
        model("small", deployment("d1", provider.base_url), fallbacks=("spare",)),
        model("spare", deployment("d2", provider.base_url)),
    )
    async with serving(Parts(), routing) as gateway:
        answer = await client.post(gateway.url + CHAT, json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"], len(provider.seen)) == (400, code, 1)


async def test_a_time_out_has_a_chain_of_its_own(provider: Provider, client: httpx.AsyncClient) -> None:
    async with Provider(default=Behaviour(stall_s=5.0)) as slow:
        routing = snapshot(
            model("small", deployment("d1", slow.base_url, timeout_s=0.5), fallbacks=("spare",), fallbacks_on={"timeout": ["quick"]}),
            model("spare", deployment("d2", slow.base_url, timeout_s=0.5)),
            model("quick", deployment("d3", provider.base_url)),
        )  # fmt: skip
        async with serving(Parts(), routing) as gateway:
            answer = await client.post(gateway.url + CHAT, json=BODY)
        assert (answer.headers["x-sluice-model"], len(slow.seen)) == ("quick", 1)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_504_says_which_time_ran_out(stream: bool, provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(stall_s=5.0)
    routing = snapshot(
        model("small", deployment("d1", provider.base_url, timeout_s=0.2)),
        model("bounded", deployment("d2", provider.base_url), policy="brisk"),
        policies=(Policy(name="brisk", deadline_s=0.2),),
    )
    async with serving(Parts(), routing) as gateway:
        own = await client.post(gateway.url + CHAT, json={**BODY, "stream": stream})
        policys = await client.post(gateway.url + CHAT, json={**BODY, "model": "bounded", "stream": stream})
    assert [answer.status_code for answer in (own, policys)] == [504, 504]
    assert own.json()["error"]["code"] == ("first_byte_timeout" if stream else "answer_timeout")
    assert policys.json()["error"]["code"] == "deadline_exceeded"


async def test_fallbacks_keep_to_the_keys_models(provider: Provider, client: httpx.AsyncClient) -> None:
    async with Provider(default=Behaviour(status=500)) as bad:
        routing = snapshot(
            model("small", deployment("d1", bad.base_url), fallbacks=("forbidden", "spare")),
            model("forbidden", deployment("d2", provider.base_url)),
            model("spare", deployment("d3", provider.base_url)),
            routes=(Route(name="both", candidates=("forbidden", "spare")),),
        )
        record = KeyRecord("key_1", "tenant-a", "test", models=frozenset({"small", "spare", "both"}))
        parts = Parts(keys=Keys({b"Bearer sk-test": record}), router=Router(model="forbidden"))
        async with serving(parts, routing) as gateway:
            model_answer = await client.post(gateway.url + CHAT, json=BODY)
            route_answer = await client.post(gateway.url + CHAT, json={**BODY, "model": "both"})
    assert model_answer.headers["x-sluice-model"] == "spare"
    assert route_answer.headers["x-sluice-model"] == "spare"
