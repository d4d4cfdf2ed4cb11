"""Requests whose policy asks for more than an answer: guards, routing, retrieval."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_parts import (
    POISON,
    SECRET,
    Guard,
    Keys,
    Parts,
    Retrieval,
    Router,
    deployment,
    model,
    serving,
    snapshot,
    spans_of,
)
from openai_provider import Behaviour, Provider
from tests.unit.gateway.limits.test_limiter import limits

from sluice.clients.deadline import remaining
from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.routing import Policy, Route, RoutingSnapshot
from sluice.contracts.sampling import SamplingPolicy
from sluice.errors import NO_DEPLOYMENT, DeadlineExceeded, DependencyUnavailable, NotFound, ServiceOff
from sluice_gateway.domain.ports import KeyRecord

CHAT = "/v1/chat/completions"
AWAY, OFF = DependencyUnavailable("away"), ServiceOff("set this.")
POLICIES = (
    Policy(name="strict", guard_input="enforce", guard_output="enforce"),
    Policy(name="input", guard_input="enforce"),
    Policy(name="input-open", guard_input="enforce", on_guard_error="open"),
    Policy(name="output", guard_output="enforce"),
    Policy(name="watch", guard_input="observe", guard_output="observe"),
    Policy(name="docs", retrieval=RetrievalPolicy(vector_store_ids=("vs_1",), on_error="continue")),
    Policy(name="docs-strict", guard_input="enforce", retrieval=RetrievalPolicy(vector_store_ids=("vs_1",))),
    Policy(
        name="docs-beside",
        guard_input="enforce",
        retrieval=RetrievalPolicy(vector_store_ids=("vs_1",), when="beside_guard"),
    ),
    Policy(name="none"),
)


def ask(text: str, name: str = "small", **more: object) -> dict[str, object]:
    return {"model": name, "messages": [{"role": "user", "content": text}], **more}


def routing(provider: Provider, policy: str | None = None, **route: object) -> RoutingSnapshot:
    routes = (Route.model_validate({"name": "auto", "candidates": ("small", "large"), **route}),)
    return snapshot(
        model("small", deployment("d1", provider.base_url), policy=policy),
        model("large", deployment("d2", provider.base_url, upstream_model="large"), policy="input"),
        policies=POLICIES,
        routes=routes,
    )


async def test_an_address_reaches_the_engine_redacted(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider, "input")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask(f"Mail {SECRET} now", extra=1))
    assert provider.seen[0].json["messages"][0]["content"] == "Mail [EMAIL] now"
    assert provider.seen[0].json["extra"] == 1
    assert answer.headers["x-sluice-guard"] == "redacted"
    assert gateway.parts.usage.events[0].guard_issues == ("pii_detected",)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_blocked_input_never_reaches_the_engine(
    stream: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(), routing(provider, "input")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask(f"Please {POISON}", stream=stream))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (400, "content_filter", "content_policy_violation")
    assert POISON not in answer.text
    assert provider.seen == []
    event = gateway.parts.usage.events[0]
    assert (event.status, event.http_status, event.prompt_tokens, event.cost_usd) == ("blocked", 400, 0, 0.0)
    assert event.guard_issues == ("prompt_injection",)


async def test_a_guard_that_is_away_closes_or_opens_as_the_policy_says(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    parts = Parts(guard=Guard(failing=AWAY))
    async with serving(parts, routing(provider, "input")) as gateway:
        closed = await client.post(gateway.url + CHAT, json=ask("x"))
    assert (closed.status_code, provider.seen) == (503, [])
    async with serving(Parts(guard=Guard(failing=OFF)), routing(provider, "input")) as gateway:
        off = (await client.post(gateway.url + CHAT, json=ask("x"))).json()["error"]
    assert off["code"] == "service_off"
    assert "set this" in off["message"]
    async with serving(Parts(guard=Guard(failing=AWAY)), routing(provider, "input-open")) as gateway:
        opened = await client.post(gateway.url + CHAT, json=ask("x"))
    assert (opened.status_code, opened.headers["x-sluice-guard"]) == (200, "unchecked")
    async with serving(Parts(guard=Guard(failing=AWAY)), routing(provider, "output")) as gateway:
        whole = await client.post(gateway.url + CHAT, json=ask("x"))
        stream = await client.post(gateway.url + CHAT, json=ask("x", stream=True))
    assert whole.status_code == 503
    assert "fox" not in stream.text
    assert "could not be checked" in stream.text


@pytest.mark.parametrize("policy", ["input", "output"])
async def test_what_passes_although_a_detector_gave_no_verdict_is_marked(
    policy: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    parts = Parts(guard=Guard(without_verdict=("check_failed",)))
    async with serving(parts, routing(provider, policy)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x"))
        assert (answer.status_code, answer.headers["x-sluice-guard"]) == (200, "unchecked")
        assert "sluice_gateway_unchecked_requests_total 1.0" in gateway.parts.registry.render()[0].decode()
    assert set(gateway.parts.usage.events[0].guard_issues) == {"check_failed", "unchecked"}


async def test_observing_changes_nothing_and_records_what_it_saw(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(text=f"Write to {SECRET} please")
    async with serving(Parts(guard=Guard(delay_s=0.5)), routing(provider, "watch")) as gateway:
        request = asyncio.create_task(client.post(gateway.url + CHAT, json=ask(f"{POISON} {SECRET}")))
        async with asyncio.timeout(60):
            while not provider.seen:
                await asyncio.sleep(0.01)
        assert not request.done(), "the engine is asked while the guard still looks"
        whole = await request
        stream = await client.post(gateway.url + CHAT, json=ask(f"{POISON}", stream=True))
    assert SECRET in whole.text
    assert whole.headers["x-sluice-guard"] == "flagged"
    assert SECRET in "".join(json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in lines(stream))
    assert [set(event.guard_issues) for event in gateway.parts.usage.events] == [
        {"prompt_injection", "pii_detected"}
    ] * 2
    assert {event.status for event in gateway.parts.usage.events} == {"ok"}


def lines(answer: httpx.Response) -> list[str]:
    return [line for line in answer.text.splitlines() if line.startswith("data: {")]


async def test_a_whole_answer_is_checked(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.next(
        Behaviour(text=f"Ask {SECRET}."), Behaviour(text=POISON), Behaviour(tool_arguments='{"to": "' + SECRET + '"}')
    )
    async with serving(Parts(), routing(provider, "output")) as gateway:
        redacted = (await client.post(gateway.url + CHAT, json=ask("x"))).json()
        blocked = (await client.post(gateway.url + CHAT, json=ask("x"))).json()
        tool = (await client.post(gateway.url + CHAT, json=ask("x"))).json()
    assert redacted["choices"][0]["message"]["content"] == "Ask [EMAIL]."
    assert redacted["choices"][0]["finish_reason"] == "stop"
    assert blocked["choices"][0]["message"]["content"] == "I cannot say that."
    assert blocked["choices"][0]["finish_reason"] == "content_filter"
    assert tool["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"to": "[EMAIL]"}'
    assert [event.status for event in gateway.parts.usage.events] == ["ok", "blocked", "ok"]
    assert gateway.parts.usage.events[1].completion_tokens == len(POISON.split())


async def streamed(gateway: Any, **more: object) -> tuple[str, list[Any]]:
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1") as api:
        stream = await api.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "x"}], stream=True, extra_body=more
        )
        chunks = [chunk async for chunk in stream]
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices), chunks


async def test_a_stream_is_released_in_checked_windows(provider: Provider) -> None:
    filler = "word " * 100
    provider.default = Behaviour(text=f"{filler}write to {SECRET} or {filler}{SECRET}", chunk_delay_s=0.002)
    async with serving(Parts(), routing(provider, "output")) as gateway:
        text, chunks = await streamed(gateway)
    assert text == f"{filler}write to [EMAIL] or {filler}[EMAIL]"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) > 3, "it still comes in pieces"
    event = gateway.parts.usage.events[0]
    assert (event.status, event.tokens_exact) == ("ok", True)
    assert event.guard_issues == ("pii_detected",)


async def test_an_address_cut_into_many_chunks_is_not_let_out_by_halves(provider: Provider) -> None:
    filler = "word " * 60
    provider.default = Behaviour(text=(filler + SECRET).replace("@", " @").replace(" @", "@ "), chunk_delay_s=0.001)
    spaced = SECRET.replace("@", "@ ")

    class Spaced(Guard):
        async def check_output(self, request: Any, *, tenant: str, timeout_s: float) -> Any:
            changed = request.model_copy(
                update={
                    "segments": tuple(
                        s.model_copy(update={"text": s.text.replace(spaced, SECRET)}) for s in request.segments
                    )
                }
            )
            return await super().check_output(changed, tenant=tenant, timeout_s=timeout_s)

    async with serving(Parts(guard=Spaced()), routing(provider, "output")) as gateway:
        text, _ = await streamed(gateway)
    assert "ada" not in text
    assert text.endswith("[EMAIL]")


async def test_a_blocked_stream_ends_with_content_filter(provider: Provider) -> None:
    filler = "word " * 150
    provider.default = Behaviour(text=f"{filler}{POISON} {filler}" * 3, chunk_delay_s=0.001)
    async with serving(Parts(), routing(provider, "output")) as gateway:
        text, chunks = await streamed(gateway)
        async with asyncio.timeout(60):
            while not provider.aborted:
                await asyncio.sleep(0.01)
    assert "ignore" not in text
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    event = gateway.parts.usage.events[0]
    assert (event.status, event.error_code, event.tokens_exact) == ("blocked", "content_filter", False)


async def test_tool_arguments_of_a_stream_are_checked_whole(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(tool_arguments='{"to": "' + SECRET + '", "n": 1}')
    async with serving(Parts(), routing(provider, "output")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", stream=True))
    calls = [c for line in lines(answer) for c in json.loads(line[6:])["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"to": "[EMAIL]", "n": 1}'
    assert calls[0]["id"] == "c"


async def test_the_router_picks_and_the_models_own_policy_holds(provider: Provider, client: httpx.AsyncClient) -> None:
    parts = Parts(router=Router(model="large"))
    async with serving(parts, routing(provider)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask(f"{SECRET}", "auto"))
    assert answer.headers["x-sluice-model"] == "large"
    assert answer.headers["x-sluice-route"] == "auto; test"
    assert provider.seen[0].json["model"] == "large"
    assert provider.seen[0].json["messages"][0]["content"] == "[EMAIL]"
    assert (parts.usage.events[0].route, parts.usage.events[0].model) == ("auto", "large")


async def test_without_a_router_the_routes_first_candidate_answers(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(router=Router(failing=AWAY)), routing(provider)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", "auto"))
    assert (answer.status_code, answer.headers["x-sluice-model"]) == (200, "small")
    assert answer.headers["x-sluice-route"] == "auto; router_unavailable"
    async with serving(Parts(router=Router(failing=NotFound("no"))), routing(provider)) as gateway:
        unknown = await client.post(gateway.url + CHAT, json=ask("x", "auto"))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    down = DependencyUnavailable("All is down.", headers={"Retry-After": "7"})
    down.code = NO_DEPLOYMENT  # type: ignore[misc] # as the client takes it over from the router
    asked = len(provider.seen)
    async with serving(Parts(router=Router(failing=down)), routing(provider)) as gateway:
        refused = await client.post(gateway.url + CHAT, json=ask("x", "auto"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, NO_DEPLOYMENT)
    assert refused.headers["retry-after"] == "7"
    assert len(provider.seen) == asked, "the route says that nothing is tried"


async def test_a_routes_fallback_answers_when_its_choice_fails(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.next(Behaviour(status=500))
    parts = Parts(router=Router(model="small", fallbacks=("large",)))
    async with serving(parts, routing(provider)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", "auto"))
    assert (answer.status_code, answer.headers["x-sluice-model"]) == (200, "large")


async def test_evidence_goes_before_the_question_and_citations_come_back(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(text="It is 8080 [1], see [7].")
    body = ask("Which port?", sluice={"retrieval": {"vector_store_ids": ["vs_1"], "top_k": 3}})
    async with serving(Parts(), routing(provider)) as gateway:
        answer = (await client.post(gateway.url + CHAT, json=body)).json()
        text, chunks = await streamed(gateway, sluice={"retrieval": {"vector_store_ids": ["vs_1"]}})
    first = provider.seen[0].json["messages"][0]
    assert first["role"] == "system"
    assert first["content"].startswith("Relevant documents:\n[[")
    assert first["content"].splitlines()[2] == "[1] (manual.md) The port is 8080."
    assert provider.seen[0].json["messages"][1] == {"role": "user", "content": "Which port?"}
    assert "sluice" not in provider.seen[0].json
    assert answer["sluice"]["citations"][0]["chunk_id"] == "chk_1"
    note = answer["choices"][0]["message"]["annotations"]
    assert [(n["url_citation"]["start_index"], n["url_citation"]["end_index"]) for n in note] == [(11, 14)]
    assert text == "It is 8080 [1], see [7]."
    assert chunks[-1].choices == []
    assert chunks[-1].model_extra["sluice"]["citations"][0]["source"] == "manual.md"
    assert gateway.parts.retrieval.asked[0].top_k == 3
    assert [event.citations for event in gateway.parts.usage.events] == [1, 1]


async def test_retrieval_is_given_the_conversation_and_tells_what_it_made_of_it(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    earlier = [
        {"role": "user", "content": "On which port does the gateway listen?"},
        {"role": "assistant", "content": "8080"},
    ]
    last = {"role": "user", "content": "And the router?"}
    async with serving(Parts(), routing(provider)) as gateway:
        answers = []
        for options in ({"rerank": "features", "placement": "edges"}, {"follow_ups": False}):
            body = {
                **ask("x", sluice={"retrieval": {"vector_store_ids": ["vs_1"], **options}}),
                "messages": [*earlier, last],
            }
            answers.append((await client.post(gateway.url + CHAT, json=body)).json()["sluice"])
    assert [one["queries"] for one in answers] == [[f"{earlier[0]['content']} And the router?"], ["And the router?"]]
    first, second = gateway.parts.retrieval.asked
    assert [turn.model_dump() for turn in first.conversation] == earlier
    assert (first.query, first.rerank, first.placement) == ("And the router?", "features", "edges")
    assert (second.conversation, second.rerank, second.placement) == ((), "none", "ranked")


async def test_retrieval_asks_with_the_text_that_the_guard_let_pass(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(), routing(provider, "docs-strict")) as gateway:
        await client.post(gateway.url + CHAT, json=ask(f"Who is {SECRET}?"))
        blocked = await client.post(gateway.url + CHAT, json=ask(POISON))
    assert blocked.status_code == 400
    assert [request.query for request in gateway.parts.retrieval.asked] == ["Who is [EMAIL]?"]


async def test_retrieval_that_is_away(provider: Provider, client: httpx.AsyncClient) -> None:
    parts = Parts(retrieval=Retrieval(failing=AWAY))
    async with serving(parts, routing(provider, "docs")) as gateway:
        without = await client.post(gateway.url + CHAT, json=ask("x"))
        asked = await client.post(
            gateway.url + CHAT, json=ask("x", sluice={"retrieval": {"vector_store_ids": ["vs_1"]}})
        )
        parts.retrieval.failing = NotFound("The vector store vs_1 does not exist.")
        missing = await client.post(
            gateway.url + CHAT, json=ask("x", sluice={"retrieval": {"vector_store_ids": ["vs_1"]}})
        )
    assert [without.status_code, asked.status_code, missing.status_code] == [200, 503, 404]
    assert "vs_1 does not exist" in missing.json()["error"]["message"]


async def test_a_policy_whose_store_was_deleted_says_so_or_goes_on_with_the_others(
    provider: Provider, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts(retrieval=Retrieval())
    own = {"retrieval": {"vector_store_ids": ["vs_2"]}}
    async with serving(parts, routing(provider, "docs")) as gateway:
        await client.post(gateway.url + CHAT, json=ask("x"))
        assert [asked.missing_stores for asked in parts.retrieval.asked] == [None], "older services do not know it"
        parts.retrieval.gone = ("vs_1",)
        for more in ({}, {"sluice": own}):
            answer = await client.post(gateway.url + CHAT, json=ask("x", **more))
            assert answer.status_code == 200, answer.text
            assert "The port is 8080." in json.dumps(provider.seen[-1].json), "what the other stores have is used"
        named = await client.post(
            gateway.url + CHAT, json=ask("x", sluice={"retrieval": {"vector_store_ids": ["vs_1"]}})
        )
    assert (named.status_code, named.json()["error"]["param"]) == (404, "sluice.retrieval.vector_store_ids")
    assert "sluice_gateway_policy_stores_missing_total 2.0" in parts.registry.render()[0].decode()
    async with serving(Parts(retrieval=Retrieval(gone=("vs_1",))), routing(provider, "docs-strict")) as gateway:
        for more in ({}, {"sluice": own}):
            refused = await client.post(gateway.url + CHAT, json=ask("x", **more))
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "policy_store_missing")
            message = refused.json()["error"]["message"]
            assert all(said in message for said in ("`docs-strict`", "`vs_1`", "on_error: continue"))
    told = [record.getMessage() for record in caplog.records if "vs_1" in record.getMessage()]
    assert len(told) == 2, "once a minute for each process"
    assert "tenant tenant-a: The policy `docs` searches" in told[0]


async def test_a_request_can_add_protection_and_never_take_any_away(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(), routing(provider, "input")) as gateway:
        still = await client.post(gateway.url + CHAT, json=ask(POISON, sluice={"policy": "none"}))
        unknown = await client.post(gateway.url + CHAT, json=ask("x", sluice={"policy": "nope"}))
    async with serving(Parts(), routing(provider)) as gateway:
        added = await client.post(gateway.url + CHAT, json=ask(POISON, sluice={"policy": "strict"}))
    assert (still.status_code, added.status_code) == (400, 400)
    assert unknown.json()["error"]["code"] == "policy_not_found"
    assert provider.seen == []


async def test_a_keys_policy_counts_instead_of_the_models(provider: Provider, client: httpx.AsyncClient) -> None:
    keys = Keys({b"Bearer sk-test": KeyRecord("k", "t", "n", policy="strict")})
    async with serving(Parts(keys=keys), routing(provider)) as gateway:
        assert (await client.post(gateway.url + CHAT, json=ask(POISON))).status_code == 400
    gone = Keys({b"Bearer sk-test": KeyRecord("k", "t", "n", policy="deleted")})
    async with serving(Parts(keys=gone), routing(provider)) as gateway:
        assert (await client.post(gateway.url + CHAT, json=ask("x"))).status_code == 503
    assert provider.seen == []


async def test_token_numbers_cannot_slip_past_a_guard(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider, "input")) as gateway:
        answer = await client.post(gateway.url + "/v1/completions", json={"model": "small", "prompt": [1, 2, 3]})
    assert (answer.status_code, provider.seen) == (400, [])


async def test_a_model_whose_policy_is_missing_is_not_served(provider: Provider, client: httpx.AsyncClient) -> None:
    table = snapshot(model("small", deployment("d1", provider.base_url), policy="gone"))
    async with serving(Parts(), table) as gateway:
        assert (await client.post(gateway.url + CHAT, json=ask("x"))).status_code == 404


async def test_a_traced_request_shows_every_stage(provider: Provider, client: httpx.AsyncClient, tmp_path: Any) -> None:
    parts = Parts(trace_dir=str(tmp_path), router=Router(model="large"))
    body = ask("x", "auto", sluice={"policy": "strict", "retrieval": {"vector_store_ids": ["vs_1"]}})
    async with serving(parts, routing(provider)) as gateway:
        assert (await client.post(gateway.url + CHAT, json=body)).status_code == 200
    spans = spans_of(tmp_path)
    root = next(span for span in spans if span["name"] == "POST /v1/chat/completions")
    children = {span["name"] for span in spans if span.get("parentSpanId") == root["spanId"]}
    assert children == {"guard input", "route", "retrieve", "guard context", "chat large", "guard output"}


async def test_beside_the_guard_retrieval_costs_no_time_of_its_own(
    provider: Provider, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    overlaps = {}
    for policy in ("docs-strict", "docs-beside"):
        parts = Parts(guard=Guard(delay_s=0.3), retrieval=Retrieval(delay_s=0.3), trace_dir=str(tmp_path / policy))
        async with serving(parts, routing(provider, policy)) as gateway:
            answer = await client.post(gateway.url + CHAT, json=ask("Which port?"))
        assert answer.status_code == 200
        assert "The port is 8080" in json.dumps(provider.seen[-1].json)
        # The trace shows it; how long it all takes tells of the machine, too.
        times = {
            one["name"]: (int(one["startTimeUnixNano"]), int(one["endTimeUnixNano"]))
            for one in spans_of(tmp_path / policy)
        }
        guard, found, evidence = (times[name] for name in ("guard input", "retrieve", "guard context"))
        assert evidence[0] >= max(guard[1], found[1])
        overlaps[policy] = found[0] < guard[1]
    assert overlaps == {"docs-strict": False, "docs-beside": True}


async def test_a_blocked_input_ends_the_retrieval_beside_it(provider: Provider, client: httpx.AsyncClient) -> None:
    parts = Parts(retrieval=Retrieval(delay_s=100.0))
    async with serving(parts, routing(provider, "docs-beside")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask(f"Please {POISON}"), timeout=60)
    assert answer.status_code == 400
    assert provider.seen == []


async def test_a_keys_sampling_and_default_model_hold_beside_the_policies_of_models(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    strict = Policy(name="strict", guard_input="enforce", sampling=SamplingPolicy(preset="creative", max_tokens=90))
    models = (
        model("small", deployment("d1", provider.base_url), policy="strict"),
        model("large", deployment("d2", provider.base_url)),
    )
    routes = (Route(name="auto", candidates=("large",)),)
    parts = Parts(keys=Keys())
    own = SamplingPolicy(temperature=0.3, max_temperature=0.5, max_tokens=50)
    parts.keys.known[b"Bearer sk-test"] = KeyRecord(
        "key_1", "tenant-a", "test", plain=True, sampling=own, default_model="large"
    )
    async with serving(parts, snapshot(*models, routes=routes, policies=(strict,))) as gateway:

        async def sent(text: str, **more: Any) -> tuple[object, ...]:
            answer = await client.post(gateway.url + CHAT, json=ask(text, **more))
            assert answer.status_code == 200, answer.text
            body = provider.seen[-1].json
            return body.get("temperature"), body.get("top_p"), body["max_tokens"]

        assert await sent("hi", name="small") == (0.3, None, 50)
        assert await sent("hi", name="auto") == (0.3, None, 50)
        assert await sent("hi", name="large", temperature=0.4, max_tokens=9) == (0.4, None, 9)
        assert await sent("hi", name="") == (0.3, None, 50)
        blocked = await client.post(gateway.url + CHAT, json=ask(POISON, "small"))
        assert blocked.status_code == 400
        for param, value in (("temperature", 0.6), ("max_tokens", 51)):
            refused = await client.post(gateway.url + CHAT, json={**ask("hi", "large"), param: value})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_a_budget_reserves_no_more_of_the_answer_than_the_keys_sampling_allows(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    short, long = SamplingPolicy(max_tokens=50), SamplingPolicy(max_tokens=2000)
    level = limits(budget_per_day_usd=0.001)
    parts = Parts(keys=Keys())
    for name, own in (("short", short), ("long", long)):
        record = KeyRecord(f"key_{name}", "tenant-a", "test", sampling=own, limits=(level,))
        parts.keys.known[f"Bearer sk-{name}".encode()] = record
    places = model("small", deployment("d1", provider.base_url))
    async with serving(parts, snapshot(places, routes=(Route(name="auto", candidates=("small",)),))) as gateway:
        for key, status in (("short", 200), ("long", 429)):
            for name in ("small", "auto"):
                headers = {"authorization": f"Bearer sk-{key}"}
                answer = await client.post(gateway.url + CHAT, json=ask("hi", name), headers=headers)
                assert answer.status_code == status, answer.text


async def test_a_policys_preset_and_limits_and_a_callers_own_preset(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    factual = Policy(name="factual", sampling=SamplingPolicy(preset="factual", max_temperature=0.5))
    models = (
        model("small", deployment("d1", provider.base_url), policy="factual"),
        model("large", deployment("d2", provider.base_url)),
    )
    async with serving(Parts(), snapshot(*models, policies=(factual,))) as gateway:
        await client.post(gateway.url + CHAT, json=ask("hi"))
        assert (provider.seen[-1].json["temperature"], provider.seen[-1].json["top_p"]) == (0.2, 0.7)
        await client.post(gateway.url + CHAT, json=ask("hi", temperature=0.4, stream=True))
        assert (provider.seen[-1].json["temperature"], provider.seen[-1].json["top_p"]) == (0.4, 0.7)
        refused = await client.post(gateway.url + CHAT, json=ask("hi", temperature=0.9))
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "temperature")
        await client.post(gateway.url + CHAT, json=ask("hi", "large", sluice={"sampling": "creative"}))
        assert (provider.seen[-1].json["temperature"], provider.seen[-1].json["top_p"]) == (1.0, 0.95)
        await client.post(gateway.url + CHAT, json=ask("hi", "large"))
        assert "temperature" not in provider.seen[-1].json
        wrong = await client.post(gateway.url + CHAT, json=ask("hi", "large", sluice={"sampling": "wild"}))
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "sluice.sampling")


@pytest.mark.parametrize(
    "said",
    [
        {"content": "fine", "reasoning": f"ask {SECRET}"},
        {"content": "fine", "reasoning_details": [{"type": "reasoning.text", "text": SECRET, "signature": "s"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": SECRET}]}]},
        {"content": None, "function_call": {"name": "f", "arguments": SECRET}},
        {"content": None, "audio": {"id": "a", "data": "", "transcript": SECRET}},
    ],
    ids=["reasoning", "details", "parts", "function_call", "audio"],
)
async def test_nothing_that_a_message_says_passes_unread(
    provider: Provider, client: httpx.AsyncClient, said: dict[str, Any]
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}
    async with serving(Parts(), routing(provider, "output")) as gateway:
        for text, passes in ((SECRET, False), ("quite harmless", True)):
            body = json.dumps({"object": "chat.completion", "choices": [choice]}).replace(SECRET, text)
            provider.next(Behaviour(body=body.encode()))
            answer = await client.post(gateway.url + CHAT, json=ask("Hello"))
            assert answer.status_code == 200
            assert (text in answer.text) is passes
            assert answer.headers["x-sluice-guard"] == ("passed" if passes else "redacted")


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "TEXT"}]}]}),
        (
            CHAT,
            {
                "messages": [
                    {"role": "assistant", "content": "x", "reasoning": "TEXT"},
                    {"role": "user", "content": "y"},
                ]
            },
        ),
        (CHAT, {"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "TEXT"}]}]}),
        (CHAT, {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "TEXT"}}]}),
        (CHAT, {"documents": [{"title": "t", "text": "TEXT"}]}),
        (CHAT, {"prediction": {"type": "content", "content": "TEXT"}}),
        ("/v1/completions", {"prompt": "x", "suffix": "TEXT", "messages": None}),
    ],
    ids=["input_text", "reasoning", "thinking", "function_call", "documents", "prediction", "suffix"],
)
async def test_nothing_that_a_model_may_read_passes_unread(
    provider: Provider, client: httpx.AsyncClient, path: str, changes: dict[str, Any]
) -> None:
    async with serving(Parts(), routing(provider, "input")) as gateway:
        for text, status in ((POISON, 400), (SECRET, 200)):
            body = json.dumps({**ask("Hello"), **changes}).replace("TEXT", text)
            answer = await client.post(gateway.url + path, content=body)
            assert answer.status_code == status, answer.text
    (seen,) = provider.seen
    assert SECRET not in json.dumps(seen.json)
    assert "[EMAIL]" in json.dumps(seen.json)


class Hurried(Guard):
    """Notes how long it may take."""

    left = 0.0

    async def check_input(self, request: Any, *, tenant: str, timeout_s: float) -> Any:
        self.left = remaining(60.0)
        return await super().check_input(request, tenant=tenant, timeout_s=timeout_s)


@pytest.mark.parametrize("stage", [{"guard_input": "enforce"}, {"guard_output": "enforce"}])
async def test_a_deadline_that_passes_in_a_check_is_the_callers(
    stage: dict[str, str], provider: Provider, client: httpx.AsyncClient
) -> None:
    """It is no outage of the guardrail, and trying again brings nothing."""
    small = model("small", deployment("d1", provider.base_url), policy="guarded")
    routed = snapshot(small, policies=(Policy.model_validate({"name": "guarded", **stage}),))
    parts = Parts(guard=Guard(failing=DeadlineExceeded("The guardrail did not answer in time."), delay_s=0.3))
    async with serving(parts, routed) as gateway:
        late = await client.post(gateway.url + CHAT, json=ask("x"), headers={"x-sluice-deadline-ms": "200"})
        away = await client.post(gateway.url + CHAT, json=ask("x"))
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert (away.status_code, away.json()["error"]["code"]) == (503, "dependency_unavailable")


@pytest.mark.parametrize("headers", [{}, {"x-sluice-deadline-ms": "20000"}])
async def test_stages_have_what_is_left_of_the_deadline(
    provider: Provider, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    hurried = Hurried()
    policy = Policy(name="soon", guard_input="enforce", deadline_s=20.0)
    small = model("small", deployment("d1", provider.base_url), policy="soon")
    async with serving(Parts(guard=hurried), snapshot(small, policies=(policy,))) as gateway:
        assert (await client.post(gateway.url + CHAT, json=ask("Hello"), headers=headers)).status_code == 200
    assert 10.0 < hurried.left <= 20.0
