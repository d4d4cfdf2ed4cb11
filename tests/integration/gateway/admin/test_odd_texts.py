"""Texts that a database cannot hold, in paths and queries of the admin API."""

import pytest
from tests.integration.gateway.control_plane import Gateway

from sluice.testing import admin_headers

pytestmark = pytest.mark.integration
LISTS = ("organizations", "teams", "keys", "audit", "usage")


@pytest.mark.parametrize("odd", ["a%00b", "%ED%A0%80", "%FF", "%F0%9F%98%80"])
async def test_an_odd_id_or_cursor_is_not_found_or_refused(gateway: Gateway, odd: str) -> None:
    for name in LISTS:
        one = await gateway.client.get(f"/admin/{name}/{odd}", headers=admin_headers())
        assert one.status_code in (404, 422), (name, one.text)
        listed = await gateway.client.get(f"/admin/{name}?after={odd}", headers=admin_headers())
        assert listed.status_code in (200, 422), (name, listed.text)
    for name in ("key_id", "team_id", "organization_id", "tenant", "model", "end_user"):
        for path in ("usage", "usage/summary", "usage/export"):
            found = await gateway.client.get(f"/admin/{path}?{name}={odd}", headers=admin_headers())
            assert found.status_code in (200, 422), (path, name, found.text)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/v1/chat/completion", "nothing at this path. "),
        ("POST", "/v1/v1/messages", "/v1 twice"),
        ("POST", "/v1/chat/completions/", "the slash at its end"),
    ],
)
async def test_a_path_that_leads_nowhere_says_why(gateway: Gateway, method: str, path: str, words: str) -> None:
    answer = await gateway.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert words in answer.json()["error"]["message"]


async def test_a_base_url_without_the_version_is_told(gateway: Gateway) -> None:
    for path in ("/chat/completions", "/models", "/embeddings"):
        answer = await gateway.client.post(path, json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "the API begins at /v1" in answer.json()["detail"]
