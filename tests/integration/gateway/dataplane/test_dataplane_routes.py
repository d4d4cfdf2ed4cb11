"""What a route may fall back to: models that the router did not look at have to suit the request as well."""

import json

import httpx
import pytest
from gateway_parts import Keys, Parts, Router, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import Alias, Model, Route, RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.ports import KeyRecord

CHAT = "/v1/chat/completions"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
IMAGE = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SEEING = {"input_modalities": ("text", "image"), "capabilities": ("tools",)}


def routing(provider: Provider) -> RoutingSnapshot:
    return snapshot(
        model(
            "blind",
            deployment("d1", provider.base_url, upstream_model="blind"),
            input_modalities=("text",),
            capabilities=(),
        ),
        model("seeing", deployment("d2", provider.base_url, upstream_model="seeing"), **SEEING),
        model("spare", deployment("d3", provider.base_url, upstream_model="spare"), **SEEING),
        routes=(Route(name="auto", candidates=("blind", "seeing"), fallbacks=("blind", "spare")),),
    )


@pytest.mark.parametrize("more", [{"messages": [{"role": "user", "content": IMAGE}]}, {"tools": TOOLS}])
@pytest.mark.parametrize("router", [Router(model="seeing"), Router(failing=DependencyUnavailable("away"))])
async def test_fallbacks_that_cannot_take_a_request_never_get_it(
    router: Router, more: dict[str, object], provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.next(Behaviour(status=500))
    body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], **more}
    async with serving(Parts(router=router), routing(provider)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=body)
    assert (answer.status_code, answer.headers["x-sluice-model"]) == (200, "spare")
    assert [seen.json["model"] for seen in provider.seen] == ["seeing", "spare"]


@pytest.mark.parametrize("on", [{}, {"fallbacks_on": {"content": ("blind", "spare")}}])
async def test_fallbacks_of_a_model_have_to_take_the_request_too(
    on: dict[str, object], provider: Provider, client: httpx.AsyncClient
) -> None:
    blind, seeing, spare = routing(provider).models
    named = Model.model_validate({**seeing.model_dump(), "fallbacks": ("blind", "spare"), **on})
    refused = {"error": {"message": "filtered", "type": "invalid_request_error", "code": "content_filter"}}
    provider.next(Behaviour(status=400, body=json.dumps(refused).encode()) if on else Behaviour(status=500))
    async with serving(Parts(), snapshot(blind, named, spare)) as gateway:
        body = {"model": "seeing", "messages": [{"role": "user", "content": IMAGE}]}
        answer = await client.post(gateway.url + CHAT, json=body)
    assert (answer.status_code, answer.headers["x-sluice-model"]) == (200, "spare")
    assert [seen.json["model"] for seen in provider.seen] == ["seeing", "spare"]


@pytest.mark.parametrize(
    ("intent", "confidence", "status", "label", "finding"),
    [
        ("billing_inquiry", 0.9, 200, "billing_inquiry", "fine"),
        (None, 0.2, 200, "unknown", "fine"),
        ("billing_inquiry", 0.9, 400, "billing_inquiry", "error"),
        (None, None, 200, None, None),
    ],
)
async def test_what_is_found_of_answers_is_counted_by_the_kind_of_question(
    intent: str | None,
    confidence: float | None,
    status: int,
    label: str | None,
    finding: str | None,
    provider: Provider,
    client: httpx.AsyncClient,
) -> None:
    provider.default = Behaviour(status=status)
    parts = Parts(router=Router(model="seeing", intent=intent, confidence=confidence))
    async with serving(parts, routing(provider)) as gateway:
        body = {"model": "auto", "messages": [{"role": "user", "content": "Why was I charged twice?"}]}
        assert (await client.post(gateway.url + CHAT, json=body)).status_code == status
    name = "sluice_gateway_answer_quality_total"
    samples = [one for family in parts.registry.registry.collect() for one in family.samples if one.name == name]
    found = [(one.labels["route"], one.labels["intent"], one.labels["finding"], one.value) for one in samples]
    assert found == ([] if label is None else [("auto", label, finding, 1.0)])


