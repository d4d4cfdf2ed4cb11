"""The real client against the real feedback application, and what a stranger sends."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sluice.clients.feedback import FeedbackClient
from sluice.contracts.feedback import CloseReview, FeedbackCreate, FeedbackQuery, PromptFeedbackQuery, ReviewQuery
from sluice.errors import NotFound
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, asgi_client, platform_settings, service_client, service_headers
from sluice_feedback.app import create_app
from sluice_feedback.settings import Settings
from sluice_feedback.wiring import MIGRATIONS, open_deps


@pytest.fixture
async def platform(tmp_path: Path) -> PlatformSettings:
    # Nothing listens on this Redis: feedback is taken all the same.
    made = platform_settings(tmp_path, redis_url="redis://127.0.0.1:9/0")
    await upgrade(made, "feedback", MIGRATIONS)
    return made


@pytest.fixture
async def http(platform: PlatformSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with asgi_client(create_app(lambda: open_deps(platform, Settings()))) as client:
        yield client


async def test_the_shared_client_stores_reads_counts_and_deletes(platform: PlatformSettings) -> None:
    app = create_app(lambda: open_deps(platform, Settings()))
    async with asgi_client(app), service_client("feedback", app, platform) as called:
        client = FeedbackClient(called)
        given = FeedbackCreate(interaction_id="req a&b", feedback_type="rating", rating=2, metadata={"a": "b"})
        entry = await client.create(given, tenant="acme")
        assert await client.get(entry.id, tenant="acme") == entry
        query = FeedbackQuery.model_validate({"interaction_id": "req a&b", "type": "rating", "from": 1})
        assert (await client.list(query, tenant="acme")).data == (entry,)
        assert (await client.list(FeedbackQuery(), tenant="globex")).data == ()
        assert (await client.summary("req a&b", tenant="acme")).rating.mean == 2
        of_prompt = PromptFeedbackQuery.model_validate({"prompt": "greet", "from": 1, "to": 2})
        assert (await client.of_prompt(of_prompt, tenant="acme")).data == ()
        assert (await client.reviews(ReviewQuery(), tenant="acme")).data == ()
        with pytest.raises(NotFound, match="no review"):
            await client.close_review(f"review_{'0' * 24}", CloseReview(), tenant="acme")
        assert (await client.delete(entry.id, tenant="acme")).deleted
        with pytest.raises(NotFound, match="no feedback with the id"):
            await client.get(entry.id, tenant="acme")


async def test_nobody_comes_in_without_a_credential(http: httpx.AsyncClient) -> None:
    paths = (
        "/v1/feedback",
        "/v1/feedback/summary?interaction_id=x",
        "/v1/feedback/reviews",
        "/v1/feedback/prompts?prompt=x",
        f"/v1/feedback/feedback_{'0' * 24}",
    )
    for path in paths:
        assert (await http.get(path)).status_code == 401, path
    assert (await http.post("/v1/feedback", json={})).status_code == 401
    foreign = service_headers("router", "acme")
    assert (await http.get("/v1/feedback", headers=foreign)).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "The body is not valid JSON"),
        (b'{"interaction_id":"r","feedback_type":"thumbs"}', 422, "needs the field 'thumbs'"),
        (b'{"interaction_id":"r","feedback_type":"rating","rating":9}', 422, "`rating` must be 5 or less."),
        (b'{"interaction_id":"r","feedback_type":"text","text":"\\u0000"}', 422, "`text`"),
        (b'{"interaction_id":"r","feedback_type":"text","text":"\\ud800"}', 422, "`text`"),
    ],
)
async def test_what_cannot_be_stored_is_refused_with_a_sentence(
    http: httpx.AsyncClient, body: bytes, status: int, sentence: str
) -> None:
    headers = {**admin_headers(), "content-type": "application/json"}
    answer = await http.post("/v1/feedback", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert sentence in answer.json()["detail"]
    assert (await http.get("/v1/feedback", headers=admin_headers())).json()["data"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "from=nan", "type=applause", "order=up", "typo=1"])
async def test_a_wrong_query_is_refused(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(f"/v1/feedback?{query}", headers=admin_headers())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_postgresql_that_refuses_connections_is_unavailable_and_no_500(tmp_path: Path) -> None:
    away = platform_settings(
        tmp_path, redis_url="redis://127.0.0.1:9/0", database_url="postgresql://nobody:x@127.0.0.1:9/none"
    )
    body = {"interaction_id": "req_1", "feedback_type": "thumbs", "thumbs": "up"}
    async with asgi_client(create_app(lambda: open_deps(away, Settings()))) as client:
        answer = await client.post("/v1/feedback", json=body, headers=admin_headers())
        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        assert (await client.get("/readyz")).status_code == 503
