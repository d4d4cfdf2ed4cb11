"""Writing out usage: every record once, in order, of the own tenant only."""

import csv
import io
import json
from typing import Any

import pytest
from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.gateway import CreatedApiKey
from sluice.contracts.usage import UsageRecorded
from sluice.testing import admin_headers, service_headers
from sluice_gateway.domain.usage_rows import UsageRows

pytestmark = pytest.mark.integration


def event(number: int, **fields: Any) -> UsageRecorded:
    values: dict[str, Any] = {
        "event_id": f"evt_{number:05d}",
        "request_id": f"req_{number:05d}",
        "at": 1000.0 + number // 3,  # some at the same time
        "tenant": "acme" if number % 2 else "other",
        "key_id": "key_1",
        "endpoint": "/v1/chat/completions",
        "model": "=m",
        "status": "ok",
        "http_status": 200,
    }
    return UsageRecorded.model_validate(values | fields)


async def test_every_record_is_written_once_in_order(gateway: Gateway) -> None:
    written = [event(number) for number in range(2500)]
    for start in range(0, 2500, 500):
        await gateway.deps.usage.insert(UsageRows.of(written[start : start + 500]))
    answer = await gateway.client.get("/admin/usage/export", headers=admin_headers())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["event_id"] for row in rows] == [one.event_id for one in written]
    assert {row["model"] for row in rows} == {"'=m"}
    params = {"format": "jsonl", "tenant": "acme", "to": "1010"}
    answer = await gateway.client.get("/admin/usage/export", headers=admin_headers(), params=params)
    found = [json.loads(line)["event_id"] for line in answer.text.splitlines()]
    assert found == [one.event_id for one in written if one.tenant == "acme" and one.at < 1010]


async def test_a_key_and_a_service_get_their_own_tenant_only(gateway: Gateway) -> None:
    await gateway.deps.usage.insert(UsageRows.of([event(1), event(2)]))
    made = await gateway.client.post("/admin/keys", json={"name": "k", "tenant": "acme"}, headers=admin_headers())
    own = {"authorization": f"Bearer {CreatedApiKey.model_validate_json(made.content).key}"}
    for path, headers in (
        ("/v1/usage/export", own),
        ("/admin/usage/export?tenant=other", service_headers("gateway", "acme")),
    ):
        answer = await gateway.client.get(
            path, params={"format": "jsonl"} if "?" not in path else None, headers=headers
        )
        assert "req_00001" in answer.text, path
        assert "req_00002" not in answer.text, path
    for params in ({"format": "xls"}, {"tenant": "other"}):
        assert (await gateway.client.get("/v1/usage/export", params=params, headers=own)).status_code == 400
    assert (await gateway.client.get("/v1/usage/export")).status_code == 401
