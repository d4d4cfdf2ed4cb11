"""Budgets with what is spent of them, and the webhook that is told."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.integration.gateway.admin.asking import Admin
from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.budgets import BudgetAlert
from sluice.contracts.usage import UsageRecorded
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import admin_headers
from sluice_gateway.budget_alerts import BudgetAlerts, Webhook
from sluice_gateway.domain.usage_rows import UsageRows

pytestmark = pytest.mark.integration
SECRET = "a shared secret"


async def spend(gateway: Gateway, key: dict[str, Any], dollars: float, at: float | None = None) -> None:
    number = time.time_ns()
    event = UsageRecorded(
        event_id=f"evt_{number}", request_id=f"req_{number}", at=gateway.deps.clock.now() if at is None else at, tenant=key["tenant"],
        key_id=key["id"], endpoint="/v1/chat/completions", model="mock", status="ok", http_status=200, stream=False, prompt_tokens=1,
        completion_tokens=1, tokens_exact=True, cost_usd=dollars, duration_ms=1.0, organization_id=key["organization_id"],
    )  # fmt: skip
    await gateway.deps.usage.insert(UsageRows.of([event]))


class Hook:
    """A webhook that keeps what it got, and answers with a status."""

    def __init__(self) -> None:
        self.got: list[BudgetAlert] = []
        self.status = 204

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert (
            request.headers["x-sluice-signature"]
            == "sha256=" + hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
        )
        self.got.append(BudgetAlert.model_validate(json.loads(body)))
        return web.Response(status=self.status)


@asynccontextmanager
async def alerting(gateway: Gateway, hook: Hook) -> AsyncIterator[BudgetAlerts]:
    application = web.Application()
    application.router.add_post("/hook", hook.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        where = Webhook(f"http://127.0.0.1:{port}/hook", SECRET, (1.0, 0.8))
        yield BudgetAlerts(gateway.deps.budgets, where, session, gateway.deps.clock, MetricRegistry(), every_s=60)
    await runner.cleanup()


async def test_budgets_are_listed_with_what_is_spent(gateway: Gateway) -> None:
    admin = Admin(gateway.client)
    acme = await admin.organization("acme", limits={"budget_per_month_usd": 100})
    team = await admin.team(acme, "core", limits={"budget_per_day_usd": 4})
    one = await admin.key(team_id=team["id"], limits={"budget_per_day_usd": 10, "budget_per_month_usd": 0})
    two = await admin.key(team_id=team["id"], limits={"requests_per_minute": 5})
    other = await admin.key(tenant="other", role="admin", limits={"budget_per_day_usd": 1})
    for key, dollars in ((one, 1.0), (two, 2.0), (other, 0.5)):
        await spend(gateway, key, dollars)
    await spend(gateway, one, 7.0, at=gateway.deps.clock.now() - 70 * 86_400)
    found = (await admin.ask("GET", "/admin/budgets", 200))["data"]
    assert [(row["level"], row["holder_id"], row["period"], row["spent_usd"], row["share"]) for row in found] == [
        ("key", one["id"], "month", 1.0, 1.0),
        ("team", team["id"], "day", 3.0, 0.75),
        ("key", other["id"], "day", 0.5, 0.5),
        ("key", one["id"], "day", 1.0, 0.1),
        ("organization", acme["id"], "month", 3.0, 0.03),
    ]
    assert found[1]["begins"] <= gateway.deps.clock.now() < found[1]["ends"] == found[1]["begins"] + 86_400
    narrow = await admin.ask("GET", "/admin/budgets", 200, organization_id=acme["id"], level="key", min_share=0.5)
    assert [row["id"] for row in narrow["data"]] == [f"key:{one['id']}:month"]
    assert (await admin.ask("GET", "/admin/budgets", 200, limit=2))["has_more"]
    theirs = await admin.with_key(other["key"]).ask("GET", "/admin/budgets", 200)
    assert [row["holder_id"] for row in theirs["data"]] == [other["id"]]


async def test_a_webhook_is_told_once_of_each_threshold_and_until_it_has_it(gateway: Gateway) -> None:
    admin, hook = Admin(gateway.client), Hook()
    key = await admin.key(tenant="acme", limits={"budget_per_day_usd": 10})
    async with alerting(gateway, hook) as told:
        await spend(gateway, key, 7.9)
        await told.look()
        assert hook.got == []
        await spend(gateway, key, 0.2)
        await asyncio.gather(told.look(), told.look())
        await told.look()
        assert [(alert.threshold, alert.budget.holder_id, alert.budget.share) for alert in hook.got] == [
            (0.8, key["id"], pytest.approx(0.81))
        ]
        assert hook.got[0].text == "The API key k (acme) has spent $8.10 of its $10.00 for this day (81%)."
        await spend(gateway, key, 5.0)
        hook.status = 500
        await told.look()
        await told.look()
        assert [alert.threshold for alert in hook.got] == [0.8, 1.0], "one that failed rests before it is sent again"
        hook.status = 200
        wanted = [hook.got[-1]]
        assert await gateway.deps.budgets.take(wanted, gateway.deps.clock.now() + 61) == wanted
        await gateway.deps.budgets.sent(wanted[0], gateway.deps.clock.now())
        assert await gateway.deps.budgets.take(wanted, gateway.deps.clock.now() + 200) == []
        changed = {"limits": {"budget_per_day_usd": 16}}
        answer = await gateway.client.patch(f"/admin/keys/{key['id']}", json=changed, headers=admin_headers())
        assert answer.status_code == 200, answer.text
        hook.got.clear()
        await told.look()
        await told.look()
        assert [(one.threshold, one.budget.limit_usd) for one in hook.got] == [(0.8, 16)], (
            "a raised budget is told anew"
        )
