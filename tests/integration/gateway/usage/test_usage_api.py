import asyncio
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.gateway import CreatedApiKey, OwnApiKey
from sluice.contracts.paging import Page
from sluice.contracts.usage import UsageRecord, UsageRecorded, UsageSummary, UsageTrend
from sluice.testing import admin_headers, service_headers
from sluice_gateway.domain.usage_rows import UsageRows

pytestmark = pytest.mark.integration

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC
DAY = 86_400


def event(number: int, **fields: Any) -> UsageRecorded:
    values = {
        "event_id": f"evt_{number:03d}",
        "request_id": f"req_{number:03d}",
        "at": NOON + number,
        "tenant": "acme",
        "key_id": "key_1",
        "endpoint": "/v1/chat/completions",
        "model": "mock",
        "status": "ok",
        "http_status": 200,
        "prompt_tokens": 10,
        "completion_tokens": number,
        "cost_usd": 0.001 * number,
        **fields,
    }
    return UsageRecorded.model_validate(values)


async def listed(
    gateway: Gateway, path: str = "/admin/usage", headers: dict[str, str] | None = None, **params: Any
) -> Page[UsageRecord]:
    answer = await gateway.client.get(path, params=params, headers=headers or admin_headers())
    assert answer.status_code == 200, answer.text
    return TypeAdapter(Page[UsageRecord]).validate_json(answer.content)


def numbers(page: Page[UsageRecord]) -> list[int]:
    return [int(row.id.removeprefix("evt_")) for row in page.data]


async def test_rows_come_newest_first_page_by_page_also_when_times_are_equal(gateway: Gateway) -> None:
    await gateway.deps.usage.insert(UsageRows.of([event(number, at=NOON + number // 3) for number in range(10)]))
    seen: list[int] = []
    after: dict[str, str] = {}
    while True:
        page = await listed(gateway, limit=4, **after)
        seen += numbers(page)
        if not page.has_more:
            break
        assert page.last_id is not None
        after = {"after": page.last_id}
    assert seen == list(range(9, -1, -1))
    assert numbers(await listed(gateway, limit=3, order="asc", after="evt_004")) == [5, 6, 7]


async def test_every_field_comes_back_and_tokens_are_exact(gateway: Gateway) -> None:
    written = event(
        7,
        route="auto",
        deployment="mock-1",
        stream=True,
        prompt_tokens=2**40,
        completion_tokens=3,
        tokens_exact=False,
        ttft_ms=1.5,
        duration_ms=20.25,
        guard_issues=("pii:email",),
        citations=2,
        trace_id="a" * 32,
        organization_id="org_1",
        team_id="team_1",
        end_user="user-7",
        user_type="pro",
        tags=("job:7", "größe"),
        prompt="greet",
        prompt_version=3,
        cached_tokens=2**33,
        cache_write_tokens=2,
        audio_input_tokens=3,
        image_input_tokens=4,
        reasoning_tokens=1,
        audio_output_tokens=1,
        status="error",
        http_status=502,
        error_code="upstream_failed",
    )
    assert await gateway.deps.usage.insert(UsageRows.of([written])) == 1
    answer = await gateway.client.get("/admin/usage/req_007", headers=admin_headers())
    record = UsageRecord.model_validate_json(answer.content)
    assert record == UsageRecord(**written.model_dump(), id="evt_007", total_tokens=2**40 + 3)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"tenant": "acme"}, [4, 3, 0]),
        ({"tenant": "other"}, [2, 1]),
        ({"key_id": "key_2"}, [2]),
        ({"model": "big"}, [3]),
        ({"status": "error"}, [4]),
        ({"from": NOON + 1, "to": NOON + 3}, [2, 1]),
        ({"tenant": "acme", "status": "ok", "to": NOON + 1}, [0]),
        ({"tenant": "nobody"}, []),
        ({"team_id": "team_2"}, [1]),
        ({"organization_id": "org_2"}, [2]),
        ({"end_user": "ann"}, [3]),
        ({"user_type": "pro"}, [4]),
        ({"tag": "job"}, [4, 2]),
        ({"tag": "job", "tenant": "acme"}, [4]),
        ({"tag": "job", "from": NOON + 1, "to": NOON + 3, "order": "asc"}, [2]),
        ({"tag": "other"}, [2]),
        ({"tag": "none of these"}, []),
    ],
)
async def test_filters(gateway: Gateway, params: dict[str, Any], expected: list[int]) -> None:
    await gateway.deps.usage.insert(
        UsageRows.of(
            [
                event(0),
                event(1, tenant="other", team_id="team_2"),
                event(2, tenant="other", key_id="key_2", organization_id="org_2", tags=("job", "other")),
                event(3, model="big", end_user="ann"),
                event(4, status="error", http_status=500, user_type="pro", tags=("job",)),
            ]
        )
    )
    assert numbers(await listed(gateway, **params)) == expected


