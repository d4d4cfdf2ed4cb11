"""Three tenants, what each of them has, and calls of theirs whose answers are searched for the others' traces."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
from tests.bench.retrieval.parts import Retrieval

from sluice.testing import admin_headers, service_headers

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
    """What a tenant has: stores with their documents (id to name), their files (id to document) and their batches; memories (id to user)."""

    stores: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    batches: dict[str, list[str]] = field(default_factory=dict)
    memories: dict[str, str] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)

    def drop_store(self, store: str) -> None:
        """Forget a store and what was in it."""
        for kept in (self.stores, self.files, self.batches):
            kept.pop(store, None)

    def drop_document(self, store: str, document: str) -> None:
        """Forget a document, and the file that it was made from."""
        del self.stores[store][document]
        files = self.files.get(store, {})
        for file in [one for one, made in files.items() if made == document]:
            del files[file]


class Foreign(NamedTuple):
    """Ids of another tenant, and a store of one's own (the foreign one again when there is none)."""

    store: str
    document: str
    file: str
    batch: str
    own: str
    memory: str = "mem_none"


@dataclass
class Outcome:
    """What was done, and what was wrong with it."""

    calls: Counter[str] = field(default_factory=Counter)
    foreign: int = 0
    hits: int = 0
    full_searches: int = 0
    wrong: list[str] = field(default_factory=list)


class World:
    """The tenants, and what is known of them; `foreign_calls` are the calls that can name a foreign id."""

    def __init__(
        self,
        retrieval: Retrieval,
        gateway_url: str,
        seed: int,
        foreign_calls: Callable[["World", str, "Foreign"], list[Call]],
    ) -> None:
        self.retrieval = retrieval
        self.gateway_url = gateway_url
        self.keys = {tenant: _key(gateway_url, tenant) for tenant in TENANTS}
        self.foreign_calls = foreign_calls
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

    def step(self, operations: Sequence["Operation"]) -> None:
        """Do one operation: one of these, or a call with another tenant's ids."""
        tenant = self.dice.choice(list(TENANTS))
        if self.dice.random() < 1 / 3 and self._foreign(tenant):
            return
        self.dice.choice(operations)(self, tenant)

    def _foreign(self, tenant: str) -> bool:
        """Name another tenant's ids in a call; false if there are none yet."""
        others = [
            (other, store, document)
            for other, owned in self.owned.items()
            if other != tenant
            for store, documents in owned.stores.items()
            for document in documents or ("doc_none",)
        ]
        if not others:
            return False
        other, store, document = self.dice.choice(others)
        owned = self.owned[other]
        file = self.dice.choice([*owned.files.get(store, {})] or ["file-none"])
        batch = self.dice.choice(owned.batches.get(store, []) or ["vsfb_none"])
        own = self.dice.choice(list(self.owned[tenant].stores) or [store])
        memory = self.dice.choice([*owned.memories] or ["mem_none"])
        call = self.dice.choice(self.foreign_calls(self, tenant, Foreign(store, document, file, batch, own, memory)))
        self.outcome.foreign += 1
        answer = self.call(tenant, call)
        if answer.status_code != httpx.codes.NOT_FOUND:
            self.wrong(tenant, call, f"with a foreign id answered {answer.status_code}: {answer.text[:200]}")
        return True

    def store_of(self, tenant: str) -> str:
        """Return one of the tenant's stores; makes one if there is none."""
        if not self.owned[tenant].stores:
            self.make_store(tenant)
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

    def make_store(self, tenant: str) -> None:
        """Make a store, or delete one if there are many."""
        owned = self.owned[tenant]
        if len(owned.stores) >= STORES:
            gone = self.dice.choice(list(owned.stores))
            call = Call("DELETE", "/v1/vector_stores/{store_id}", {"store_id": gone})
            self.call(tenant, call).raise_for_status()
            owned.drop_store(gone)
        word = TENANTS[tenant]
        body = {"name": f"{word} store", "metadata": {"owner": word}}
        owned.stores[self.made(tenant, self.call(tenant, Call("POST", "/v1/vector_stores", body=body)))] = {}

    def upload(self, tenant: str) -> str:
        """Upload a file to the gateway, and return its id."""
        answer = httpx.post(
            f"{self.gateway_url}/v1/files",
            files={"file": (self.name(tenant), self.text(tenant).encode())},
            data={"purpose": "assistants"},
            headers={"authorization": f"Bearer {self.keys[tenant]}"},
            trust_env=False,
            timeout=60,
        )
        return self.made(tenant, answer)


def _key(gateway_url: str, tenant: str) -> str:
    body = {"name": "tenants", "tenant": tenant}
    answer = httpx.post(f"{gateway_url}/admin/keys", json=body, headers=admin_headers(), trust_env=False, timeout=60)
    return str(answer.raise_for_status().json()["key"])


Operation = Callable[[World, str], None]
