"""Requests that come word for word as before, and are answered from memory without being read again: each is still one of its own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Provider

from sluice.contracts.gateway import Limits
from sluice.contracts.routing import CachePolicy, Policy, RoutingSnapshot
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.repeats import LONGEST, Repeats
from sluice_gateway.domain.limits import compiled

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}], "temperature": 0}
RAW = orjson.dumps(BODY)
KEY = b"Bearer sk-test"


def routing(provider: Provider, *names: str) -> RoutingSnapshot:
    place = deployment("d1", provider.base_url)
    kept = Policy(name="kept", cache=CachePolicy())
    return snapshot(*(model(name, place, policy="kept") for name in names), policies=(kept,))


@asynccontextmanager
async def repeating(provider: Provider, client: httpx.AsyncClient, parts: Parts | None = None) -> AsyncIterator[Served]:
    """Serve a gateway that knows the request."""
    parts = parts or Parts(options=Options(trace_ratio_direct=0.0))
    async with serving(parts, routing(provider, "small")) as gateway:
        assert [said(await ask(client, gateway)) for _ in range(2)] == ["miss", "hit"]
        assert len(gateway.plane.repeats.known) == 1
        yield gateway


async def ask(client: httpx.AsyncClient, gateway: Served, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(gateway.url + CHAT, content=RAW, headers=names)


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-sluice-cache"].split(";")[0]


async def test_each_has_its_own_id_row_and_count(provider: Provider, client: httpx.AsyncClient) -> None:
    async with repeating(provider, client) as gateway:
        answers = [await ask(client, gateway) for _ in range(3)]
        named = await ask(client, gateway, x_request_id="the-client-s-own")
        counted = gateway.plane.caching.outcomes()
    assert {said(answer) for answer in answers} == {"hit"}
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert named.headers["x-request-id"] == "the-client-s-own"
    assert len({answer.content for answer in (*answers, named)}) == 1
    assert (counted["l1"], counted["miss"]) == (5, 1)
    first, *rows = gateway.parts.usage.events
    assert first.cost_usd > 0
    assert len({row.event_id for row in rows}) == 5
    alike = {row._replace(event_id="", request_id="", at=0.0, duration_ms=0.0) for row in rows}
    assert len(alike) == 1, "a row of a repeated request says what that of the first one from memory says"
    assert len(provider.seen) == 1


async def test_each_counts_for_its_kind_of_user(provider: Provider, client: httpx.AsyncClient) -> None:
    parts = Parts(options=Options(trace_ratio_direct=0.0, user_types=frozenset({"pro"})))
    async with repeating(provider, client, parts) as gateway:
        assert [said(await ask(client, gateway, x_sluice_user_type="pro")) for _ in range(3)] == ["hit"] * 3
        labels = {"model": "small", "user_type": "pro", "status": "ok"}
        counted = parts.registry.registry.get_sample_value("sluice_gateway_user_type_requests_total", labels)
    assert counted == 3.0


async def test_what_the_head_says_counts_each_time(provider: Provider, client: httpx.AsyncClient) -> None:
    async with repeating(provider, client) as gateway:
        assert said(await ask(client, gateway, x_sluice_cache="bypass")) == "bypass"
        assert said(await ask(client, gateway, cache_control="no-cache")) == "miss"
        assert said(await ask(client, gateway)) == "hit"
        assert (await ask(client, gateway, x_sluice_cache="bypas")).status_code == 400
        assert (await ask(client, gateway, x_sluice_deadline_ms="soon")).status_code == 400
        assert (await ask(client, gateway, x_sluice_user_type="nobody")).status_code == 400
        assert said(await ask(client, gateway, x_sluice_tags="night-run")) == "hit"
        assert said(await ask(client, gateway)) == "hit"
    assert [row.tags for row in gateway.parts.usage.events[-2:]] == [("night-run",), ()]


async def test_a_key_that_changes_or_goes_is_seen_at_once(provider: Provider, client: httpx.AsyncClient) -> None:
    async with repeating(provider, client) as gateway:
        known = gateway.parts.keys.known
        own = known[KEY]
        known[KEY] = replace(own, models=frozenset({"other"}))
        assert (await ask(client, gateway)).status_code == 403
        known[KEY] = replace(own, tenant="tenant-b")
        assert said(await ask(client, gateway)) == "miss", "the same key id of another tenant has nothing of it"
        known.pop(KEY)
        assert (await ask(client, gateway)).status_code == 401


async def test_a_new_table_begins_anew(provider: Provider, client: httpx.AsyncClient) -> None:
    async with repeating(provider, client) as gateway:
        gateway.plane.use(routing(provider, "other"))
        assert len(gateway.plane.repeats.known) == 0
        assert (await ask(client, gateway)).status_code == 404
        gateway.plane.use(routing(provider, "small"))
        assert said(await ask(client, gateway)) == "hit"


async def test_an_answer_that_is_not_kept_any_more_is_asked_for(provider: Provider, client: httpx.AsyncClient) -> None:
    async with repeating(provider, client) as gateway:
        answers = gateway.plane.caching
        gateway.plane._deps.answers.invalidate({"all": 9e12})
        assert said(await ask(client, gateway)) == "miss"
    assert answers.outcomes()["miss"] == 2
    assert len(provider.seen) == 2


async def test_limits_count_it_and_get_back_what_it_did_not_use(provider: Provider, client: httpx.AsyncClient) -> None:
    parts = Parts(options=Options(trace_ratio_direct=0.0, limit_queue_wait_s=0.2))
    limits = compiled("key", "key_1", Limits(requests_per_minute=9, max_concurrent=1, budget_per_day_usd=1000.0))
    assert limits is not None
    parts.keys.known[KEY] = replace(parts.keys.known[KEY], limits=(limits,))
    async with repeating(provider, client, parts) as gateway:
        answers = [await ask(client, gateway) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 7 + [429]
    left = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers[:7]]
    assert left == ["6", "5", "4", "3", "2", "1", "0"]


async def test_one_that_is_traced_leaves_its_span(
    provider: Provider, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    parts = Parts(options=Options(trace_ratio_direct=0.0), trace_dir=str(tmp_path))
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with repeating(provider, client, parts) as gateway:
        assert said(await ask(client, gateway, traceparent=f"00-{trace}-b7ad6b7169203331-01")) == "hit"
        assert said(await ask(client, gateway)) == "hit"
    text = (tmp_path / "gateway.jsonl").read_text()
    spans = [
        span
        for line in text.splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert [span["traceId"] for span in spans if span["name"] == f"POST {CHAT}"] == [trace]
    assert [event.trace_id for event in parts.usage.events[-2:]] == [trace, None]


async def test_what_is_remembered_has_a_bound(provider: Provider, client: httpx.AsyncClient) -> None:
    texts = ["x" * LONGEST, *(f"question {number}" for number in range(5))]
    async with serving(Parts(options=Options(trace_ratio_direct=0.0)), routing(provider, "small")) as gateway:
        known = gateway.plane.repeats = Repeats("life", most=3)
        for text in (*texts, *texts):
            asked = {**BODY, "messages": [{"role": "user", "content": text}]}
            assert (await client.post(gateway.url + CHAT, json=asked)).status_code == 200
    assert [found.ctx.body.fields["messages"][0]["content"] for found in known.known.values()] == texts[-3:]
