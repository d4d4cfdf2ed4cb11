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
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tests.bench.retrieval.parts import Retrieval, running

from sluice.testing import service_headers, wait_until

TENANTS = {"acme": "quartzine", "globex": "velkorum", "initech": "marblune"}
STORES = 4
DOCUMENTS = 6
NOT_OF_A_TENANT = ("/internal/", "/healthz", "/readyz", "/metrics")


class Call(NamedTuple):
    """One call: where `{store_id}` and the like stand in the path they are filled in."""

    method: str
    path: str
    ids: Mapping[str, str] = {}
    body: Any = None
    form: Mapping[str, Any] | None = None
    query: Mapping[str, Any] = {}


@dataclass
class Owned:
    """What a tenant has: stores with their documents (id to name)."""

    stores: dict[str, dict[str, str]] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)


@dataclass
class Outcome:
    """What was done, and what was wrong with it."""

    calls: Counter[str] = field(default_factory=Counter)
    foreign: int = 0
    hits: int = 0
    full_searches: int = 0
    wrong: list[str] = field(default_factory=list)


class World:
    """The tenants, and what is known of them."""

    def __init__(self, retrieval: Retrieval, seed: int) -> None:
        self.retrieval = retrieval
        self.dice = random.Random(seed)
        self.owned = {tenant: Owned() for tenant in TENANTS}
        self.headers = {tenant: service_headers("retrieval", tenant, role="member") for tenant in TENANTS}
        self.outcome = Outcome()
        self.number = 0
        described = retrieval.client.get("/openapi.json").raise_for_status().json()["paths"]
        self.paths = {
            f"{method.upper()} {path}"
            for path, methods in described.items()
            for method in methods
            if not path.startswith(NOT_OF_A_TENANT)
        }

    def call(self, tenant: str, call: Call) -> httpx.Response:
        """Send one call and look for other tenants in its answer."""
        answer = self.retrieval.client.request(
            call.method,
            call.path.format(**call.ids),
            json=call.body,
            files=None if call.form is None else {"file": ("notes.md", call.form["file"])},
            data=None if call.form is None else {"name": call.form["name"], "metadata": call.form["metadata"]},
            params=dict(call.query),
            headers=self.headers[tenant],
        )
        self.outcome.calls[f"{call.method} {call.path}"] += 1
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            self.wrong(tenant, call, f"answered {answer.status_code}: {answer.text[:200]}")
        sent = json.dumps([dict(call.ids), call.body, dict(call.query)])
        for other, word in TENANTS.items():
            if other == tenant:
                continue
            ids = [one for one in self.owned[other].ever if one in answer.text and one not in sent]
            if word in answer.text or ids:
                self.wrong(tenant, call, f"saw {word if word in answer.text else ids} of {other}")
        return answer

    def wrong(self, tenant: str, call: Call, what: str) -> None:
        self.outcome.wrong.append(f"{tenant}: {call.method} {call.path} {what}")

    def made(self, tenant: str, answer: httpx.Response) -> str:
        found = str(answer.raise_for_status().json()["id"])
        self.owned[tenant].ever.add(found)
        return found

    def text(self, tenant: str) -> str:
        self.number += 1
        word = TENANTS[tenant]
        return f"The {word} report number {self.number} says that the harbour bridge opens at noon for tall ships."

    def name(self, tenant: str) -> str:
        return f"{TENANTS[tenant]}-{self.number}.txt"

    def step(self) -> None:
        """Do one operation."""
        tenant = self.dice.choice(list(TENANTS))
        if self.dice.random() < 1 / 3 and self._foreign(tenant):
            return
        self.dice.choice(OPERATIONS)(self, tenant)

    def _foreign(self, tenant: str) -> bool:
        """Name another tenant's ids in a call; false if there are none yet."""
        others = [
            (store, document)
            for other, owned in self.owned.items()
            if other != tenant
            for store, documents in owned.stores.items()
            for document in documents or ("doc_none",)
        ]
        if not others:
            return False
        store, document = self.dice.choice(others)
        own = self.dice.choice(list(self.owned[tenant].stores) or [store])
        call = self.dice.choice(foreign_calls(self, tenant, store, document, own))
        self.outcome.foreign += 1
        answer = self.call(tenant, call)
        if answer.status_code != httpx.codes.NOT_FOUND:
            self.wrong(tenant, call, f"with a foreign id answered {answer.status_code}: {answer.text[:200]}")
        return True

    def store_of(self, tenant: str) -> str:
        """Return one of the tenant's stores; makes one if there is none."""
        if not self.owned[tenant].stores:
            make_store(self, tenant)
        return self.dice.choice(list(self.owned[tenant].stores))

    def document_of(self, tenant: str) -> tuple[str, str] | None:
        """Return a store and a document in it, if there is any."""
        all_of_them = [(store, one) for store, found in self.owned[tenant].stores.items() for one in found]
        return self.dice.choice(all_of_them) if all_of_them else None

    def hits(self, tenant: str, call: Call, found: list[Mapping[str, Any]]) -> None:
        """Check that hits are of the tenant's own documents that are still there."""
        self.outcome.hits += len(found)
        self.outcome.full_searches += len(found) > 0
        known = {one for documents in self.owned[tenant].stores.values() for one in documents}
        if any(hit["document_id"] not in known for hit in found):
            self.wrong(tenant, call, "found a document that is not there")


