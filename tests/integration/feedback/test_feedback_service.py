"""The feedback service on a real Valkey, with SQLite and with PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from tests.integration.databases import set_up_schema

from sluice import queues
from sluice.contracts.feedback import FeedbackRecorded
from sluice.contracts.usage import UsageRecorded
from sluice.settings import PlatformSettings
from sluice.testing import asgi_client, redis_at, service_headers
from sluice_feedback.app import create_app
from sluice_feedback.settings import Settings
from sluice_feedback.wiring import MIGRATIONS, open_deps

pytestmark = pytest.mark.integration
ACME = service_headers("feedback", "acme")


@pytest.fixture
async def http(platform: PlatformSettings) -> AsyncIterator[httpx.AsyncClient]:
    await set_up_schema(platform, "feedback", MIGRATIONS)
    async with asgi_client(create_app(lambda: open_deps(platform, Settings()))) as client:
        yield client


@pytest.fixture
async def store(platform: PlatformSettings) -> AsyncIterator[Redis]:
    client = redis_at(platform.redis_url)
    yield client
    await client.aclose()


async def give(http: httpx.AsyncClient, headers: dict[str, str] = ACME, **body: Any) -> dict[str, Any]:
    answer = await http.post("/v1/feedback", json={"interaction_id": "req_one", **body}, headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(60):
        while not (found := await look()):
            await asyncio.sleep(0.05)
    return found


def usage(request_id: str, tenant: str = "acme", model: str = "smollm2", **fields: Any) -> UsageRecorded:
    return UsageRecorded(
        event_id=f"use_{request_id}",
        request_id=request_id,
        at=fields.pop("at", 4e9),
        **fields,
        tenant=tenant,
        key_id="key_1",
        endpoint="chat",
        model=model,
        status="ok",
        http_status=200,
    )


async def test_all_kinds_are_stored_processed_read_back_and_counted(http: httpx.AsyncClient) -> None:
    up = await give(http, feedback_type="thumbs", thumbs="up")
    down = await give(http, feedback_type="thumbs", thumbs="down", metadata={"screen": "chat"})
    low = await give(http, feedback_type="rating", rating=2)
    high = await give(http, feedback_type="rating", rating=5)
    text = await give(http, feedback_type="text", text="Très bien ☕")
    correction = await give(http, feedback_type="correction", correction="It is 42.")
    other = await give(http, interaction_id="req_two", feedback_type="rating", rating=1)

    assert down["raw_feedback"] == "down"
    assert down["metadata"] == {"screen": "chat"}
    assert down["processed_feedback"] == {"score": 0.0, "negative": True, "interaction_known": False}
    assert low["processed_feedback"] == {"score": 0.25, "negative": True, "escalate": True, "interaction_known": False}
    assert text["processed_feedback"] == {"characters": 11, "words": 2, "lines": 1, "interaction_known": False}

    one = (await http.get(f"/v1/feedback/{correction['id']}", headers=ACME)).json()
    assert one == correction

    async def ids(**query: Any) -> list[str]:
        listed = (await http.get("/v1/feedback", params=query, headers=ACME)).json()
        return [entry["id"] for entry in listed["data"]]

    in_order = [up["id"], down["id"], low["id"], high["id"], text["id"], correction["id"]]
    assert sorted(await ids(interaction_id="req_one")) == sorted(in_order)
    assert sorted(await ids(type="rating")) == sorted([low["id"], high["id"], other["id"]])
    assert await ids(**{"from": other["timestamp"]}) == [other["id"]]
    assert other["id"] not in await ids(to=other["timestamp"])

    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await http.get("/v1/feedback", params={"limit": 3, "order": "asc", **after}, headers=ACME)).json()
        seen += [entry["id"] for entry in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert seen == sorted([*in_order, other["id"]])

    summary = (await http.get("/v1/feedback/summary", params={"interaction_id": "req_one"}, headers=ACME)).json()
    assert summary["count"] == 6
    assert summary["thumbs"] == {"up": 1, "down": 1}
    assert summary["rating"] == {"count": 2, "mean": 3.5, "lowest": 2, "highest": 5, "escalate": 1}
    assert (summary["texts"], summary["corrections"], summary["interaction_known"]) == (1, 1, False)
    empty = (await http.get("/v1/feedback/summary", params={"interaction_id": "req_none"}, headers=ACME)).json()
    assert (empty["count"], empty["thumbs"], empty["last_at"]) == (0, {"up": 0, "down": 0}, None)


async def test_a_tenant_sees_and_deletes_only_its_own(http: httpx.AsyncClient) -> None:
    mine = await give(http, feedback_type="thumbs", thumbs="up")
    stranger = service_headers("feedback", "globex")
    assert (await http.get("/v1/feedback", headers=stranger)).json()["data"] == []
    assert (await http.get(f"/v1/feedback/{mine['id']}", headers=stranger)).status_code == 404
    assert (await http.delete(f"/v1/feedback/{mine['id']}", headers=stranger)).status_code == 404
    counted = await http.get("/v1/feedback/summary", params={"interaction_id": "req_one"}, headers=stranger)
    assert counted.json()["count"] == 0

    gone = await http.delete(f"/v1/feedback/{mine['id']}", headers=ACME)
    assert gone.json() == {"id": mine["id"], "object": "feedback.deleted", "deleted": True}
    assert (await http.get(f"/v1/feedback/{mine['id']}", headers=ACME)).status_code == 404
    assert (await http.delete(f"/v1/feedback/{mine['id']}", headers=ACME)).status_code == 404


async def test_the_same_key_stores_once_even_when_sent_at_the_same_time(http: httpx.AsyncClient, store: Redis) -> None:
    body = {"interaction_id": "req_one", "feedback_type": "rating", "rating": 4}
    headers = {**ACME, "idempotency-key": "click-1"}
    answers = await asyncio.gather(*(http.post("/v1/feedback", json=body, headers=headers) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1

    reused = await http.post("/v1/feedback", json={**body, "rating": 1}, headers=headers)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = {**service_headers("feedback", "globex"), "idempotency-key": "click-1"}
    assert (await http.post("/v1/feedback", json=body, headers=elsewhere)).status_code == 201

    await eventually(lambda: store.xlen(queues.FEEDBACK.name))
    await asyncio.sleep(0.3)
    assert await store.xlen(queues.FEEDBACK.name) == 2


async def test_each_entry_becomes_an_event(http: httpx.AsyncClient, store: Redis) -> None:
    entry = await give(http, feedback_type="text", text="the words stay here")
    [(_, values)] = await eventually(lambda: store.xrange(queues.FEEDBACK.name))
    event = FeedbackRecorded.model_validate_json(values[b"d"])
    assert (event.feedback_id, event.interaction_id, event.tenant) == (entry["id"], "req_one", "acme")
    assert (event.feedback_type, event.at) == ("text", entry["timestamp"])
    assert b"the words" not in values[b"d"]


async def test_usage_tells_which_interactions_are_known(http: httpx.AsyncClient, store: Redis) -> None:
    entry = await give(http, feedback_type="thumbs", thumbs="up")
    strange = await give(http, service_headers("feedback", "globex"), feedback_type="thumbs", thumbs="up")
    events = [usage("req_one"), usage("req_one"), usage("req_bad", model="a\x00b" * 200)]
    await queues.append(store, queues.USAGE, events)

    async def known() -> Any:
        found = (await http.get(f"/v1/feedback/{entry['id']}", headers=ACME)).json()["processed_feedback"]
        return found if found["interaction_known"] else None

    assert (await eventually(known))["model"] == "smollm2"
    other = await http.get(f"/v1/feedback/{strange['id']}", headers=service_headers("feedback", "globex"))
    assert other.json()["processed_feedback"]["interaction_known"] is False
    later = await give(http, feedback_type="text", text="late")
    assert later["processed_feedback"]["interaction_known"] is True
    counted = await http.get("/v1/feedback/summary", params={"interaction_id": "req_one"}, headers=ACME)
    assert (counted.json()["interaction_known"], counted.json()["model"]) == (True, "smollm2")
    assert "sluice_feedback_interactions_total 2.0" in (await http.get("/metrics")).text


async def test_feedback_is_counted_by_the_version_of_the_prompt_that_was_asked_with(
    http: httpx.AsyncClient, store: Redis
) -> None:
    begun = float(int(time.time()))  # interactions of long ago are forgotten
    asked = [("req_a", 1, begun), ("req_b", 1, begun + 1), ("req_c", 2, begun + 2), ("req_d", 2, begun + 89)]
    events = [usage(name, prompt="greet", prompt_version=version, at=at) for name, version, at in asked]
    await queues.append(store, queues.USAGE, [*events, usage("req_e"), usage("req_a", tenant="globex")])
    await give(http, interaction_id="req_a", feedback_type="thumbs", thumbs="up")
    await give(http, interaction_id="req_a", feedback_type="thumbs", thumbs="down")
    await give(http, interaction_id="req_b", feedback_type="rating", rating=5)
    await give(http, interaction_id="req_c", feedback_type="rating", rating=2)
    await give(http, interaction_id="req_c", feedback_type="text", text="well")
    await give(http, interaction_id="req_d", feedback_type="thumbs", thumbs="up")
    await give(http, interaction_id="req_e", feedback_type="thumbs", thumbs="up")

    async def counted() -> Any:
        query = {"prompt": "greet", "from": begun, "to": begun + 89}
        found = (await http.get("/v1/feedback/prompts", params=query, headers=ACME)).json()["data"]
        return found if len(found) == 2 else None

    assert await eventually(counted) == [
        {"version": 2, "answers": 1, "score": 0.25, "thumbs": {"up": 0, "down": 0}, "ratings": 1, "rating": 2.0},
        {"version": 1, "answers": 2, "score": 0.75, "thumbs": {"up": 1, "down": 1}, "ratings": 1, "rating": 5.0},
    ]
    other = service_headers("feedback", "globex")
    assert (await http.get("/v1/feedback/prompts", params={"prompt": "greet"}, headers=other)).json()["data"] == []
    assert (await http.get("/v1/feedback/prompts", headers=ACME)).status_code == 422


async def test_bad_feedback_opens_one_review_that_a_person_closes_once(http: httpx.AsyncClient, store: Redis) -> None:
    down = await give(http, feedback_type="thumbs", thumbs="down")
    await give(http, feedback_type="rating", rating=3)
    low = await give(http, feedback_type="rating", rating=2)

    async def opened() -> Any:
        listed = (await http.get("/v1/feedback/reviews", params={"status": "open"}, headers=ACME)).json()["data"]
        return listed if len(listed) == 2 else None

    reviews = {review["feedback_id"]: review for review in await eventually(opened)}
    assert reviews[down["id"]]["reason"] == "negative_thumbs"
    assert reviews[low["id"]]["reason"] == "low_rating"

    # The stream delivers at least once: the same event again opens nothing.
    again = [
        FeedbackRecorded.model_validate_json(values[b"d"]) for _, values in await store.xrange("sluice.feedback.v1")
    ]
    await queues.append(store, queues.FEEDBACK, again)
    await asyncio.sleep(0.5)
    assert await opened()

    path = f"/v1/feedback/reviews/{reviews[low['id']]['id']}/close"
    assert (await http.post(path, json={}, headers=service_headers("feedback", "globex"))).status_code == 404
    closed = (await http.post(path, json={"note": "The source was old."}, headers=ACME)).json()
    assert (closed["status"], closed["note"], closed["reviewer"]) == ("done", "The source was old.", "test")
    assert (await http.post(path, json={}, headers=ACME)).status_code == 409

    await http.delete(f"/v1/feedback/{down['id']}", headers=ACME)
    left = (await http.get("/v1/feedback/reviews", headers=ACME)).json()["data"]
    assert [review["feedback_id"] for review in left] == [low["id"]]


async def test_a_critical_answer_opens_one_review_that_a_person_decides(http: httpx.AsyncClient, store: Redis) -> None:
    critical = usage("req_critical").model_copy(update={"guard_issues": ("potential_hallucination", "review_required")})
    events = [critical, usage("req_plain"), critical, usage("req_other", tenant="else")]
    await queues.append(store, queues.USAGE, events)

    async def opened() -> Any:
        return (await http.get("/v1/feedback/reviews", params={"reason": "critical_answer"}, headers=ACME)).json()[
            "data"
        ]

    (review,) = await eventually(opened)
    assert review["interaction_id"] == "req_critical"
    assert review["feedback_id"] is None
    assert review["issues"] == ["potential_hallucination"]
    path = f"/v1/feedback/reviews/{review['id']}/close"
    other = await http.post(path, json={"decision": "approved"}, headers=service_headers("feedback", "else"))
    assert other.status_code == 404
    said = {"decision": "rejected", "cause": "training_bias", "note": "invented"}
    closed = (await http.post(path, json=said, headers=ACME)).json()
    assert {name: closed[name] for name in said} == said
    assert (await http.get("/v1/feedback/reviews", params={"status": "open"}, headers=ACME)).json()["data"] == []
    assert (await http.post(path, json=said, headers=ACME)).status_code == 409
