"""Random operations of three tenants that must never meet: python -m tests.bench.retrieval.tenants [--operations 10000]

Three tenants make, list, read, search and delete over every endpoint of the API in random order; every third operation
names an id that belongs to another tenant. Each text, name and metadata of a tenant holds a word that no other tenant has, and
all of them write about the same thing, so that a search without walls would find the others' texts. Then:

- whatever is asked with a foreign id is answered with 404, and changes nothing;
- no answer to a tenant holds another tenant's word or one of its ids;
- what a tenant made and did not delete is there, and searches find it: nothing passes by being empty.

A path of the API that no operation called fails the run, so that a new endpoint cannot be forgotten here.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from tests.bench.retrieval import tenant_files, tenant_memories
from tests.bench.retrieval.parts import running
from tests.bench.retrieval.tenant_world import DOCUMENTS, TENANTS, Call, Foreign, Operation, Outcome, World

from sluice.testing import wait_until


def foreign_calls(world: World, tenant: str, foreign: Foreign) -> list[Call]:
    """Return every call that can name an id, with ids of another tenant."""
    store, own = foreign.store, foreign.own
    ids = {"store_id": store, "document_id": foreign.document}
    mixed = {"store_id": own, "document_id": foreign.document}
    base, one = "/v1/vector_stores/{store_id}", "/v1/vector_stores/{store_id}/documents/{document_id}"
    add = {"name": world.name(tenant), "text": world.text(tenant)}
    form = {"name": add["name"], "file": add["text"].encode(), "metadata": "{}"}
    return [
        Call("GET", base, ids),
        Call("POST", base, ids, {"name": "taken"}),
        Call("DELETE", base, ids),
        *tenant_files.foreign_calls(foreign),
        *tenant_memories.foreign_calls(foreign.memory),
        Call("GET", f"{base}/documents", ids),
        Call("POST", f"{base}/documents", ids, add),
        Call("POST", f"{base}/documents", ids, form=form),
        Call("POST", f"{base}/search", ids, {"query": "when does the harbour bridge open?"}),
        Call("POST", "/v1/context", {}, {"query": "harbour bridge", "vector_store_ids": [own, store]}),
        *(
            Call(method, f"{one}{rest}", named)
            for named in (ids, mixed)
            for method, rest in (
                ("GET", ""),
                ("GET", "/content"),
                ("GET", "/tables"),
                ("GET", "/image"),
                ("GET", "/thumbnail"),
                ("DELETE", ""),
            )
        ),
    ]


def look_at_stores(world: World, tenant: str) -> None:
    """List the stores, and look at one."""
    call = Call("GET", "/v1/vector_stores", query={"limit": 100})
    listed = {item["id"] for item in world.call(tenant, call).json()["data"]}
    if listed != set(world.owned[tenant].stores):
        world.wrong(tenant, call, "listed other stores than there are")
    world.call(tenant, Call("GET", "/v1/embedding_models")).raise_for_status()
    named = {"store_id": world.store_of(tenant)}
    change = Call("POST", "/v1/vector_stores/{store_id}", named, {"name": f"{TENANTS[tenant]} store, renamed"})
    world.call(tenant, change).raise_for_status()
    one = Call("GET", "/v1/vector_stores/{store_id}", named)
    if world.call(tenant, one).json()["metadata"] != {"owner": TENANTS[tenant]}:
        world.wrong(tenant, one, "showed other metadata")


def add_document(world: World, tenant: str) -> None:
    """Add a document as JSON or as a file."""
    store = world.store_of(tenant)
    documents = world.owned[tenant].stores[store]
    if len(documents) >= DOCUMENTS:
        delete_document(world, tenant)
        return
    text = world.text(tenant)
    name = world.name(tenant)
    path, ids = "/v1/vector_stores/{store_id}/documents", {"store_id": store}
    metadata = {"owner": TENANTS[tenant], "number": world.number}
    if world.dice.random() < 0.5:
        call = Call("POST", path, ids, {"name": name, "text": text, "metadata": metadata})
    else:
        call = Call("POST", path, ids, form={"name": name, "file": text.encode(), "metadata": json.dumps(metadata)})
    made = world.made(tenant, world.call(tenant, call))
    documents[made] = name


def look_at_documents(world: World, tenant: str) -> None:
    """List a store's documents, and read one with its text."""
    store = world.store_of(tenant)
    call = Call("GET", "/v1/vector_stores/{store_id}/documents", {"store_id": store}, query={"limit": 100})
    listed = {item["id"] for item in world.call(tenant, call).json()["data"]}
    if missing := set(world.owned[tenant].stores[store]) - listed:
        world.wrong(tenant, call, f"did not list {missing}")
    found = world.document_of(tenant)
    if found is None:
        return
    ids = {"store_id": found[0], "document_id": found[1]}
    shown = world.call(tenant, Call("GET", "/v1/vector_stores/{store_id}/documents/{document_id}", ids))
    call = Call("GET", "/v1/vector_stores/{store_id}/documents/{document_id}/content", ids)
    if shown.raise_for_status().json()["status"] != "ready":
        world.call(tenant, call)  # a file that no worker has read yet has no text
    elif TENANTS[tenant] not in world.call(tenant, call).raise_for_status().json()["text"]:
        world.wrong(tenant, call, "showed another text")
    tables = "/v1/vector_stores/{store_id}/documents/{document_id}/tables"
    described = world.call(tenant, Call("GET", tables, ids))
    if shown.json()["status"] == "ready":  # likewise
        described.raise_for_status()
    for part in ("image", "thumbnail"):
        asked = Call("GET", f"/v1/vector_stores/{{store_id}}/documents/{{document_id}}/{part}", ids)
        if (status := world.call(tenant, asked).status_code) != httpx.codes.NOT_FOUND:
            world.wrong(tenant, asked, f"answered {status} for a text that is no image")
    asked = Call("POST", f"{tables}/query", ids, {"aggregates": [{"function": "count"}]})
    if (status := world.call(tenant, asked).status_code) != httpx.codes.NOT_FOUND:
        world.wrong(tenant, asked, f"answered {status} for a text without tables")