async def test_a_key_whose_models_do_not_suit_is_told_so(provider: Provider, client: httpx.AsyncClient) -> None:
    key = KeyRecord("key_1", "tenant-a", "test", models=frozenset({"auto", "blind"}))
    parts = Parts(keys=Keys({b"Bearer sk-test": key}), router=Router(model="seeing"))
    body = {"model": "auto", "messages": [{"role": "user", "content": IMAGE}]}
    async with serving(parts, routing(provider)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=body)
        plain = await client.post(gateway.url + CHAT, json={**body, "messages": [{"role": "user", "content": "x"}]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "no_suitable_model")
    assert "image" in error["message"]
    assert plain.headers["x-sluice-model"] == "blind"


async def test_a_route_outside_the_organisations_regions_is_refused_as_a_model_is(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    key = KeyRecord("key_1", "tenant-a", "test", regions=frozenset({"eu"}))
    router = Router(model="small", failing=DependencyUnavailable("away"))
    small = model("small", deployment("d1", provider.base_url, region="us"))
    routed = snapshot(small, routes=(Route(name="auto", candidates=("small",)),))
    async with serving(Parts(keys=Keys({b"Bearer sk-test": key}), router=router), routed) as gateway:
        refused = []
        for name in ("auto", "small"):
            body = {"model": name, "messages": [{"role": "user", "content": "x"}]}
            refused.append(await client.post(gateway.url + CHAT, json=body))
    assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [(403, "region_not_allowed")] * 2
    assert refused[0].json() == refused[1].json()
    assert (router.asked, provider.seen) == ([], [])


async def test_a_route_that_serves_a_region_by_a_fallback_alone_is_listed_there(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    key = KeyRecord("key_1", "tenant-a", "test", regions=frozenset({"eu"}))
    far = model("far", deployment("d1", provider.base_url, region="us"))
    near = model("near", deployment("d2", provider.base_url, region="eu"))
    routes = (Route(name="auto", candidates=("far",), fallbacks=("near",)), Route(name="only-far", candidates=("far",)))
    parts = Parts(keys=Keys({b"Bearer sk-test": key}), router=Router(model="near"))
    async with serving(parts, snapshot(far, near, routes=routes)) as gateway:
        listed = (await client.get(gateway.url + "/v1/models")).json()["data"]
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
        answer = await client.post(gateway.url + CHAT, json=body)
    assert [one["id"] for one in listed] == ["near", "auto"]
    assert answer.headers["x-sluice-model"] == "near"


@pytest.mark.parametrize(("health", "status"), [(("down", "down"), 503), (("down", "up"), 200)])
async def test_without_the_router_a_route_that_refuses_while_all_is_down_refuses(
    health: tuple[str, str], status: int, provider: Provider, client: httpx.AsyncClient
) -> None:
    places = [deployment(f"d{number}", provider.base_url, health=told) for number, told in enumerate(health)]
    models = [model(name, place) for name, place in zip(("small", "spare"), places, strict=True)]
    body = {"messages": [{"role": "user", "content": "x"}]}
    routes = [
        Route(name="auto", candidates=("small",), fallbacks=("spare",), when_all_down="refuse"),
        Route(name="eager", candidates=("small",), fallbacks=("spare",)),
    ]
    parts = Parts(router=Router(failing=DependencyUnavailable("away")))
    async with serving(parts, snapshot(*models, routes=tuple(routes))) as gateway:
        refused = await client.post(gateway.url + CHAT, json=body | {"model": "auto"})
        tried = await client.post(gateway.url + CHAT, json=body | {"model": "eager"})
    assert (refused.status_code, tried.status_code) == (status, 200)
    if status == 503:
        assert refused.json()["error"]["code"] == "no_deployment"
        assert int(refused.headers["retry-after"]) > 0


async def test_an_alias_is_one_more_name_of_a_model_or_a_route(provider: Provider, client: httpx.AsyncClient) -> None:
    aliases = (Alias(name="gpt-4o", model="seeing"), Alias(name="best", model="auto"), Alias(name="lost", model="gone"))
    key = KeyRecord("key_1", "tenant-a", "test", models=frozenset({"gpt-4o", "best", "lost"}))
    parts = Parts(keys=Keys({b"Bearer sk-test": key}), router=Router(model="seeing"))
    async with serving(parts, routing(provider).model_copy(update={"aliases": aliases})) as gateway:
        asked = {"messages": [{"role": "user", "content": "x"}]}
        named = await client.post(gateway.url + CHAT, json={"model": "gpt-4o", **asked})
        routed = await client.post(gateway.url + CHAT, json={"model": "best", **asked})
        lost = await client.post(gateway.url + CHAT, json={"model": "lost", **asked})
        refused = await client.post(gateway.url + CHAT, json={"model": "seeing", **asked})
        listed = (await client.get(gateway.url + "/v1/models")).json()["data"]
        one = (await client.get(gateway.url + "/v1/models/gpt-4o")).json()
    assert (named.status_code, named.headers["x-sluice-model"]) == (200, "seeing")
    assert routed.status_code == 200
    assert [seen.json["model"] for seen in provider.seen] == ["seeing", "seeing"]
    assert (lost.status_code, refused.status_code) == (404, 403)
    assert {row["id"]: row["sluice"]["alias_of"] for row in listed} == {"gpt-4o": "seeing", "best": "auto"}
    assert one == listed[0]
    assert [event.model for event in gateway.parts.usage.events] == ["seeing", "seeing"]
