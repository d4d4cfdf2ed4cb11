"""Answers in the database: they outlive Redis and every process, and what is forgotten stays forgotten."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Provider
from redis.asyncio import Redis

from sluice.clock import SystemClock
from sluice.contracts.routing import CachePolicy, Policy
from sluice.db import Database, open_database
from sluice.migrations import upgrade
from sluice.testing import platform_settings, redis_at
from sluice_gateway.adapters.answer_cache import Invalidations, RedisAnswers
from sluice_gateway.answer_store import AnswerStore
from sluice_gateway.cache.lasting import LastingAnswers
from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.dataplane.deps import DataPlaneDeps, Options
from sluice_gateway.domain.cached import Entry, packed
from sluice_gateway.wiring import MIGRATIONS

NOW = 1_800_000_000.0
CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}], "temperature": 0}


class Sharing(Parts):
    """A gateway's parts with a cache that has far levels."""

    answers: AnswerCache

    def deps(self) -> DataPlaneDeps:
        return replace(super().deps(), answers=self.answers)


async def said(client: httpx.AsyncClient, served: Served) -> str:
    answer = await client.post(served.url + CHAT, json=BODY)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-sluice-cache"].rsplit("; age", 1)[0]


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncIterator[Database]:
    platform = platform_settings(tmp_path, database_url=database_url)
    await upgrade(platform, "gateway", MIGRATIONS)
    found = open_database(platform, "gateway")
    yield found
    await found.close()


@pytest.fixture
async def redis(flushed_valkey: str) -> AsyncIterator[Redis]:
    client = redis_at(flushed_valkey)
    yield client
    await client.aclose()


@asynccontextmanager
async def gateway(provider: Provider, redis: Redis, database: Database) -> AsyncIterator[Served]:
    """One life of a gateway process."""
    parts, clock, store = Sharing(options=Options(trace_ratio_direct=0.0)), SystemClock(), AnswerStore(database)
    far, lasting = RedisAnswers(redis, clock), LastingAnswers(store, clock, most_bytes=2**20, patience_s=30)
    parts.answers = AnswerCache(None, (far, lasting), far)
    invalidations = Invalidations(redis, parts.answers, clock, store)
    following = asyncio.create_task(invalidations.follow())
    routing = snapshot(
        model("small", deployment("d1", provider.base_url), policy="kept"),
        policies=(Policy(name="kept", cache=CachePolicy()),),
    )
    async with serving(parts, routing) as served:
        yield served
    following.cancel()
    await asyncio.wait([following])
    await parts.answers.close()
    await lasting.close()


async def test_an_answer_outlives_redis_and_the_process_until_it_is_forgotten(
    provider: Provider, client: httpx.AsyncClient, redis: Redis, database: Database
) -> None:
    async with gateway(provider, redis, database) as first:
        asked = await client.post(first.url + CHAT, json=BODY)
    await redis.flushall()
    async with gateway(provider, redis, database) as second:
        kept = await client.post(second.url + CHAT, json=BODY)
        assert kept.headers["x-sluice-cache"].startswith("hit; level=l3")
        assert kept.content == asked.content
        assert await said(client, second) == "hit; level=l1"
    async with gateway(provider, redis, database) as third:
        assert await said(client, third) == "hit; level=l2"
        await Invalidations(redis, third.parts.answers, SystemClock(), AnswerStore(database)).invalidate("model:small")
    await redis.flushall()
    async with gateway(provider, redis, database) as fourth:
        assert await said(client, fourth) == "miss"
    assert len(provider.seen) == 2


def entry(size: int = 100, *, tenant: str = "acme", at: float = NOW, ttl_s: int = 60) -> Entry:
    return Entry(tenant, "small", "key_1", (b"x" * size,), stored_at=at, ttl_s=ttl_s)


async def test_the_younger_answer_counts_and_tenants_are_forgotten_one_by_one(database: Database) -> None:
    store = AnswerStore(database)
    await store.put([(b"a", entry(1)), (b"b", entry(2, tenant="other")), (b"c", entry(3, at=NOW + 5))])
    await store.put([(b"a", entry(4, at=NOW - 1)), (b"c", entry(5, at=NOW + 6))])
    assert await store.get([b"a"]) == {b"a": entry(1)}
    assert await store.get([b"c"]) == {b"c": entry(5, at=NOW + 6)}
    await store.forget("tenant:acme", NOW + 1)
    assert await store.get([b"a"]) == {}
    assert await store.get([b"b"]) == {b"b": entry(2, tenant="other")}
    assert await store.get([b"c"]) != {}
    await store.forget("tenant:acme", NOW)  # an earlier one, told of late
    assert await store.forgotten() == {"tenant:acme": NOW + 1}
    await store.forget("all", NOW + 9)
    assert await store.get([b"b"]) == {}


async def test_cleaning_takes_what_is_of_no_use_and_then_the_oldest(database: Database) -> None:
    store = AnswerStore(database)
    one = len(packed(entry()))
    await store.put([(b"k%d" % number, entry(at=NOW + number)) for number in range(1200)])
    await store.put([(b"old", entry(at=NOW, ttl_s=1)), (b"late", entry(tenant="gone"))])
    await store.forget("tenant:gone", NOW - 1)
    assert await store.clean(NOW + 2, most_bytes=10**9) == await store.clean(NOW + 2, most_bytes=10**9)
    assert await store.get([b"old"]) == {}
    assert await store.get([b"late"]) != {}
    await store.forget("tenant:gone", NOW)
    await store.put([(b"late", entry(tenant="gone"))])  # written by a process that had not heard of it yet
    await store.clean(NOW + 2, most_bytes=10**9)
    assert await store.get([b"late"]) == {}
    left = await store.clean(NOW + 2, most_bytes=20 * one)
    assert 18 * one < left <= 20 * one
    assert await store.get([b"k1199"]) != {}
    assert await store.get([b"k1000"]) == {}
