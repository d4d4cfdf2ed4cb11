"""Knowledge from documents and form from training: a route with retrieval over an adapter (F339)."""

import httpx
from gateway_parts import Parts, Router, deployment, model, serving, snapshot
from openai_provider import Provider

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
