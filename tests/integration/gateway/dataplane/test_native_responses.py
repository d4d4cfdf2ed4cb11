"""`/v1/responses` on a server that has it: what a translation would refuse passes, and is billed."""

import json
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from tests.unit.gateway.translate.test_responses_passing import COMPLETED, RESPONSE, stream

from sluice.contracts.routing import Policy

ASK: dict[str, Any] = {"model": "native", "input": "News?", "tools": [{"type": "web_search"}]}  # fmt: skip


def routing(provider: Provider) -> Any:
    native = deployment("d1", provider.base_url, responses="native")
    return snapshot(
        model("native", native),
        model("guarded", native, policy="p"),
        model("translated", deployment("d2", provider.base_url)),
        policies=(Policy(name="p", guard_output="enforce"),),
    )


async def test_what_has_no_counterpart_in_a_chat_passes(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.next(
        Behaviour(body=json.dumps(RESPONSE).encode()), Behaviour(body=stream(COMPLETED), content_type="text/event-stream")
    )  # fmt: skip
    parts = Parts()
    async with serving(parts, routing(provider)) as gateway:
        whole = await client.post(gateway.url + "/v1/responses", json=ASK)
        streamed = await client.post(gateway.url + "/v1/responses", json={**ASK, "stream": True})
    assert (whole.status_code, whole.json()) == (200, RESPONSE)
    assert streamed.text.startswith(stream(b"").decode())
    assert [(seen.path, seen.json["tools"]) for seen in provider.seen] == [("/v1/responses", ASK["tools"])] * 2
    assert [seen.json["model"] for seen in provider.seen] == ["small", "small"]
    events = parts.usage.events
    assert [(one.status, one.prompt_tokens, one.completion_tokens, one.tokens_exact) for one in events] == [
        ("ok", 9, 3, True)
    ] * 2
    assert float(whole.headers["x-sluice-cost"]) == pytest.approx(events[0].cost_usd, abs=1e-9)


@pytest.mark.parametrize("name", ["translated", "guarded"])
async def test_where_a_translation_is_needed_it_is_refused(
    provider: Provider, client: httpx.AsyncClient, name: str
) -> None:
    async with serving(Parts(), routing(provider)) as gateway:
        refused = await client.post(gateway.url + "/v1/responses", json={**ASK, "model": name})
        plain = await client.post(gateway.url + "/v1/responses", json={"model": name, "input": "News?"})
    assert refused.status_code == 400
    assert plain.status_code == 200
    assert [seen.path for seen in provider.seen] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    "state",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
)
async def test_what_a_provider_keeps_for_all_tenants_is_out_of_reach(
    provider: Provider, client: httpx.AsyncClient, state: dict[str, Any]
) -> None:
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + "/v1/responses", json={**ASK, **state})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(state)))
    assert not provider.seen


async def test_a_failure_is_told_in_our_words(provider: Provider, client: httpx.AsyncClient) -> None:
    failed = b'event: response.failed\ndata: {"response": {"error": {"message": "secret-host:9000"}}}\n\n'
    provider.next(Behaviour(body=stream(failed), content_type="text/event-stream"))
    parts = Parts()
    async with serving(parts, routing(provider)) as gateway:
        answer = await client.post(gateway.url + "/v1/responses", json={**ASK, "stream": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed"), "nothing had been sent"
    assert "secret-host" not in answer.text
    assert parts.usage.events[0].status == "error"
