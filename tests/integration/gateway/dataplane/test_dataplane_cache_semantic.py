"""Questions in other words, with a real Valkey and the real embedding model in a retrieval process of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from redis.asyncio import Redis

from sluice.auth import ServiceTokens
from sluice.clients.http import AiohttpTransport, ServiceClient
from sluice.clients.retrieval import RetrievalClient
from sluice.clock import SystemClock
from sluice.contracts.embeddings import EmbeddingReply, EmbeddingRequest
from sluice.contracts.routing import SNAPSHOT_KEY, CachePolicy, Policy, SemanticCache, SemanticTuning
from sluice.settings import PlatformSettings
from sluice.telemetry.tracing import Tracing
from sluice.testing import (
    FakeClock,
    ServiceProcess,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    redis_at,
)
from sluice_gateway.adapters.answer_cache import Invalidations, RedisAnswers
from sluice_gateway.adapters.asked_questions import RedisQuestions
from sluice_gateway.adapters.tuning_samples import RedisSamples
from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.cache.similar import Embeddings, SimilarQuestions
from sluice_gateway.cache.tuning import Thresholds
from sluice_gateway.dataplane.deps import DataPlaneDeps, Options
from sluice_gateway.domain.threshold import Sample

CHAT = "/v1/chat/completions"
FIRST = "What is the capital of France?"
OTHER = "What's France's capital?"
POLICIES = (
    Policy(name="kept", cache=CachePolicy(semantic=SemanticCache(threshold=0.9))),
    Policy(name="exact", cache=CachePolicy()),
    Policy(name="asked", cache=CachePolicy(semantic=SemanticCache(use="on_request", threshold=0.9))),
    Policy(name="own", cache=CachePolicy(scope="key", semantic=SemanticCache(threshold=0.9))),
    Policy(
        name="tuned",
        cache=CachePolicy(semantic=SemanticCache(threshold=0.99, tune=SemanticTuning(least=0.85, share=0.5))),
    ),
    Policy(name="strict", cache=CachePolicy(semantic=SemanticCache(threshold=1.0))),
)


@pytest.fixture(scope="module")
def retrieval(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[PlatformSettings]:
    folder = tmp_path_factory.mktemp("embeddings")
    port = free_port()
    platform = platform_settings(folder, redis_url=valkey, retrieval_url=f"http://127.0.0.1:{port}")
    environment = {**environment_of(platform), "SLUICE_RETRIEVAL_PORT": str(port)}
    service = ServiceProcess("sluice_retrieval", ["serve"], environment, folder / "serve.log").start()
    service.wait_ready(f"http://127.0.0.1:{port}/readyz")
    yield platform
    service.stop()


@pytest.fixture
async def redis(flushed_valkey: str) -> AsyncIterator[Redis]:
    client = redis_at(flushed_valkey)
    yield client
    await client.aclose()


@dataclass
class Away:
    """An embedding service that answers late or not at all."""

    delay_s: float = 30.0
    asked: int = 0

    async def embed(self, body: EmbeddingRequest, *, tenant: str, timeout_s: float | None = None) -> EmbeddingReply:
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        raise AssertionError("nobody waits so long")


def embedder(platform: PlatformSettings, transport: AiohttpTransport) -> RetrievalClient:
    tokens = ServiceTokens(platform.service_secret.get_secret_value(), "gateway")
    tracing = Tracing("gateway", platform)
    url = platform.service_url("retrieval")
    return RetrievalClient(ServiceClient("retrieval", url, tokens, transport, tracing, subject="gateway"))


class Comparing(Parts):
    answers: AnswerCache
    similar: SimilarQuestions
    thresholds: Thresholds
    looks: FakeClock
    drawn: float = 1.0  # below the share a question is a sample

    def deps(self) -> DataPlaneDeps:
        return replace(super().deps(), answers=self.answers, similar=self.similar, thresholds=self.thresholds)


@asynccontextmanager
async def gateway(
    provider: Provider, redis: Redis, platform: PlatformSettings, embeddings: Embeddings | None = None
) -> AsyncIterator[Served]:
    transport, clock = AiohttpTransport(), SystemClock()
    parts = Comparing(options=Options(trace_ratio_direct=0.0))
    known = parts.keys.known[b"Bearer sk-test"]
    parts.keys.known[b"Bearer sk-colleague"] = replace(known, key_id="key_2")
    parts.keys.known[b"Bearer sk-stranger"] = replace(known, key_id="key_3", tenant="tenant-b")
    far = RedisAnswers(redis, clock)
    parts.answers = AnswerCache(None, (far,), far)
    parts.similar = SimilarQuestions(
        RedisQuestions(redis), embeddings or embedder(platform, transport), FakeClock() if embeddings else clock, model="minilm", patience_s=20.0 if embeddings is None else 0.1
    )  # fmt: skip
    parts.looks = FakeClock()
    parts.thresholds = Thresholds(RedisSamples(redis), parts.similar, parts.looks, draw=lambda: parts.drawn)
    following = asyncio.create_task(Invalidations(redis, parts.answers, clock).follow())
    place = deployment("d1", provider.base_url)
    routing = snapshot(*(model(policy.name, place, policy=policy.name) for policy in POLICIES), policies=POLICIES)
    async with serving(parts, routing) as served:
        yield served
    await parts.thresholds.close()
    await parts.similar.close()
    await parts.answers.close()
    following.cancel()
    await asyncio.wait([following])
    await transport.close()


async def ask(client: httpx.AsyncClient, served: Served, question: str, model: str = "kept", path: str = CHAT, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:  # fmt: skip
    body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": question}], **changes}
    if path == "/v1/responses":
        body["input"] = body.pop("messages")
    if path == "/v1/messages":
        body["max_tokens"] = 50
    answer = await client.post(served.url + path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    parts = served.parts
    assert isinstance(parts, Comparing)
    await parts.similar.close()
    await parts.answers.close()
    await parts.thresholds.close()
    return answer


def said(answer: httpx.Response) -> str:
    return answer.headers["x-sluice-cache"].split(";")[0]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
async def test_a_question_in_other_words_gets_the_answer_and_is_told_whose(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, retrieval: PlatformSettings, path: str
) -> None:
    async with gateway(provider, redis, retrieval) as one, gateway(provider, redis, retrieval) as other:
        first = await ask(client, one, FIRST, path=path)
        again = await ask(client, other, OTHER, path=path)
        third = await ask(client, other, "What is the capital of Spain?", path=path)
    assert [said(first), said(again), said(third)] == ["miss", "semantic-hit", "miss"]
    assert again.content == first.content
    facts = dict(fact.split("=") for fact in again.headers["x-sluice-cache"].split("; ")[1:])
    assert 0.9 <= float(facts["similarity"]) < 1
    assert (facts["level"], again.headers["x-sluice-cost"]) == ("l2", "0")
    assert float(again.headers["x-sluice-saved-cost"]) > 0
    assert unquote(again.headers["x-sluice-cache-question"]) == FIRST
    assert len(provider.seen) == 2
    assert other.plane.caching.outcomes()["semantic"] == 1
    assert other.parts.usage.events[0].cost_usd == 0.0


async def test_it_is_replayed_as_a_stream_and_as_a_whole(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, retrieval: PlatformSettings
) -> None:
    async with gateway(provider, redis, retrieval) as served:
        await ask(client, served, FIRST)
        streamed = await ask(client, served, OTHER, stream=True)
    assert said(streamed) == "semantic-hit"
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text.endswith("data: [DONE]\n\n")


async def test_everything_else_of_the_request_has_to_be_equal(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, retrieval: PlatformSettings
) -> None:
    system = {"role": "system", "content": "Answer in one word."}
    before = [{"role": "user", "content": "I am in Lyon."}, {"role": "assistant", "content": "Nice."}]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asks = {"role": "user", "content": OTHER}
    provider.default = Behaviour(text='{"capital": "Paris"}')
    async with gateway(provider, redis, retrieval) as served:
        await ask(client, served, FIRST)
        for changes in (
            {"messages": [system, asks]},
            {"messages": [*before, asks]},
            {"tools": [tool]},
            {"response_format": {"type": "json_object"}},
            {"max_tokens": 5},
            {"seed": 4},
            {"model": "strict"},
        ):
            assert said(await ask(client, served, OTHER, **changes)) == "miss", changes
        await ask(client, served, "", messages=[*before, {"role": "user", "content": FIRST}], seed=9)
        earlier = await ask(client, served, "", messages=[*before, asks], seed=9)
    assert said(earlier) == "semantic-hit"


async def test_tenants_never_meet_and_keys_do_by_scope(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, retrieval: PlatformSettings
) -> None:
    async with gateway(provider, redis, retrieval) as served:
        for name, outcome in (("kept", "semantic-hit"), ("own", "miss")):
            await ask(client, served, FIRST, name)
            stranger = await ask(client, served, OTHER, name, headers={"authorization": "Bearer sk-stranger"})
            colleague = await ask(client, served, OTHER, name, headers={"authorization": "Bearer sk-colleague"})
            assert [said(stranger), said(colleague)] == ["miss", outcome]
            assert "x-sluice-cache-question" not in stranger.headers


async def test_route_and_request_decide(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, retrieval: PlatformSettings
) -> None:
    wants, exact = {"x-sluice-cache": "semantic"}, {"x-sluice-cache": "exact"}
    async with gateway(provider, redis, retrieval) as served:
        for name, headers, outcome in (
            ("exact", wants, "miss"),
            ("strict", None, "miss"),
            ("kept", exact, "miss"),
            ("asked", None, "miss"),
        ):
            await ask(client, served, FIRST, name, headers=headers)
            assert said(await ask(client, served, OTHER, name, headers=headers)) == outcome, name
        await ask(client, served, "How do I reset my password?", "asked", headers=wants)
        assert said(await ask(client, served, "How can I reset my password?", "asked", headers=wants)) == "semantic-hit"
        fresh = await ask(client, served, "how to reset my password", "asked", headers={**wants, "cache-control": "max-age=0"})  # fmt: skip
    assert said(fresh) == "miss"


async def test_what_is_forgotten_answers_nothing(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, retrieval: PlatformSettings
) -> None:
    async with gateway(provider, redis, retrieval) as served:
        await ask(client, served, FIRST)
        assert isinstance(served.parts, Comparing)
        await Invalidations(redis, served.parts.answers, SystemClock()).invalidate("tenant:tenant-a")
        assert said(await ask(client, served, OTHER)) == "miss"


async def test_an_embedding_service_that_is_away_costs_a_moment_and_no_answer(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, retrieval: PlatformSettings
) -> None:
    away = Away()
    async with gateway(provider, redis, retrieval, away) as served:
        started = asyncio.get_running_loop().time()
        answers = [await ask(client, served, text) for text in (FIRST, OTHER, "what is the capital of france", FIRST)]
        took = asyncio.get_running_loop().time() - started
        errors = served.parts.registry.render()[0].decode()
    assert [said(answer) for answer in answers] == ["miss", "miss", "miss", "hit"]
    assert away.asked == 1, "it is left alone for a moment"
    assert took < 10, "nobody waited for the thirty seconds that it takes"
    assert 'sluice_gateway_cache_errors_total{level="semantic"} 2.0' in errors


async def _kept(url: str) -> None:
    # What is kept is written beside the request.
    async with redis_at(url) as client, asyncio.timeout(60):
        while not [key async for key in client.scan_iter("sluice:cache:asked:*")]:
            await asyncio.sleep(0.01)


async def test_a_gateway_process_has_all_of_it_wired(
    provider: Provider, retrieval: PlatformSettings, flushed_valkey: str, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    platform = retrieval.model_copy(
        update={"data_dir": tmp_path / "data", "gateway_url": url, "router_url": "http://127.0.0.1:9"}
    )
    environment = {
        **environment_of(platform),
        "SLUICE_GATEWAY_PORT": str(port),
        "SLUICE_GATEWAY_CACHE_SEMANTIC_PATIENCE_S": "10",
    }
    place = deployment("d1", provider.base_url)
    routing = snapshot(model("kept", place, policy="kept"), policies=POLICIES)
    async with redis_at(flushed_valkey) as client:
        await client.set(SNAPSHOT_KEY, routing.model_dump_json())
        policy = SemanticCache(tune=SemanticTuning())
        for similarity, agrees in ((0.97, True), (0.96, False), (0.9, True)):
            await RedisSamples(client).put("org/m", Sample(similarity, agrees), policy)
    process = ServiceProcess("sluice_gateway", ["serve"], environment, tmp_path / "gateway.log").start()
    try:
        await asyncio.to_thread(process.wait_ready, f"{url}/readyz")
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            made = await http.post("/admin/keys", json={"name": "k", "tenant": "acme"}, headers=admin_headers())
            key = {"authorization": f"Bearer {made.json()['key']}"}
            outcomes = []
            for question in (FIRST, OTHER, "What is the capital of Spain?"):
                body = {"model": "kept", "temperature": 0, "messages": [{"role": "user", "content": question}]}
                answer = await http.post(CHAT, json=body, headers=key)
                outcomes.append(said(answer))
                await _kept(flushed_valkey)
            shown = (await http.get("/admin/cache", headers=admin_headers())).json()
            (tuned,) = (await http.get("/admin/cache/thresholds", headers=admin_headers())).json()["data"]
            path = "/admin/cache/thresholds/org%2Fm"
            gone = [(await http.delete(path, headers=admin_headers())).status_code for _ in range(2)]
            await http.post("/admin/cache/invalidations", json={"tenant": "acme"}, headers=admin_headers())
            body["messages"] = [{"role": "user", "content": "What's the capital of France, please?"}]
            outcomes.append(said(await http.post(CHAT, json=body, headers=key)))
            metrics = (await http.get("/metrics", headers=admin_headers())).text
    finally:
        process.stop()
    assert outcomes == ["miss", "semantic-hit", "miss", "miss"]
    assert (shown["requests"]["semantic"], shown["hit_rate"]) == (1, pytest.approx(1 / 3))
    assert shown["saved_usd"] > 0
    assert (tuned["name"], tuned["threshold"], tuned["samples"], tuned["agreed"]) == ("org/m", 0.95, 3, 2)
    assert (tuned["reaching"], tuned["wrong"], gone) == (2, 1, [204, 404])
    assert 'sluice_gateway_cache_requests_total{outcome="semantic"} 1.0' in metrics
    assert 'sluice_gateway_cache_semantic_seconds_count{outcome="hit"} 1.0' in metrics


@pytest.mark.parametrize("stream", [False, True])
async def test_a_threshold_follows_what_the_answers_to_samples_say(
    redis: Redis, retrieval: PlatformSettings, client: httpx.AsyncClient, stream: bool
) -> None:
    async with Provider() as provider, gateway(provider, redis, retrieval) as served:
        parts, samples = served.parts, RedisSamples(redis)
        assert isinstance(parts, Comparing)
        await ask(client, served, FIRST, "tuned", stream=stream)
        parts.drawn = 0.0
        other = await ask(client, served, OTHER, "tuned", stream=stream)
        assert other.headers["x-sluice-cache"] == "miss", (
            "the model answers a sample too, and who asked gets its answer"
        )
        assert len(provider.seen) == 2
        provider.default = Behaviour(text="Nobody has ever known that.")
        await ask(client, served, "Could you tell me what the capital of France is?", "tuned", stream=stream)
        found = await samples.get("tuned")
        assert [one.agrees for one in found] == [False, True], "an answer that says something else does not agree"
        assert all(0.85 <= one.similarity <= 1 for one in found)
        policy = (await samples.policies())["tuned"]
        for _ in range(90):
            await samples.put("tuned", Sample(0.86, agrees=True), policy)
        parts.looks.advance(11)
        parts.drawn = 1.0
        await ask(client, served, "What is the capital of Spain?", "tuned", stream=stream)
        again = await ask(client, served, "what is France's capital, please?", "tuned", stream=stream)
        assert again.headers["x-sluice-cache"].startswith("semantic-hit"), "nearer than 0.85 is enough now"
        assert await samples.forget("tuned")
        assert (await samples.get("tuned"), await samples.policies()) == ([], {})
