"""What tenants do with files of their stores and with batches of them."""

from typing import Any

from tests.bench.retrieval.tenant_world import DOCUMENTS, TENANTS, Call, Foreign, Operation, World

from sluice.testing import wait_until

_FILES = "/v1/vector_stores/{store_id}/files"
_FILE = f"{_FILES}/{{file_id}}"
_BATCHES = "/v1/vector_stores/{store_id}/file_batches"
_BATCH = f"{_BATCHES}/{{batch_id}}"


def foreign_calls(foreign: Foreign) -> list[Call]:
    """Return every call about files and batches, with ids of another tenant."""
    ids = {"store_id": foreign.store, "file_id": foreign.file, "batch_id": foreign.batch}
    mixed = {**ids, "store_id": foreign.own}
    return [
        Call("GET", _FILES, ids),
        Call("POST", _BATCHES, ids, {"file_ids": [foreign.file]}),
        *(
            call
            for named in (ids, mixed)
            for call in (
                Call("POST", _FILES, named, {"file_id": foreign.file}),
                Call("POST", _BATCHES, named, {"file_ids": [foreign.file]}),
                Call("GET", _FILE, named),
                Call("POST", _FILE, named, {"attributes": {"owner": "taken"}}),
                Call("DELETE", _FILE, named),
                Call("GET", f"{_FILE}/content", named),
                Call("GET", _BATCH, named),
                Call("POST", f"{_BATCH}/cancel", named),
                Call("GET", f"{_BATCH}/files", named),
            )
        ),
    ]


def add_file(world: World, tenant: str) -> None:
    """Upload a file and put it into a store."""
    store = world.store_of(tenant)
    if len(world.owned[tenant].stores[store]) >= DOCUMENTS:
        delete_file(world, tenant)
        return
    body = {"file_id": world.upload(tenant), "attributes": {"owner": TENANTS[tenant]}}
    made = world.call(tenant, Call("POST", _FILES, {"store_id": store}, body)).raise_for_status().json()
    _note(world, tenant, store, made)


def look_at_files(world: World, tenant: str) -> None:
    """List a store's files, then read and change one."""
    store = world.store_of(tenant)
    call = Call("GET", _FILES, {"store_id": store}, query={"limit": 100})
    listed = {item["document_id"] for item in world.call(tenant, call).raise_for_status().json()["data"]}
    if listed != set(world.owned[tenant].stores[store]):
        world.wrong(tenant, call, f"listed {listed} and not {set(world.owned[tenant].stores[store])}")
    found = _file_of(world, tenant)
    if found is None:
        return
    one = Call("GET", _FILE, found)

    def ready() -> bool:
        return bool(world.call(tenant, one).raise_for_status().json()["status"] == "completed")

    wait_until(ready, seconds=60, every=0.1, what="a file being ingested")
    change = Call("POST", _FILE, found, {"attributes": {"owner": TENANTS[tenant], "seen": True}})
    if world.call(tenant, change).raise_for_status().json()["attributes"].get("seen") is not True:
        world.wrong(tenant, change, "changed nothing")
    content = Call("GET", f"{_FILE}/content", found)
    if TENANTS[tenant] not in world.call(tenant, content).raise_for_status().text:
        world.wrong(tenant, content, "showed another text")


def delete_file(world: World, tenant: str) -> None:
    """Take a file out of its store."""
    found = _file_of(world, tenant)
    if found is None:
        return
    world.call(tenant, Call("DELETE", _FILE, found)).raise_for_status()
    owned, store = world.owned[tenant], found["store_id"]
    owned.drop_document(store, owned.files[store][found["file_id"]])


def add_batch(world: World, tenant: str) -> None:
    """Put two files into a store together and look at the batch; now and then cancel it and take them out."""
    store = world.store_of(tenant)
    if len(world.owned[tenant].stores[store]) >= DOCUMENTS:
        return
    body = {"file_ids": [world.upload(tenant), world.upload(tenant)], "attributes": {"owner": TENANTS[tenant]}}
    batch = world.made(tenant, world.call(tenant, Call("POST", _BATCHES, {"store_id": store}, body)))
    world.owned[tenant].batches.setdefault(store, []).append(batch)
    ids = {"store_id": store, "batch_id": batch}
    cancelled = world.dice.random() < 1 / 3
    if cancelled:
        world.call(tenant, Call("POST", f"{_BATCH}/cancel", ids)).raise_for_status()
    one = Call("GET", _BATCH, ids)
    if world.call(tenant, one).raise_for_status().json()["file_counts"]["total"] != len(body["file_ids"]):
        world.wrong(tenant, one, "counted other files than were sent")
    call = Call("GET", f"{_BATCH}/files", ids)
    files = world.call(tenant, call).raise_for_status().json()["data"]
    if {file["id"] for file in files} != set(body["file_ids"]):
        world.wrong(tenant, call, "listed other files than were sent")
    for file in files:
        _note(world, tenant, store, file)
        if cancelled:
            world.call(tenant, Call("DELETE", _FILE, {"store_id": store, "file_id": file["id"]})).raise_for_status()
            world.owned[tenant].drop_document(store, file["document_id"])


def _note(world: World, tenant: str, store: str, file: dict[str, Any]) -> None:
    owned = world.owned[tenant]
    owned.stores[store][file["document_id"]] = file["filename"]
    owned.files.setdefault(store, {})[file["id"]] = file["document_id"]
    owned.ever.update((file["id"], file["document_id"]))


def _file_of(world: World, tenant: str) -> dict[str, str] | None:
    found = [(store, file) for store, files in world.owned[tenant].files.items() for file in files]
    if not found:
        return None
    store, file = world.dice.choice(found)
    return {"store_id": store, "file_id": file}


OPERATIONS: list[Operation] = [*[add_file] * 2, *[look_at_files] * 2, delete_file, add_batch]