async def test_an_event_is_stored_once_however_often_it_comes(gateway: Gateway) -> None:
    assert await gateway.deps.usage.insert(UsageRows.of([event(1), event(2), event(1)])) == 2
    assert await gateway.deps.usage.insert(UsageRows.of([event(2), event(3)])) == 1
    added = await asyncio.gather(
        *(gateway.deps.usage.insert(UsageRows.of([event(number) for number in range(50)])) for _ in range(4))
    )
    assert sum(added) == 47
    assert len((await listed(gateway, limit=100)).data) == 50


async def test_text_that_a_caller_chose_cannot_keep_a_batch_from_being_stored(gateway: Gateway) -> None:
    assert await gateway.deps.usage.insert(UsageRows.of([event(1, model="m\x00" + "é" * 300), event(2)])) == 2
    assert (await listed(gateway)).data[1].model == "m" + "é" * 199


async def test_summaries_by_model_key_tenant_and_day(gateway: Gateway) -> None:
    await gateway.deps.usage.insert(
        UsageRows.of(
            [
                event(1, completion_tokens=5, cost_usd=1.5, team_id="team_1", end_user="ann"),
                event(
                    2,
                    completion_tokens=7,
                    cost_usd=0.25,
                    at=NOON + DAY,
                    status="error",
                    http_status=502,
                    cached_tokens=4,
                ),
                event(3, completion_tokens=1, cost_usd=4.0, model="big", key_id="key_2", tenant="other", at=NOON + DAY),
            ]
        )
    )

    async def summary(**params: Any) -> UsageSummary:
        answer = await gateway.client.get("/admin/usage/summary", params=params, headers=admin_headers())
        assert answer.status_code == 200, answer.text
        return UsageSummary.model_validate_json(answer.content)

    by_model = await summary()
    assert (by_model.totals.requests, by_model.totals.errors, by_model.totals.prompt_tokens) == (3, 1, 30)
    assert (by_model.totals.completion_tokens, by_model.totals.total_tokens) == (13, 43)
    assert by_model.totals.cost_usd == pytest.approx(5.75)
    assert [(row.group, row.requests, row.total_tokens) for row in by_model.data] == [("big", 1, 11), ("mock", 2, 32)]
    assert [(row.group, row.cost_usd) for row in (await summary(group_by="key")).data] == [
        ("key_2", 4.0),
        ("key_1", 1.75),
    ]
    assert [row.group for row in (await summary(group_by="tenant")).data] == ["other", "acme"]
    assert [(row.group, row.requests) for row in (await summary(group_by="team")).data] == [("", 2), ("team_1", 1)]
    assert [row.group for row in (await summary(group_by="status")).data] == ["ok", "error"]
    by_user = await summary(group_by="end_user")
    assert [(row.group, row.cached_tokens) for row in by_user.data] == [("", 4), ("ann", 0)]
    days = await summary(group_by="day", tenant="acme")
    assert [(row.group, row.completion_tokens, row.errors) for row in days.data] == [
        ("2026-01-01", 5, 0),
        ("2026-01-02", 7, 1),
    ]
    empty = await summary(**{"from": NOON + 10 * DAY})
    assert (empty.totals.requests, empty.totals.cost_usd, empty.data) == (0, 0.0, ())