def delete_document(world: World, tenant: str) -> None:
    """Delete a document."""
    found = world.document_of(tenant)
    if found is None:
        return
    ids = {"store_id": found[0], "document_id": found[1]}
    world.call(tenant, Call("DELETE", "/v1/vector_stores/{store_id}/documents/{document_id}", ids)).raise_for_status()
    world.owned[tenant].drop_document(*found)


def search(world: World, tenant: str) -> None:
    """Search one store, in every mode, with filters and without."""
    store = world.store_of(tenant)
    body: dict[str, Any] = {
        "query": "when does the harbour bridge open for ships?",
        "mode": world.dice.choice(["hybrid", "dense", "bm25"]),
        "top_k": 50,
        "deduplicate": world.dice.random() < 0.3,
        "diversity": world.dice.choice([0, 0.5]),
        "explain": True,
    }
    if world.dice.random() < 0.5:
        other = world.dice.choice(list(TENANTS.values()))
        body["filters"] = {"type": "eq", "key": "owner", "value": other}
    call = Call("POST", "/v1/vector_stores/{store_id}/search", {"store_id": store}, body)
    found = world.call(tenant, call).raise_for_status().json()["data"]
    world.hits(tenant, call, found)


def context(world: World, tenant: str) -> None:
    """Ask for evidence out of all stores."""
    world.store_of(tenant)
    stores = list(world.owned[tenant].stores)
    body = {"query": "harbour bridge at noon", "vector_store_ids": stores, "top_k": 50}
    call = Call("POST", "/v1/context", body=body)
    world.hits(tenant, call, world.call(tenant, call).raise_for_status().json()["citations"])


def embed(world: World, tenant: str) -> None:
    """Embed a text, compare it and rank others."""
    call = Call("POST", "/v1/embeddings", body={"model": "minilm", "input": f"{TENANTS[tenant]} at noon"})
    if len(world.call(tenant, call).raise_for_status().json()["data"][0]["embedding"]) == 0:
        world.wrong(tenant, call, "gave no vector")
    targets = [f"{TENANTS[tenant]} at night", [0.5] * 384]
    call = Call("POST", "/v1/similarity", body={"source": f"{TENANTS[tenant]} at noon", "targets": targets})
    if len(world.call(tenant, call).raise_for_status().json()["data"]) != len(targets):
        world.wrong(tenant, call, "did not compare both")
    texts = [f"{TENANTS[tenant]} at night", "rain in the morning"]
    call = Call("POST", "/v1/rerank", body={"model": "features", "query": "at night", "documents": texts})
    if [one["index"] for one in world.call(tenant, call).raise_for_status().json()["results"]] != [0, 1]:
        world.wrong(tenant, call, "did not rank what was given")


OPERATIONS: list[Operation] = [
    World.make_store,
    *[add_document] * 3,
    look_at_stores,
    look_at_documents,
    delete_document,
    *tenant_files.OPERATIONS,
    *tenant_memories.OPERATIONS,
    *[search] * 3,
    *[context] * 2,
    embed,
]


def finish(world: World) -> None:
    """Wait until all is ingested; then each tenant finds everything that it has, and nothing else."""
    for tenant, owned in world.owned.items():
        for store, documents in owned.stores.items():
            path = "/v1/vector_stores/{store_id}/documents"

            def ready(tenant: str = tenant, store: str = store, path: str = path) -> bool:
                listed = world.call(tenant, Call("GET", path, {"store_id": store}, query={"limit": 100})).json()["data"]
                return all(item["status"] == "ready" for item in listed)

            wait_until(ready, seconds=120, every=0.3, what="all documents being ready")
            body = {"query": "harbour bridge", "top_k": 50, "mode": "bm25"}
            call = Call("POST", "/v1/vector_stores/{store_id}/search", {"store_id": store}, body)
            hits = world.call(tenant, call).raise_for_status().json()["data"]
            world.hits(tenant, call, hits)
            found = {hit["document_id"] for hit in hits}
            if found != set(documents):
                world.wrong(tenant, call, f"at the end found {found} and not {set(documents)}")
    if missing := world.paths - set(world.outcome.calls):
        world.outcome.wrong.append(f"no operation called {sorted(missing)}")


def live(folder: Path, operations: int, seed: int) -> Outcome:
    """Run the tenants on real processes, and return what was seen."""
    with running(folder) as retrieval:
        retrieval.serve()
        retrieval.work()
        gateway = retrieval.gateway("http://127.0.0.1:9/v1", "none")
        world = World(retrieval, gateway.url, seed, foreign_calls)
        calls = world.outcome.calls
        while (done := calls.total()) < operations or (done < 3 * operations and world.paths - set(calls)):
            world.step(OPERATIONS)  # a short run goes on until chance has called every endpoint
        finish(world)
        return world.outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = live(Path(folder), arguments.operations, arguments.seed)
    total = sum(outcome.calls.values())
    print(f"{total} operations over {len(outcome.calls)} endpoints in {time.monotonic() - started:.0f} s")
    print(f"{outcome.foreign} of them named ids of another tenant")
    print(f"{outcome.full_searches} searches found {outcome.hits} chunks")
    print("\n".join(outcome.wrong[:20]) or "0 foreign rows, and every foreign id was answered with 404")
    sys.exit(bool(outcome.wrong))


if __name__ == "__main__":
    main()
