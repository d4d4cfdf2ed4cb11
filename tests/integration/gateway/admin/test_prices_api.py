"""Prices that administrators set: in force in every gateway, in the audit log, and named by usage records."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from openai_provider import Behaviour, Provider
from tests.integration.gateway.admin.asking import Admin
from tests.integration.gateway.control_plane import Gateway, running_gateway, snapshot

from sluice.contracts.routing import Deployment, Model, Price
from sluice.db import open_database
from sluice.redis import open_redis
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.settings import Settings
from sluice_gateway.worker_wiring import usage_consumer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
LISTED = Price(input=1.0, output=2.0, source="genai-prices 0.2.3")


def routing(base_url: str = "http://127.0.0.1:9/v1") -> Any:
    def model(name: str, price: Price | None) -> Model:
        return Model(
            name=name, price=price, deployments=(Deployment(id=f"{name}-1", base_url=base_url, upstream_model=name),)
        )

    own = Price(input=3.0, source="config 1a2b3c4d")
    return snapshot(models=(model("listed", LISTED), model("own", own), model("unpriced", None)))


async def test_prices_are_set_shown_and_deleted_and_the_audit_log_tells_of_it(gateway: Gateway) -> None:
    admin = Admin(gateway.client)
    assert (await gateway.client.get("/admin/prices", headers=admin.headers)).status_code == 503
    gateway.deps.routing.offer(routing())
    data = (await admin.ask("GET", "/admin/prices", 200))["data"]
    assert [(row["model"], (row["price"] or {}).get("source"), row["overrides"]) for row in data] == [
        ("listed", "genai-prices 0.2.3", []),
        ("own", "config 1a2b3c4d", []),
        ("unpriced", None, []),
    ]
    tiers = [{"above": 200_000, "input": 8, "output": 16}]
    body = {"model": "listed", "input": 4, "output": 8, "tiers": tiers}
    made = await admin.ask("POST", "/admin/prices/overrides", 201, body)
    later = await admin.ask("POST", "/admin/prices/overrides", 201, {**body, "valid_from": 32_000_000_000})
    shown = (await admin.ask("GET", "/admin/prices", 200, model="listed"))["data"][0]
    assert (shown["price"]["source"], shown["published"]["source"]) == (f"override {made['id']}", "genai-prices 0.2.3")
    assert shown["price"]["tiers"][0]["above"] == 200_000
    assert {one["id"] for one in shown["overrides"]} == {made["id"], later["id"]}
    await admin.ask("DELETE", f"/admin/prices/overrides/{made['id']}", 200)
    await admin.ask("DELETE", f"/admin/prices/overrides/{made['id']}", 404)
    assert (await admin.ask("GET", "/admin/prices", 200, model="listed"))["data"][0]["price"]["input"] == 1
    assert (await admin.ask("GET", f"/admin/prices/overrides/{made['id']}", 200))["deleted_at"] is not None
    listed = await admin.ask("GET", "/admin/prices/overrides", 200, model="listed")
    assert [row["id"] for row in listed["data"]] == [later["id"]]
    every = await admin.ask("GET", "/admin/prices/overrides", 200, deleted=True, limit=1)
    assert (every["has_more"], every["data"][0]["id"]) == (True, later["id"])
    records = (await admin.ask("GET", "/admin/audit", 200, target="price", order="asc"))["data"]
    assert [(row["action"], row["target_id"]) for row in records] == [
        ("create", made["id"]),
        ("create", later["id"]),
        ("delete", made["id"]),
    ]
    assert records[0]["after"]["price"]["input"] == 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "m"}, "`body.input` is missing"),
        ({"model": "m", "input": -1}, "must be 0.0 or more"),
        ({"model": "m", "input": 1, "imput": 1}, "is not known here"),
        ({"model": "m", "input": 1, "tiers": [{"above": 2, "input": 1}, {"above": 1, "input": 1}]}, "shortest prompts"),
    ],
)
async def test_a_wrong_price_is_refused_with_a_sentence(gateway: Gateway, body: dict[str, Any], said: str) -> None:
    refused = await Admin(gateway.client).ask("POST", "/admin/prices/overrides", 422, body)
    assert said.replace("body.", "") in refused["detail"].replace("body.", "")


async def test_only_the_administrator_sees_and_sets_prices(gateway: Gateway) -> None:
    admin = Admin(gateway.client)
    of_an_organization = admin.with_key((await admin.key(role="admin", tenant="acme"))["key"])
    for method, path in (("GET", ""), ("GET", "/overrides"), ("POST", "/overrides"), ("DELETE", "/overrides/price_1")):
        await of_an_organization.ask(method, f"/admin/prices{path}", 403, {"model": "m", "input": 1})


async def test_a_price_holds_in_another_process_within_a_second_and_when_its_time_comes(
    platform: PlatformSettings, tmp_path: Path
) -> None:
    if not platform.database_url:
        database_url = f"sqlite+aiosqlite:///{tmp_path}/shared.sqlite"
        platform = platform.model_copy(update={"database_url": database_url})
    other = platform.model_copy(update={"data_dir": platform.data_dir / "other"})
    async with running_gateway(platform) as one, running_gateway(other) as two:
        for gateway in (one, two):
            gateway.deps.routing.offer(routing())
        admin, now = Admin(one.client), one.deps.clock.now()
        await admin.ask("POST", "/admin/prices/overrides", 201, {"model": "unpriced", "input": 4})
        await _costs(two, 4)
        await admin.ask(
            "POST", "/admin/prices/overrides", 201, {"model": "unpriced", "input": 5, "valid_from": now + 1.5}
        )
        await _costs(two, 5)
        assert one.deps.clock.now() >= now + 1.5
        two.deps.routing.offer(routing().model_copy(update={"version": 2}))
        await _costs(two, 5)


async def test_usage_says_at_which_price_it_was_charged_and_a_new_price_changes_no_row(gateway: Gateway) -> None:
    admin = Admin(gateway.client)
    key = await admin.key(tenant="acme")
    rich = await admin.key(tenant="acme", limits={"budget_per_month_usd": 1000})
    async with Provider(Behaviour(text="one two")) as provider:
        gateway.deps.routing.offer(routing(provider.base_url))

        async def ask(model: str, secret: str = key["key"]) -> Any:
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
            headers = {"authorization": f"Bearer {secret}"}
            return await gateway.client.post("/v1/chat/completions", json=body, headers=headers)

        listed, unpriced = await ask("listed"), await ask("unpriced")
        assert float(listed.headers["x-sluice-cost"]) > 0
        assert (unpriced.status_code, "x-sluice-cost" in unpriced.headers) == (200, False)
        refused = await ask("unpriced", rich["key"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "price_unknown")
        made = await admin.ask(
            "POST", "/admin/prices/overrides", 201, {"model": "unpriced", "input": 7, "request": 0.5}
        )
        assert (await ask("unpriced", rich["key"])).status_code == 200
        page = (await gateway.client.get("/metrics")).text
        assert 'sluice_gateway_unpriced_requests_total{model="unpriced"} 1.0' in page
    found = {(row["model"], row["price_source"]): row["cost_usd"] for row in await _stored(gateway, 3)}
    assert set(found) == {
        ("listed", "genai-prices 0.2.3"),
        ("unpriced", None),
        ("unpriced", f"override {made['id']}"),
    }
    assert found["unpriced", None] is None
    assert found["unpriced", f"override {made['id']}"] > 0.5
    total = await admin.ask("GET", "/admin/usage/summary", 200)
    assert total["totals"]["cost_usd"] == pytest.approx(sum(cost or 0.0 for cost in found.values()))
    written = await gateway.client.get("/admin/usage/export", params={"format": "csv"}, headers=admin.headers)
    header, *lines = written.text.splitlines()
    cost, source = header.split(",").index("cost_usd"), header.split(",").index("price_source")
    cells = [(line.split(",")[cost], line.split(",")[source]) for line in lines]
    assert ("", "") in cells
    assert "genai-prices 0.2.3" in {text for _, text in cells}


async def _costs(gateway: Gateway, dollars: float) -> None:
    async def found() -> float | None:
        row = (await Admin(gateway.client).ask("GET", "/admin/prices", 200, model="unpriced"))["data"][0]
        return None if row["price"] is None else row["price"]["input"]

    async with asyncio.timeout(60):
        while await found() != dollars:
            await asyncio.sleep(0.05)
        table = gateway.deps.data_plane._table
        while table is None or table.models["unpriced"].input_price != dollars / 1e6:
            await asyncio.sleep(0.05)
            table = gateway.deps.data_plane._table


async def _stored(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    platform = gateway.deps.platform
    database, redis = open_database(platform, "gateway"), open_redis(platform)
    consumer = asyncio.create_task(usage_consumer(redis, database, MetricRegistry(), Settings(_env_file=None)).run())
    try:
        async with asyncio.timeout(60):
            while True:
                found = (await Admin(gateway.client).ask("GET", "/admin/usage", 200))["data"]
                if len(found) >= count:
                    return list(found)
                await asyncio.sleep(0.05)
    finally:
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)
        await redis.aclose()
        await database.close()