async def test_the_trend_of_cost_by_model_and_kind_of_user(gateway: Gateway) -> None:
    await gateway.deps.usage.insert(
        UsageRows.of(
            [
                event(1, prompt_tokens=600, completion_tokens=400, cost_usd=0.5, user_type="pro"),
                event(2, prompt_tokens=500, completion_tokens=500, cost_usd=1.5, at=NOON + DAY),
                event(3, prompt_tokens=800, completion_tokens=200, cost_usd=0.1, at=NOON + 31 * DAY, cached_tokens=200),
                event(4, prompt_tokens=0, completion_tokens=0, cost_usd=None, model="free", at=NOON + 31 * DAY),
                event(5, model="big", cost_usd=9.0, tenant="other", user_type="free", at=NOON + 40 * DAY),
            ]
        )
    )

    async def points(**params: Any) -> list[tuple[str, str | None, float, float | None]]:
        answer = await gateway.client.get("/admin/usage/trend", params=params, headers=admin_headers())
        assert answer.status_code == 200, answer.text
        found = UsageTrend.model_validate_json(answer.content)
        return [(one.starts, one.group, one.cost_usd, one.cost_per_million_tokens_usd) for one in found.data]

    period = {"from": NOON - DAY, "to": NOON + 100 * DAY}
    assert await points(**period, tenant="acme", interval="month") == [
        ("2026-01-01", None, 2.0, 1000.0),
        ("2026-02-01", None, pytest.approx(0.1), pytest.approx(100.0)),
    ]
    assert [point[:3] for point in await points(**period, group_by="user_type", interval="week")] == [
        ("2025-12-29", "", 1.5),
        ("2025-12-29", "pro", 0.5),
        ("2026-01-26", "", pytest.approx(0.1)),
        ("2026-02-09", "free", 9.0),
    ]
    assert [point[:2] for point in await points(**period, group_by="model", groups=2, interval="month")] == [
        ("2026-01-01", "mock"),
        ("2026-02-01", "big"),
        ("2026-02-01", "mock"),
    ]
    assert await points(to=NOON + 125 * DAY) == [("2026-02-10", None, 9.0, pytest.approx(600_000.0))], (
        "without a beginning, 90 days"
    )
    many = await gateway.client.get(
        "/admin/usage/trend", params={"from": 0, "to": NOON, "group_by": "key"}, headers=admin_headers()
    )
    assert (many.status_code, many.json()["code"]) == (422, "trend_too_long")


