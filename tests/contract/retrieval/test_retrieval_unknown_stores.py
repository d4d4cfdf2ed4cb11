"""No model reads a question to a store that is not there."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from sluice.contracts.searching import SearchRequest
from sluice.testing import service_headers
from sluice_retrieval.domain.embedding import Embedded, Embedder, Lane
from sluice_retrieval.domain.errors import StoreNotFound
from sluice_retrieval.routes.finding import find_hits

ACME = service_headers("retrieval", "acme", role="member")

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Watched:
    """The model that answers, and what it was asked."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.asked: list[tuple[str | None, str]] = []

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        self.asked += [(tenant, text) for text in texts]
        return await self._inner.embed(texts, lane, tenant)


async def test_a_question_is_read_only_where_its_store_is(api: httpx.AsyncClient, app: FastAPI) -> None:
    made = await api.post("/v1/vector_stores", json={"name": "notes"}, headers=ACME)
    store = str(made.json()["id"])
    space = app.state.deps.answering.now
    model = Watched(space.embedder)
    deps = replace(app.state.deps, answering=SimpleNamespace(now=space._replace(embedder=model)))

    async def ask(tenant: str, one: str, word: str) -> None:
        await find_hits(deps, tenant, (one,), SearchRequest(query=word))

    for tenant, one in (("acme", "vs_none"), ("acme", "vs_none"), ("other", store)):
        with pytest.raises(StoreNotFound):
            await ask(tenant, one, "harbour")
    assert model.asked == []
    await ask("acme", store, "harbour")
    await ask("acme", store, "bridge")
    with pytest.raises(StoreNotFound):
        await ask("other", store, "harbour")
    assert model.asked == [("acme", "harbour"), ("acme", "bridge")]
    await api.delete(f"/v1/vector_stores/{store}", headers=ACME)
    for _ in range(3):
        with pytest.raises(StoreNotFound):
            await ask("acme", store, "tide")
    assert len(model.asked) <= 3, "only the first search after the store went begins to read"


async def test_a_context_may_leave_out_stores_that_are_not_there(api: httpx.AsyncClient) -> None:
    made = await api.post("/v1/vector_stores", json={"name": "harbour"}, headers=ACME)
    store = str(made.json()["id"])
    asked = {"query": "harbour", "vector_store_ids": ["vs_gone", store]}
    assert (await api.post("/v1/context", json=asked, headers=ACME)).status_code == 404
    answer = await api.post("/v1/context", json=asked | {"missing_stores": "leave_out"}, headers=ACME)
    assert answer.status_code == 200, answer.text
    assert answer.json()["missing_store_ids"] == ["vs_gone"]
    known = {"known_version": answer.json()["version"], "missing_stores": "leave_out"}
    assert (await api.post("/v1/context", json=asked | known, headers=ACME)).json()["unchanged"]
    none = asked | {"missing_stores": "leave_out", "vector_store_ids": ["vs_gone"]}
    answer = await api.post("/v1/context", json=none, headers=ACME)
    assert (answer.status_code, answer.json()["text"], answer.json()["missing_store_ids"]) == (200, "", ["vs_gone"])
    await api.delete(f"/v1/vector_stores/{store}", headers=ACME)
    answer = await api.post("/v1/context", json=asked | {"missing_stores": "leave_out"}, headers=ACME)
    assert answer.json()["missing_store_ids"] == ["vs_gone", store]
