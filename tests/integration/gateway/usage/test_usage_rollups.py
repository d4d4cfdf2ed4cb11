"""Sums of usage by hour and day: always what the records come to, however they came."""

import asyncio
import itertools
import random
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.usage import UsageRecorded, UsageSummary
from sluice.testing import admin_headers, service_headers
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.retention_store import RetentionStore
from sluice_gateway.tables import UsageRollupRow, UsageTagRollupRow, UsageTagRow

pytestmark = pytest.mark.integration

START = 1_767_225_600.0  # 2026-01-01 00:00 UTC
DAY = 86_400


def events(count: int, seed: int = 1) -> list[UsageRecorded]:
    dice = random.Random(seed)
    return [
        UsageRecorded(
            event_id=f"evt_{number}",
            request_id=f"req_{number}",
            at=START + dice.choice([dice.uniform(0, 4 * DAY), dice.randrange(96) * 3600.0]),
            tenant=dice.choice(["acme", "other"]),
            key_id=dice.choice(["key_1", "key_2"]),
            endpoint="/v1/chat/completions",
            model=dice.choice(["small", "big"]),
            status=dice.choice(["ok", "ok", "error"]),
            http_status=200,
            prompt_tokens=dice.randrange(100),
            completion_tokens=dice.randrange(100),
            cached_tokens=dice.randrange(10),
            cost_usd=dice.randrange(1000) / 1024,
            team_id=dice.choice([None, "team_1"]),
            tags=dice.choice([(), ("job",), ("job", "night"), ("night",)]),
        )
        for number in range(count)
    ]


async def summary(gateway: Gateway, **params: Any) -> UsageSummary:
    answer = await gateway.client.get("/admin/usage/summary", params=params, headers=admin_headers())
    assert answer.status_code == 200, answer.text
    return UsageSummary.model_validate_json(answer.content)


def added(found: list[UsageRecorded]) -> tuple[int, int, int, int, float]:
    return (
        len(found),
        sum(one.status != "ok" for one in found),
        sum(one.prompt_tokens + one.completion_tokens for one in found),
        sum(one.cached_tokens for one in found),
        sum(one.cost_usd for one in found),
    )


def read(sums: Any) -> tuple[int, int, int, int, float]:
    return sums.requests, sums.errors, sums.total_tokens, sums.cached_tokens, sums.cost_usd


async def test_sums_are_what_the_records_come_to(gateway: Gateway) -> None:
    written = events(300)
    for start in range(0, 300, 40):
        await gateway.deps.usage.insert(UsageRows.of(written[max(0, start - 10) : start + 40]))  # some come again
    dice = random.Random(2)
    edges = [
        START + dice.choice([dice.uniform(0, 4 * DAY), dice.randrange(96) * 3600.0, DAY, 2 * DAY]) for _ in "12345678"
    ]
    periods: list[dict[str, float]] = [{}, {"from": edges[0]}, {"to": edges[1]}]
    periods += [{"from": min(pair), "to": max(pair)} for pair in itertools.pairwise(edges)]
    for period in periods:
        inside = [one for one in written if period.get("from", 0.0) <= one.at < period.get("to", START + 9 * DAY)]
        assert read((await summary(gateway, **period)).totals) == added(inside), period
        team = [one for one in inside if one.team_id == "team_1" and one.tenant == "acme"]
        found = await summary(gateway, **period, team_id="team_1", tenant="acme", group_by="day")
        assert read(found.totals) == added(team), period
        assert sum(row.requests for row in found.data) == len(team)
        job = [one for one in inside if "job" in one.tags]
        found = await summary(gateway, **period, tag="job", group_by="day")
        assert read(found.totals) == added(job), period
        assert sum(row.requests for row in found.data) == len(job)
        by_tag = {row.group: read(row) for row in (await summary(gateway, **period, group_by="tag")).data}
        tagged = {tag: [one for one in inside if tag in one.tags] for tag in ("job", "night")}
        assert by_tag == {tag: added(found) for tag, found in tagged.items() if found}
    for group_by, name in (("model", "model"), ("key", "key_id"), ("tenant", "tenant")):
        found = await summary(gateway, group_by=group_by)
        for row in found.data:
            assert read(row) == added([one for one in written if getattr(one, name) == row.group])


async def test_writers_at_the_same_time_add_each_event_once(gateway: Gateway) -> None:
    written = events(120)
    await asyncio.gather(*(gateway.deps.usage.insert(UsageRows.of(dice_order(written, seed))) for seed in range(4)))
    assert read((await summary(gateway)).totals) == added(written)


def dice_order(written: list[UsageRecorded], seed: int) -> list[UsageRecorded]:
    return random.Random(seed).sample(written, len(written))


async def test_sums_are_made_again_from_the_records(gateway: Gateway) -> None:
    written = events(200)
    await gateway.deps.usage.insert(UsageRows.of(written))
    database = gateway.deps.usage._database
    async with database.write() as session:
        await session.execute(update(UsageRollupRow).values(requests=0, cost_usd=99.0))
        await session.execute(delete(UsageRollupRow).where(UsageRollupRow.model == "big"))
        await session.execute(delete(UsageTagRollupRow).where(UsageTagRollupRow.model == "small"))
    assert read((await summary(gateway)).totals) != added(written)
    answer = await gateway.client.post("/admin/usage/rebuild", headers=admin_headers())
    assert answer.status_code == 200
    assert answer.json()["sums"] > 10
    assert read((await summary(gateway)).totals) == added(written)
    night = [one for one in written if "night" in one.tags]
    assert read((await summary(gateway, tag="night")).totals) == added(night)
    refused = await gateway.client.post("/admin/usage/rebuild", headers=service_headers("gateway", "acme"))
    assert refused.status_code == 403


async def test_sums_go_with_their_records_and_a_rebuild_keeps_those_before(gateway: Gateway) -> None:
    written = events(100)
    await gateway.deps.usage.insert(UsageRows.of(written))
    before = START + 2 * DAY
    await RetentionStore(gateway.deps.usage._database).delete_usage(before)
    kept = [one for one in written if one.at >= before]
    assert read((await summary(gateway, **{"from": before})).totals) == added(kept)
    assert (await summary(gateway, to=START + DAY)).totals.requests == 0
    assert (await summary(gateway, to=START + DAY, group_by="tag")).data == ()
    async with gateway.deps.usage._database.read() as session:
        assert set(await session.scalars(select(UsageTagRow.event_id))) == {one.event_id for one in kept if one.tags}
    last_day = [one for one in written if one.at >= START + DAY]
    assert (await gateway.client.post("/admin/usage/rebuild", headers=admin_headers())).status_code == 200
    assert (await summary(gateway, **{"from": START + DAY})).totals.requests == len(last_day)
