"""How the tests of prompts ask: with a key of a tenant, and with a prompt that greets."""

from typing import Any

from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.gateway import CreatedApiKey
from sluice.testing import admin_headers

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
