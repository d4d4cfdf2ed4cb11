"""Long-term memory of end users: added, found, changed, recalled in contexts, forgotten."""

import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from sluice.testing import wait_until
from sluice_cli.app import app

pytestmark = pytest.mark.integration


def remember(shared: Any, user: str, content: str, **fields: Any) -> dict[str, Any]:
    answer = shared.client.post("/v1/memories", json={"user": user, "content": content, **fields})
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def found(shared: Any, user: str, query: str, **fields: Any) -> list[str]:
    answer = shared.client.post("/v1/memories/search", json={"user": user, "query": query, **fields})
    assert answer.status_code == 200, answer.text
    return [one["memory"]["content"] for one in answer.json()["data"]]


def wait_ready(shared: Any, *memories: dict[str, Any]) -> None:
    for one in memories:
        path = f"/v1/memories/{one['id']}"
        wait_until(lambda path=path: shared.client.get(path).json()["status"] == "ready", seconds=60, what="a memory")


def test_what_is_known_of_a_user_is_found_changed_recalled_and_forgotten(shared: Any) -> None:
    tea = remember(shared, "ada", "She drinks green tea in the morning.", kind="preference", metadata={"from": "chat"})
    trip = remember(shared, "ada", "The trip to Oslo was cancelled because of snow.", kind="experience")
    other = remember(shared, "bob", "He drinks coffee in the morning.", kind="preference")
    assert remember(shared, "ada", "She drinks green tea in the morning.", kind="preference")["id"] == tea["id"]
    assert (tea["kind"], tea["metadata"], tea["expires_at"], tea["user"]) == (
        "preference",
        {"from": "chat"},
        None,
        "ada",
    )
    listed = shared.client.get("/v1/memories", params={"user": "ada"}).json()
    assert [one["id"] for one in listed["data"]] == [trip["id"], tea["id"]]
    first = shared.client.get("/v1/memories", params={"user": "ada", "limit": 1}).json()
    assert first["has_more"]
    rest = shared.client.get("/v1/memories", params={"user": "ada", "limit": 1, "after": first["last_id"]}).json()
    assert [one["id"] for one in rest["data"]] == [tea["id"]]
    wait_ready(shared, tea, trip, other)

    assert found(shared, "ada", "what does she like to drink?", top_k=1) == [tea["content"]]
    assert found(shared, "ada", "what to drink?", kinds=["experience"]) == [trip["content"]]
    assert found(shared, "eve", "what to drink?") == []

    asked = {"query": "What shall I serve?", "memory": {"user": "ada", "kinds": ["preference"]}}
    alone = shared.client.post("/v1/context", json=asked).json()
    assert alone["text"] == "Relevant memories:\n- (preference) She drinks green tea in the morning."
    assert [one["memory"]["id"] for one in alone["memories"]] == [tea["id"]]
    again = shared.client.post("/v1/context", json={**asked, "known_version": alone["version"]}).json()
    assert again["unchanged"]
    store = shared.store()
    shared.wait_for(store, shared.add(store, "menu.txt", "We serve tea, coffee and juice."))
    both = shared.client.post("/v1/context", json={**asked, "vector_store_ids": [store]}).json()
    assert both["text"].startswith("[1] menu.txt\n")
    assert both["text"].endswith("- (preference) She drinks green tea in the morning.")
    assert both["version"] != alone["version"]

    changed = shared.client.post(f"/v1/memories/{tea['id']}", json={"content": "She drinks black tea by now."}).json()
    assert (changed["id"], changed["created_at"], changed["kind"]) == (tea["id"], tea["created_at"], "preference")
    wait_until(
        lambda: found(shared, "ada", "tea", kinds=["preference"]) == ["She drinks black tea by now."],
        seconds=60,
        what="the changed memory",
    )
    assert not shared.client.post("/v1/context", json={**asked, "known_version": alone["version"]}).json()["unchanged"]

    gone = shared.client.delete("/v1/memories", params={"user": "ada"}).json()
    assert gone == {"object": "memory.user.deleted", "user": "ada", "deleted": 2}
    assert found(shared, "ada", "tea") == []
    assert shared.client.get("/v1/memories", params={"user": "ada"}).json()["data"] == []
    assert shared.client.get(f"/v1/memories/{tea['id']}").status_code == 404
    assert found(shared, "bob", "drink") == [other["content"]]
    assert shared.client.delete(f"/v1/memories/{other['id']}").json()["deleted"]
    assert shared.client.delete(f"/v1/memories/{other['id']}").status_code == 404


def test_a_memory_ends_and_what_is_wrong_gets_a_sentence(shared: Any) -> None:
    short = remember(shared, "zoe", "She is away today.", expires_after_days=1.5 / 86_400)
    lasting = remember(shared, "zoe", "She lives in Turku.", expires_after_days=30)
    assert lasting["expires_at"] == pytest.approx(time.time() + 30 * 86_400, abs=60)
    wait_until(lambda: shared.client.get(f"/v1/memories/{short['id']}").status_code == 404, seconds=60, what="its end")
    assert [one["id"] for one in shared.client.get("/v1/memories", params={"user": "zoe"}).json()["data"]] == [
        lasting["id"]
    ]
    for body, said in (
        ({"user": "zoe", "content": ""}, "content"),
        ({"user": "zoe", "content": "x", "metadata": {"kind": "y"}}, "use other keys"),
        ({"content": "x"}, "user"),
        ({"user": "zoe", "content": "x", "kind": "gossip"}, "preference"),
    ):
        refused = shared.client.post("/v1/memories", json=body)
        assert (refused.status_code, said in refused.text) == (422, True), refused.text
    nothing = shared.client.post("/v1/context", json={"query": "x"})
    assert (nothing.status_code, "or memory" in nothing.text) == (422, True)


def test_memories_and_likeness_on_the_command_line(shared: Any) -> None:
    token = shared.client.headers["authorization"].removeprefix("Bearer ")
    environment = {"SLUICE_URL": f"http://127.0.0.1:{shared.port}", "SLUICE_API_KEY": token, "COLUMNS": "200"}

    def ok(*arguments: str) -> str:
        done = CliRunner(env=environment).invoke(app, arguments)
        assert done.exit_code == 0, repr(done.exception)
        return done.stdout

    made = ok(
        "memories", "add", "cli", "Drinks tea.", "--kind", "preference", "--metadata", "n=3", "--days", "9"
    ).split()[0]
    second = ok("memories", "add", "cli", "Lives in Bergen.").split()[0]
    wait_ready(shared, {"id": made}, {"id": second})
    assert json.loads(ok("memories", "show", made))["metadata"] == {"n": 3}
    assert [line.split()[0] for line in ok("memories", "list", "cli").splitlines()[1:]] == [second, made]
    assert ok("memories", "list", "cli", "--kind", "preference").count("mem_") == 1
    assert ok("memories", "search", "cli", "what to drink?", "--top-k", "1").splitlines()[1].split()[1] == made
    assert json.loads(ok("memories", "change", made, "--content", "Drinks coffee."))["content"] == "Drinks coffee."
    ok("memories", "forget", second)
    assert ok("memories", "purge", "cli", "--yes") == "1 memories of cli are forgotten.\n"
    best = ok("similarity", "a small boat", "tax law", "a little ship").splitlines()[1]
    assert best.endswith("a little ship")
    refused = CliRunner(env=environment).invoke(app, ["similarity", "a small boat"])
    assert "--file" in str(refused.exception)
