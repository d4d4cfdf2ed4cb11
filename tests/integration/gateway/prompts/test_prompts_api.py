"""Stored prompts: versions, which of them is in use, tenants apart, and asking a model with one."""

import asyncio
from typing import Any

import openai
import pytest
from tests.integration.gateway.control_plane import Gateway, snapshot
from tests.integration.gateway.prompts.calls import GREET, NOON, ask, key, usage
from tests.integration.gateway.provider import COMPLETION_TOKENS, provider

from sluice_gateway.domain.usage_rows import UsageRows

pytestmark = pytest.mark.integration


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
        journal = (gateway.deps.platform.data_dir / "gateway" / "journal").iterdir()
        assert sum(path.read_bytes().count(b'"greet",1]') for path in journal if path.is_file()) == 2
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


async def test_versions_are_compared_by_what_their_requests_cost_and_how_long_they_took(gateway: Gateway) -> None:
    own = await key(gateway)
    await ask(gateway, own, "POST", "", 201, GREET)
    await ask(gateway, own, "POST", "/greet/versions", 201, {"sections": {"task": "Hi"}, "model": "mock"})
    rows = [(1, 0.1, 100.0), (1, 0.3, 300.0), (2, 0.5, 50.0), (None, 9.0, 9.0)]
    written = [
        usage(f"req_{place}", version, at=NOON + place, prompt_tokens=10, cost_usd=cost, duration_ms=took)
        for place, (version, cost, took) in enumerate(rows)
    ]
    other = usage("req_0", 1, "other", prompt_tokens=10, cost_usd=0.1, duration_ms=100.0)
    failed = usage("req_f", 1, status="error", prompt_tokens=10, cost_usd=0.0, duration_ms=7e5)
    await gateway.deps.usage.insert(UsageRows.of([*written, other, failed]))
    found = await ask(gateway, own, "GET", f"/greet/usage?from={NOON}&to={NOON + 9}", 200)
    shown = [
        (one["version"], one["requests"], one["errors"], one["timed"], one["duration_ms"]) for one in found["data"]
    ]
    assert shown == [
        (2, 1, 0, 1, {"p50": 50.0, "p95": 50.0}),
        (1, 3, 1, 2, {"p50": 100.0, "p95": 300.0}),
    ]
    assert "feedback service" in found["feedback_missing"]
    assert found["data"][1]["cost_per_request_usd"] == pytest.approx(0.4 / 3)
    assert (await ask(gateway, own, "GET", f"/greet/usage?to={NOON}", 200))["data"] == []
    await ask(gateway, own, "GET", "/nope/usage", 404)
    summed = await gateway.client.get("/v1/usage/summary?group_by=prompt&prompt=greet", headers=own)
    assert [(one["group"], one["requests"]) for one in summed.json()["data"]] == [("greet@2", 1), ("greet@1", 3)]
    listed = await gateway.client.get("/v1/usage?prompt=greet&prompt_version=2", headers=own)
    assert [(one["prompt"], one["prompt_version"], one["cost_usd"]) for one in listed.json()["data"]] == [
        ("greet", 2, 0.5)
    ]
    made = (await ask(gateway, own, "GET", "/greet", 200))["created_at"]
    fresh = [usage("before", 7, at=made - 60.0), usage("after", 1, at=made)]
    await gateway.deps.usage.insert(UsageRows.of(fresh))
    found = await ask(gateway, own, "GET", "/greet/usage", 200)
    assert [one["version"] for one in found["data"]] == [1], "not what a deleted prompt of the name came to"


async def test_a_prompt_is_looked_over_before_and_after_it_is_stored(gateway: Gateway) -> None:
    own = await key(gateway)
    gateway.deps.data_plane.use(snapshot())
    assert gateway.deps.routing.offer(snapshot())
    found = await ask(gateway, own, "POST", "/lint", 200, {name: GREET[name] for name in GREET if name != "name"})
    assert [one["code"] for one in found["findings"]] == ["variable_in_system", "not_checked"]
    assert (found["ok"], found["required"], found["optional"]) == (True, ["who"], ["language"])
    assert found["cost_per_1000_usd"] == pytest.approx(found["tokens"] * 1e-3)
    await ask(gateway, own, "POST", "", 201, {**GREET, "model": "nope", "defaults": {"language": "x", "age": "3"}})
    codes = [one["code"] for one in (await ask(gateway, own, "GET", "/greet/lint", 200))["findings"]]
    assert codes == ["unused_default", "variable_in_system", "unknown_model", "not_checked"]
    await ask(gateway, own, "GET", "/greet/lint?version=2", 404)
    await ask(gateway, own, "POST", "/lint", 400, {"sections": {}})


async def test_a_request_to_responses_names_a_prompt_as_openais_client_sends_it(gateway: Gateway) -> None:
    own = await key(gateway)
    made = await ask(gateway, own, "POST", "", 201, {**GREET, "parameters": {"temperature": 0, "max_tokens": 40}})
    await ask(gateway, own, "POST", "/greet/versions", 201, {"sections": {"task": "Hi"}, "parameters": {"seed": 1}})
    with provider() as engine:
        gateway.deps.data_plane.use(snapshot(base_url=engine.base_url))
        client = openai.AsyncOpenAI(
            base_url="http://gateway/v1",
            api_key=own["authorization"].removeprefix("Bearer "),
            http_client=gateway.client,
            max_retries=0,
        )
        raw = await client.responses.with_raw_response.create(
            prompt={"id": made["id"], "version": "1", "variables": {"who": {"type": "input_text", "text": "Ann"}}},
            input="Now.",
        )
        assert raw.parse().output_text == "hello"
        assert raw.headers["x-sluice-prompt"] == "greet; version=1"
        await client.responses.create(prompt={"id": "greet", "variables": {"who": "B"}}, model="mock")
        plain = await client.responses.with_raw_response.create(model="mock", input='Say "prompt".')
        assert "x-sluice-prompt" not in plain.headers
        assert engine.calls == 3
        wrong: tuple[tuple[Any, str], ...] = (
            ({"id": "greet"}, "without a value: who"),
            ({"id": "nope"}, "no prompt nope"),
            ({"id": "greet", "version": "x"}, "prompt.version"),
            ({"id": "greet", "version": "2"}, "`seed` has no counterpart"),
            ({"id": "greet", "variables": {"who": {"type": "input_image"}}}, "prompt.variables.who"),
            ({"id": "pmpt_123"}, "stored at OpenAI"),
        )
        for prompt, sentence in wrong:
            with pytest.raises(openai.BadRequestError, match=sentence):
                await client.responses.create(prompt=prompt, model="mock", input="x")
        assert engine.calls == 3
    journal = (gateway.deps.platform.data_dir / "gateway" / "journal").iterdir()
    assert sum(path.read_bytes().count(b'"greet",1]') for path in journal if path.is_file()) == 2