def foreign_calls(world: World, tenant: str, store: str, document: str, own: str) -> list[Call]:
    """Return every call that can name an id, with ids of another tenant."""
    ids = {"store_id": store, "document_id": document}
    mixed = {"store_id": own, "document_id": document}
    base, one = "/v1/vector_stores/{store_id}", "/v1/vector_stores/{store_id}/documents/{document_id}"
    add = {"name": world.name(tenant), "text": world.text(tenant)}
    form = {"name": add["name"], "file": add["text"].encode(), "metadata": "{}"}
    return [
        Call("GET", base, ids),
        Call("DELETE", base, ids),
        Call("GET", f"{base}/documents", ids),
        Call("POST", f"{base}/documents", ids, add),
        Call("POST", f"{base}/documents", ids, form=form),
        Call("POST", f"{base}/search", ids, {"query": "when does the harbour bridge open?"}),
        Call("POST", "/v1/context", {}, {"query": "harbour bridge", "vector_store_ids": [own, store]}),
        *(
            Call(method, f"{one}{rest}", named)
            for named in (ids, mixed)
            for method, rest in (("GET", ""), ("GET", "/content"), ("DELETE", ""))
        ),
    ]


def make_store(world: World, tenant: str) -> None:
    """Make a store, or delete one if there are many."""
    stores = world.owned[tenant].stores
    if len(stores) >= STORES:
        gone = world.dice.choice(list(stores))
        call = Call("DELETE", "/v1/vector_stores/{store_id}", {"store_id": gone})
        world.call(tenant, call).raise_for_status()
        del stores[gone]
    word = TENANTS[tenant]
    body = {"name": f"{word} store", "metadata": {"owner": word}}
    stores[world.made(tenant, world.call(tenant, Call("POST", "/v1/vector_stores", body=body)))] = {}


def look_at_stores(world: World, tenant: str) -> None:
    """List the stores, and look at one."""
    call = Call("GET", "/v1/vector_stores", query={"limit": 100})
    listed = {item["id"] for item in world.call(tenant, call).json()["data"]}
    if listed != set(world.owned[tenant].stores):
        world.wrong(tenant, call, "listed other stores than there are")
    one = Call("GET", "/v1/vector_stores/{store_id}", {"store_id": world.store_of(tenant)})
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
    world.call(tenant, Call("GET", "/v1/vector_stores/{store_id}/documents/{document_id}", ids)).raise_for_status()
    call = Call("GET", "/v1/vector_stores/{store_id}/documents/{document_id}/content", ids)
    if TENANTS[tenant] not in world.call(tenant, call).raise_for_status().json()["text"]:
        world.wrong(tenant, call, "showed another text")


def delete_document(world: World, tenant: str) -> None:
    """Delete a document."""
    found = world.document_of(tenant)
    if found is None:
        return
    ids = {"store_id": found[0], "document_id": found[1]}
    world.call(tenant, Call("DELETE", "/v1/vector_stores/{store_id}/documents/{document_id}", ids)).raise_for_status()
    del world.owned[tenant].stores[found[0]][found[1]]


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
    """Embed a text."""
    call = Call("POST", "/v1/embeddings", body={"model": "minilm", "input": f"{TENANTS[tenant]} at noon"})
    if len(world.call(tenant, call).raise_for_status().json()["data"][0]["embedding"]) == 0:
        world.wrong(tenant, call, "gave no vector")


OPERATIONS: list[Callable[[World, str], None]] = [
    make_store,
    *[add_document] * 3,
    look_at_stores,
    look_at_documents,
    delete_document,
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
        world = World(retrieval, seed)
        while sum(world.outcome.calls.values()) < operations:
            world.step()
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
