"""Knowledge from documents, form from training, and what is known of the user: what a route's retrieval brings together (F339, F166)."""

import httpx
import pytest
from gateway_parts import Parts, Router, deployment, model, serving, snapshot
from openai_provider import Provider

from sluice.contracts.memories import MemoryUse
from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.routing import Policy, Route


async def test_a_route_retrieves_for_an_adapter(provider: Provider, client: httpx.AsyncClient) -> None:
    routing = snapshot(
        model("helpdesk", deployment("d1", provider.base_url, upstream_model="helpdesk-lora", adapter="helpdesk-lora")),
        policies=(Policy(name="documents", retrieval=RetrievalPolicy(vector_store_ids=("vs_1",), on_error="fail")),),
        routes=(Route(name="support", candidates=("helpdesk",), policy="documents"),),
    )
    asked = {"model": "support", "messages": [{"role": "user", "content": "Which port does it listen on?"}]}
    async with serving(Parts(router=Router(model="helpdesk", policy="documents")), routing) as gateway:
        answer = await client.post(gateway.url + "/v1/chat/completions", json=asked)
    assert answer.status_code == 200
    sent = provider.seen[0].json
    assert sent["model"] == "helpdesk-lora"
    assert "The port is 8080." in str(sent["messages"]), "what the adapter was not trained on is retrieved"
    assert answer.json()["sluice"]["citations"][0]["quote"] == "The port is 8080."
    assert gateway.parts.retrieval.asked[0].vector_store_ids == ("vs_1",)


@pytest.mark.parametrize(
    ("body", "user", "stores"),
    [
        ({"safety_identifier": "ada"}, "ada", ()),
        ({"user": "bob", "sluice": {"retrieval": {"vector_store_ids": ["vs_2"]}}}, "bob", ("vs_2",)),
        ({"user": "bob", "sluice": {"retrieval": {"memory": {"user": "eve", "top_k": 2}}}}, "eve", ()),
        ({}, None, None),
        ({"user": "x" * 201}, None, None),
    ],
)
async def test_a_policy_recalls_what_is_known_of_the_user_whom_a_request_names(
    body: dict[str, object],
    user: str | None,
    stores: tuple[str, ...] | None,
    provider: Provider,
    client: httpx.AsyncClient,
) -> None:
    routing = snapshot(
        model("small", deployment("d1", provider.base_url), policy="memory"),
        policies=(Policy(name="memory", retrieval=RetrievalPolicy(memory=MemoryUse(top_k=3), on_error="continue")),),
    )
    asked = {"model": "small", "messages": [{"role": "user", "content": "What shall I drink?"}], **body}
    async with serving(Parts(), routing) as gateway:
        answer = await client.post(gateway.url + "/v1/chat/completions", json=asked)
    assert answer.status_code == 200, answer.text
    found = gateway.parts.retrieval.asked
    if user is None:
        assert found == [], "nobody is named, so nothing is remembered"
        return
    assert found[0].memory is not None
    assert (found[0].memory.user, found[0].vector_store_ids) == (user, stores)
    assert found[0].memory.top_k == (2 if user == "eve" else 3)


async def test_a_request_that_asks_for_memory_names_a_user(provider: Provider, client: httpx.AsyncClient) -> None:
    asked = {"model": "small", "messages": [{"role": "user", "content": "x"}]}
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        url = gateway.url + "/v1/chat/completions"
        nobody = await client.post(url, json={**asked, "sluice": {"retrieval": {"memory": {}}}})
        nothing = await client.post(url, json={**asked, "sluice": {"retrieval": {}}})
    assert (nobody.status_code, nobody.json()["error"]["param"]) == (400, "sluice.retrieval.memory")
    assert (nothing.status_code, "or memory" in nothing.text) == (400, True)
    assert provider.seen == []
