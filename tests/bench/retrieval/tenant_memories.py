"""Operations of three tenants on memories of end users, who have the same names at all of them."""

from tests.bench.retrieval.tenant_world import TENANTS, Call, Operation, World

_USERS = ("ada", "bob")
_KINDS = ("knowledge", "experience", "preference")
_ONE = "/v1/memories/{memory_id}"


def foreign_calls(memory: str) -> list[Call]:
    """Return every call that can name a memory, with one of another tenant."""
    ids = {"memory_id": memory}
    return [Call("GET", _ONE, ids), Call("POST", _ONE, ids, {"content": "taken"}), Call("DELETE", _ONE, ids)]


def remember(world: World, tenant: str) -> None:
    """Remember something of a user, or change it."""
    memories = world.owned[tenant].memories
    content = world.text(tenant)
    if memories and world.dice.random() < 0.4:
        call = Call("POST", _ONE, {"memory_id": world.dice.choice(list(memories))}, {"content": content})
        world.call(tenant, call).raise_for_status()
        return
    user = world.dice.choice(_USERS)
    body = {"user": user, "content": content, "kind": world.dice.choice(_KINDS), "metadata": {"owner": TENANTS[tenant]}}
    memories[world.made(tenant, world.call(tenant, Call("POST", "/v1/memories", body=body)))] = user


def recall(world: World, tenant: str) -> None:
    """List, read and search the memories of a user, and have them in a context."""
    user = world.dice.choice(_USERS)
    mine = {one for one, of in world.owned[tenant].memories.items() if of == user}
    call = Call("GET", "/v1/memories", query={"user": user, "limit": 100})
    listed = {one["id"] for one in world.call(tenant, call).raise_for_status().json()["data"]}
    if listed != mine:
        world.wrong(tenant, call, f"listed {listed} and not {mine}")
    for memory in sorted(mine)[:1]:
        world.call(tenant, Call("GET", _ONE, {"memory_id": memory})).raise_for_status()
    body = {"user": user, "query": "when does the harbour bridge open?", "top_k": 20}
    call = Call("POST", "/v1/memories/search", body=body)
    found = {one["memory"]["id"] for one in world.call(tenant, call).raise_for_status().json()["data"]}
    if not found <= mine:
        world.wrong(tenant, call, f"found {found - mine}")
    asked = {"query": "harbour bridge", "memory": {"user": user, "top_k": 20}}
    world.call(tenant, Call("POST", "/v1/context", body=asked)).raise_for_status()


def forget(world: World, tenant: str) -> None:
    """Forget one memory, or all of a user."""
    memories = world.owned[tenant].memories
    if memories and world.dice.random() < 0.7:
        gone = world.dice.choice(list(memories))
        world.call(tenant, Call("DELETE", _ONE, {"memory_id": gone})).raise_for_status()
        del memories[gone]
        return
    user = world.dice.choice(_USERS)
    call = Call("DELETE", "/v1/memories", query={"user": user})
    deleted = world.call(tenant, call).raise_for_status().json()["deleted"]
    mine = [one for one, of in memories.items() if of == user]
    if deleted != len(mine):
        world.wrong(tenant, call, f"deleted {deleted} and not {len(mine)}")
    for one in mine:
        del memories[one]


OPERATIONS: list[Operation] = [remember, remember, recall, recall, forget]
