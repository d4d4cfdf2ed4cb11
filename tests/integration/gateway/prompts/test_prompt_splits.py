"""Requests that name no version, split between the versions of a prompt."""

from collections import Counter
from typing import Any

import pytest
from tests.integration.gateway.control_plane import Gateway, snapshot
from tests.integration.gateway.prompts.calls import GREET, ask, key
from tests.integration.gateway.provider import provider

pytestmark = pytest.mark.integration
HALVES = {"shares": [{"version": 1, "weight": 1}, {"version": 2, "weight": 1}]}


async def two_versions(gateway: Gateway, own: dict[str, str]) -> None:
    await ask(gateway, own, "POST", "", 201, GREET)
    await ask(gateway, own, "POST", "/greet/versions", 201, {"sections": {"task": "Wave at {{who}}."}, "model": "mock"})


async def test_a_split_is_set_changed_and_ended_and_every_change_is_kept(gateway: Gateway) -> None:
    own, other = await key(gateway), await key(gateway, "other")
    await two_versions(gateway, own)
    assert (await ask(gateway, own, "GET", "/greet", 200))["split"] is None
    assert (await ask(gateway, own, "GET", "/greet/split", 404))["error"]["code"] == "prompt_split_not_found"
    made = await ask(gateway, own, "PUT", "/greet/split", 200, HALVES)
    assert (made["prompt"], made["shares"]) == ("greet", HALVES["shares"])
    assert (await ask(gateway, own, "GET", "/greet", 200))["split"]["shares"] == HALVES["shares"]
    moved = {"shares": [{"version": 1, "weight": 1}, {"version": 2, "weight": 9}]}
    again = await ask(gateway, own, "PUT", "/greet/split", 200, moved)
    assert again["began_at"] == made["began_at"]
    for wrong, status in (
        ({"shares": [{"version": 1, "weight": 1}]}, 400),
        ({"shares": [{"version": 1, "weight": 1}, {"version": 1, "weight": 2}]}, 400),
        ({"shares": [{"version": 1, "weight": 0}, {"version": 2, "weight": 0}]}, 400),
        ({"shares": [{"version": 1, "weight": 1}, {"version": 3, "weight": 2}]}, 404),
    ):
        assert await ask(gateway, own, "PUT", "/greet/split", status, wrong)
    await ask(gateway, other, "GET", "/greet/split", 404)
    await ask(gateway, other, "PUT", "/greet/split", 404, HALVES)
    assert (await ask(gateway, own, "PATCH", "/greet", 200, {"default_version": 2}))["split"] is None
    await ask(gateway, own, "PUT", "/greet/split", 200, HALVES)
    await ask(gateway, own, "DELETE", "/greet/split", 200)
    await ask(gateway, own, "DELETE", "/greet/split", 404)
    listed = await ask(gateway, own, "GET", "/greet/split/changes?limit=3", 200)
    assert [(row["action"], row["default_version"]) for row in listed["data"]] == [
        ("ended", 2),
        ("set", 2),
        ("released", 2),
    ]
    rest = await ask(gateway, own, "GET", f"/greet/split/changes?after={listed['last_id']}", 200)
    assert [[share["weight"] for share in row["shares"]] for row in rest["data"]] == [[1, 9], [1, 1]]
    assert all(row["by"].startswith("key_") for row in rest["data"])
    await ask(gateway, other, "GET", "/greet/split/changes", 404)
    await ask(gateway, own, "DELETE", "/greet", 200)


async def test_who_names_no_version_gets_his_own_and_keeps_it(gateway: Gateway) -> None:
    own = await key(gateway)
    await two_versions(gateway, own)
    await ask(gateway, own, "PUT", "/greet/split", 200, HALVES)

    async def used(**fields: Any) -> str:
        prompt = {"variables": {"who": "Ann"}, **fields.pop("prompt", {})}
        sent = {"prompt": prompt, **fields}
        answer = await gateway.client.post("/v1/prompts/greet/chat/completions", json=sent, headers=own)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-sluice-prompt"].removeprefix("greet; version=")

    with provider() as engine:
        gateway.deps.data_plane.use(snapshot(base_url=engine.base_url))
        first = {str(number): await used(user=str(number)) for number in range(24)}
        assert set(first.values()) == {"1", "2"}
        assert first == {user: await used(user=user) for user in first}
        assert {await used(prompt={"version": 1}, user=user) for user in first} == {"1"}
        sessions = {str(number): await used(prompt={"subject": f"s{number}"}, user="0") for number in range(24)}
        assert set(sessions.values()) == {"1", "2"}
        assert await used(prompt={"subject": "s5"}) == sessions["5"]
        assert set(Counter([await used() for _ in range(24)])) == {"1", "2"}
        body = {"prompt": {"id": "greet", "variables": {"who": "Ann"}}, "model": "mock"}
        for user in list(first)[:6]:
            answer = await gateway.client.post("/v1/responses", json={**body, "safety_identifier": user}, headers=own)
            assert answer.headers["x-sluice-prompt"] == f"greet; version={first[user]}"
        wrong = await gateway.client.post(
            "/v1/responses", json={**body, "prompt": {"id": "greet", "subject": 5}}, headers=own
        )
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "prompt.subject")
    shown = await ask(gateway, own, "POST", "/greet/render", 200, {"variables": {"who": "Ann"}})
    assert shown["version"] == 1
    mine = {"variables": {"who": "Ann"}, "subject": "s5"}
    assert str((await ask(gateway, own, "POST", "/greet/render", 200, mine))["version"]) == sessions["5"]