async def test_a_key_sees_its_own_tenant_only(gateway: Gateway) -> None:
    await gateway.deps.usage.insert(UsageRows.of([event(1), event(2, tenant="other")]))
    made = await gateway.client.post("/admin/keys", json={"name": "k", "tenant": "acme"}, headers=admin_headers())
    own = {"authorization": f"Bearer {CreatedApiKey.model_validate_json(made.content).key}"}
    assert numbers(await listed(gateway, "/v1/usage", own)) == [1]
    assert (await gateway.client.get("/v1/usage/req_001", headers=own)).json()["completion_tokens"] == 1
    for path, status, code in (
        ("/v1/usage/req_002", 404, "usage_not_found"),
        ("/v1/usage?limit=0", 400, "invalid_value"),
        ("/v1/usage?tenant=other", 400, "invalid_value"),
        ("/v1/usage?after=evt_404", 422, "cursor_unknown"),
        ("/v1/nothing", 404, "not_found"),
    ):
        answer = await gateway.client.get(path, headers=own)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
        assert answer.json()["error"]["message"]
        assert answer.headers["x-request-id"]
    summary = (await gateway.client.get("/v1/usage/summary?group_by=tenant", headers=own)).json()
    assert [(row["group"], row["requests"]) for row in summary["data"]] == [("acme", 1)]
    trend = (await gateway.client.get(f"/v1/usage/trend?from={NOON - DAY}&to={NOON + DAY}", headers=own)).json()
    assert [(point["starts"], point["requests"]) for point in trend["data"]] == [("2026-01-01", 1)]
    for headers in ({}, {"authorization": "Bearer sk-slc-wrong"}, admin_headers()):
        answer = await gateway.client.get("/v1/usage", headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")


async def test_a_service_sees_the_tenant_that_it_asks_for(gateway: Gateway) -> None:
    await gateway.deps.usage.insert(UsageRows.of([event(1), event(2, tenant="other")]))
    headers = service_headers("gateway", "other")
    assert numbers(await listed(gateway, headers=headers, tenant="acme")) == [2]
    assert (await gateway.client.get("/admin/usage/req_001", headers=headers)).status_code == 404
    assert (
        await gateway.client.get("/admin/usage", headers=service_headers("gateway", role="member"))
    ).status_code == 403


async def test_a_list_of_many_rows_is_a_page(gateway: Gateway) -> None:
    for start in range(0, 2000, 500):
        await gateway.deps.usage.insert(UsageRows.of([event(number) for number in range(start, start + 500)]))
    page = await listed(gateway, tenant="acme", limit=100)
    assert len(page.data) == 100


async def test_a_key_sees_itself_and_what_it_has_spent(gateway: Gateway) -> None:
    body = {"name": "k", "tenant": "acme", "role": "read_only", "limits": {"budget_per_day_usd": 5}}
    made = await gateway.client.post("/admin/keys", json=body, headers=admin_headers())
    created = CreatedApiKey.model_validate_json(made.content)
    now = gateway.deps.clock.now()
    await gateway.deps.usage.insert(
        UsageRows.of(
            [
                event(1, key_id=created.id, at=now, cost_usd=0.25),
                event(2, key_id=created.id, at=now - 40 * DAY, cost_usd=8.0),
                event(3, at=now, cost_usd=16.0),
            ]
        )
    )
    answer = await gateway.client.get("/v1/key", headers={"authorization": f"Bearer {created.key}"})
    assert OwnApiKey.model_validate_json(answer.content) == OwnApiKey(
        **created.model_dump(exclude={"key"}), spent_today_usd=0.25, spent_this_month_usd=0.25
    )
    assert created.key not in answer.text
    assert (await gateway.client.get("/v1/key")).status_code == 401


async def test_dollars_are_told_without_the_noise_of_binary_fractions(gateway: Gateway) -> None:
    body = {"name": "k", "tenant": "acme", "role": "read_only", "limits": {"budget_per_day_usd": 5}}
    made = await gateway.client.post("/admin/keys", json=body, headers=admin_headers())
    created = CreatedApiKey.model_validate_json(made.content)
    own, now = {"authorization": f"Bearer {created.key}"}, gateway.deps.clock.now()
    noisy = event(1, key_id=created.id, at=now).model_copy(update={"cost_usd": 0.1 + 0.2})
    await gateway.deps.usage.insert(UsageRows.of([noisy, event(2, key_id=created.id, at=now, cost_usd=0.3)]))
    for path, params in (
        ("/v1/usage", {}),
        ("/v1/usage/summary", {"group_by": "model"}),
        ("/v1/usage/trend", {"interval": "day"}),
        ("/v1/usage/export", {"format": "csv"}),
        ("/v1/usage/export", {"format": "jsonl"}),
        ("/v1/key", {}),
    ):
        answer = await gateway.client.get(path, params=params, headers=own)
        assert answer.status_code == 200, answer.text
        assert ("0.3" in answer.text) or ("0.6" in answer.text)
        assert "0000000" not in answer.text.replace(created.id, ""), (path, answer.text)
