"""Stored prompts: versions, which of them is in use, tenants apart, and asking a model with one."""

import asyncio
from typing import Any

import openai
import pytest
from tests.integration.gateway.control_plane import Gateway, snapshot
from tests.integration.gateway.provider import COMPLETION_TOKENS, provider

from sluice.contracts.gateway import CreatedApiKey
from sluice.testing import admin_headers

pytestmark = pytest.mark.integration
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


async def test_versions_are_kept_and_one_is_in_use(gateway: Gateway) -> None:
    own, other = await key(gateway), await key(gateway, "other")
    made = await ask(gateway, own, "POST", "", 201, GREET)
    assert (made["name"], made["default_version"], made["newest_version"]) == ("greet", 1, 1)
    again = await ask(gateway, own, "POST", "", 409, GREET)
    assert again["error"]["code"] == "name_taken"
    second = {"sections": {"task": "Wave at {{who}}."}, "note": "shorter"}
    new = await ask(gateway, own, "POST", "/greet/versions", 201, second)
    assert (new["version"], new["variables"], new["note"]) == (2, ["who"], "shorter")
    values = {"variables": {"who": "Ann"}}
    shown = await ask(gateway, own, "POST", "/greet/render", 200, values)
    assert (shown["version"], shown["messages"][0]["content"]) == (1, "You greet Ann.")
    assert (await ask(gateway, own, "POST", "/greet/render", 200, {**values, "version": 2}))["messages"] == [
        {"role": "user", "content": "Wave at Ann."}
    ]
    assert (await ask(gateway, own, "PATCH", "/greet", 200, {"default_version": 2}))["default_version"] == 2
    assert (await ask(gateway, own, "POST", "/greet/render", 200, values))["version"] == 2
    third = await ask(gateway, own, "POST", "/greet/versions", 201, {**second, "release": True})
    assert third["version"] == (await ask(gateway, own, "GET", "/greet", 200))["default_version"] == 3
    listed = await ask(gateway, own, "GET", "/greet/versions?limit=2", 200)
    assert ([row["version"] for row in listed["data"]], listed["has_more"], listed["last_id"]) == ([3, 2], True, "2")
    rest = await ask(gateway, own, "GET", "/greet/versions?after=2", 200)
    assert [row["parameters"] for row in rest["data"]] == [{"temperature": 0}]
    for method, path, body, code in (
        ("PATCH", "/greet", {"default_version": 4}, "prompt_version_not_found"),
        ("GET", "/greet/versions/4", None, "prompt_version_not_found"),
        ("GET", "/nope", None, "prompt_not_found"),
    ):
        assert (await ask(gateway, own, method, path, 404, body))["error"]["code"] == code
    wrong = await ask(gateway, own, "POST", "/greet/render", 400, {"variables": {"whom": "Ann"}})
    assert wrong["error"]["code"] == "invalid_variables"
    assert (await ask(gateway, other, "GET", "", 200))["data"] == []
    await ask(gateway, other, "GET", "/greet", 404)
    await ask(gateway, other, "DELETE", "/greet", 404)
    assert [row["name"] for row in (await ask(gateway, own, "GET", "", 200))["data"]] == ["greet"]
    await ask(gateway, own, "DELETE", "/greet", 200)
    await ask(gateway, own, "GET", "/greet", 404)
    await ask(gateway, await key(gateway, role="read_only"), "GET", "", 403)


async def test_versions_made_at_once_have_numbers_of_their_own(gateway: Gateway) -> None:
    own = await key(gateway)
    await ask(gateway, own, "POST", "", 201, GREET)
    body = {"sections": {"task": "x"}}
    made = await asyncio.gather(*(ask(gateway, own, "POST", "/greet/versions", 201, body) for _ in range(5)))
    assert sorted(one["version"] for one in made) == [2, 3, 4, 5, 6]


async def test_an_openai_client_asks_with_a_prompt(gateway: Gateway) -> None:
    own = await key(gateway)
    await ask(gateway, own, "POST", "", 201, GREET)
    with provider() as engine:
        gateway.deps.data_plane.use(snapshot(base_url=engine.base_url))
        client = openai.AsyncOpenAI(
            base_url="http://gateway/v1/prompts/greet",
            api_key=own["authorization"].removeprefix("Bearer "),
            http_client=gateway.client,
            max_retries=0,
        )
        raw = await client.chat.completions.with_raw_response.create(
            model="mock",
            messages=[{"role": "user", "content": "Now."}],
            extra_body={"prompt": {"variables": {"who": "Ann"}}},
        )
        assert raw.parse().choices[0].message.content == "hello"
        assert raw.headers["x-sluice-prompt"] == "greet; version=1"
        assert len(raw.headers.get_list("x-request-id")) == 1
        assert float(raw.headers["x-sluice-cost"]) > 0
        with pytest.raises(openai.BadRequestError, match="without a value: who"):
            await client.chat.completions.create(model="mock", messages=[])
        path = "/greet/chat/completions"
        named = await ask(gateway, own, "POST", path, 200, {"prompt": {"version": 1, "variables": {"who": "B"}}})
        assert named["usage"]["completion_tokens"] == COMPLETION_TOKENS
        assert engine.calls == 2
        for body, status, code in (
            ({"prompt": {"variables": {"who": "B"}}, "model": "nope"}, 404, "model_not_found"),
            ({"prompt": {"version": 9}}, 404, "prompt_version_not_found"),
            ({"prompt": {"versions": 9}}, 400, "invalid_value"),
            ({"messages": "x"}, 400, "invalid_value"),
            ([], 400, "invalid_json"),
        ):
            answer = await ask(gateway, own, "POST", path, status, body)
            assert answer["error"]["code"] == code
        await ask(gateway, {"authorization": "Bearer sk-slc-wrong"}, "POST", path, 401, {})
        assert engine.calls == 2
