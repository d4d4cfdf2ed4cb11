"""How the tests of prompts ask: with a key of a tenant, and with a prompt that greets."""

from typing import Any

from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.gateway import CreatedApiKey
from sluice.contracts.usage import UsageRecorded
from sluice.testing import admin_headers

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC
GREET = {
    "name": "greet",
    "sections": {"system": "You greet {{who}}.", "task": "Say hello in {{language}}."},
    "defaults": {"language": "French"},
    "model": "mock",
    "parameters": {"temperature": 0},
}


async def key(gateway: Gateway, tenant: str = "acme", **fields: Any) -> dict[str, str]:
    body = {"name": "k", "tenant": tenant, **fields}
    made = await gateway.client.post("/admin/keys", json=body, headers=admin_headers())
    return {"authorization": f"Bearer {CreatedApiKey.model_validate_json(made.content).key}"}


async def ask(gateway: Gateway, own: dict[str, str], method: str, path: str, expected: int, body: Any = None) -> Any:
    answer = await gateway.client.request(method, f"/v1/prompts{path}", json=body, headers=own)
    assert answer.status_code == expected, answer.text
    return answer.json()


def usage(request_id: str, version: int | None, tenant: str = "acme", **fields: Any) -> UsageRecorded:
    """Return the usage of a request with a version of the prompt, None for one without."""
    return UsageRecorded(
        event_id=f"evt_{tenant}_{request_id}",
        request_id=request_id,
        tenant=tenant,
        key_id="key_1",
        endpoint="/v1/chat/completions",
        model="mock",
        http_status=200,
        prompt=None if version is None else "greet",
        prompt_version=version,
        **{"at": NOON, "status": "ok", **fields},
    )
