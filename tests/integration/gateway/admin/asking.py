"""Asks the admin API of a gateway under test."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from sluice.testing import admin_headers


@dataclass(frozen=True)
class Admin:
    """The admin API with one credential; a call fails unless the answer has the status that is expected."""

    client: httpx.AsyncClient
    headers: dict[str, str] = field(default_factory=admin_headers)

    def with_key(self, secret: str) -> "Admin":
        """Return the same with an API key as the credential."""
        return Admin(self.client, {"authorization": f"Bearer {secret}"})

    async def ask(self, method: str, path: str, expected: int, body: Any = None, **query: Any) -> dict[str, Any]:
        """Send a request and return the answer's JSON."""
        answer = await self.client.request(method, path, json=body, params=query, headers=self.headers)
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text}"
        if expected >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "invalid_request" or answer.json()["detail"].endswith(".")
        found: dict[str, Any] = answer.json()
        return found

    async def organization(self, name: str, **body: Any) -> dict[str, Any]:
        """Make an organisation."""
        return await self.ask("POST", "/admin/organizations", 201, {"name": name, **body})

    async def team(self, organization: dict[str, Any], name: str, **body: Any) -> dict[str, Any]:
        """Make a team."""
        return await self.ask(
            "POST", "/admin/teams", 201, {"name": name, "organization_id": organization["id"], **body}
        )

    async def key(self, **body: Any) -> dict[str, Any]:
        """Make a key."""
        return await self.ask("POST", "/admin/keys", 201, {"name": "k", **body})

    async def works(self, secret: str) -> int:
        """Return the status with which a key is answered."""
        answer = await self.client.get("/v1/usage", headers={"authorization": f"Bearer {secret}"})
        return answer.status_code
