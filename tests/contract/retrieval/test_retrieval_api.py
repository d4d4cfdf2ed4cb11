"""The REST API: stores, documents, uploads, isolation of tenants, and sentences for what is wrong."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from sluice.clients.retrieval import RetrievalClient
from sluice.contracts.embeddings import EmbeddingRequest
from sluice.contracts.retrieval import ContextRequest, DocumentCreate, VectorStoreCreate
from sluice.contracts.searching import SearchRequest
from sluice.errors import NotFound
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, service_client, service_headers
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.domain.spaces import EverySpace
from sluice_retrieval.domain.sweep import Sweep
from sluice_retrieval.store.jobs import IngestJobs

ACME = service_headers("retrieval", "acme", role="member")
PAGED = service_headers("retrieval", "paged", role="member")
SINGLE = service_headers("retrieval", "single", role="member")
OTHER = service_headers("retrieval", "other", role="member")

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def make_store(api: httpx.AsyncClient, headers: dict[str, str] = ACME) -> str:
    answer = await api.post("/v1/vector_stores", json={"name": "notes"}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def add(api: httpx.AsyncClient, store: str, name: str = "a.txt", text: str = "Some text.") -> httpx.Response:
    return await api.post(f"/v1/vector_stores/{store}/documents", json={"name": name, "text": text}, headers=ACME)


async def upload(api: httpx.AsyncClient, store: str, filename: str, raw: bytes, **fields: str) -> httpx.Response:
    return await api.post(
        f"/v1/vector_stores/{store}/documents", files={"file": (filename, raw)}, data=fields, headers=ACME
    )


async def test_a_store_is_made_read_listed_and_deleted(api: httpx.AsyncClient) -> None:
    made = await api.post(
        "/v1/vector_stores",
        json={"name": "notes", "chunking": {"strategy": "fixed", "max_tokens": 32}, "metadata": {"team": "search"}},
        headers=SINGLE,
    )
    store = made.json()
    assert store["id"].startswith("vs_")
    assert store["chunking"] == {"strategy": "fixed", "max_tokens": 32, "overlap_tokens": 16}
    assert (await api.get(f"/v1/vector_stores/{store['id']}", headers=SINGLE)).json() == store
    listed = (await api.get("/v1/vector_stores", headers=SINGLE)).json()
    assert (listed["data"], listed["has_more"]) == ([store], False)
    gone = await api.delete(f"/v1/vector_stores/{store['id']}", headers=SINGLE)
    assert gone.json() == {"id": store["id"], "object": "vector_store.deleted", "deleted": True}
    assert (await api.get(f"/v1/vector_stores/{store['id']}", headers=SINGLE)).status_code == 404
    assert (await api.delete(f"/v1/vector_stores/{store['id']}", headers=SINGLE)).status_code == 404


async def test_texts_and_vectors_are_compared(api: httpx.AsyncClient) -> None:
    asked = {"source": "a small boat", "targets": ["a little ship", "tax law", "a small boat"]}
    answer = await api.post("/v1/similarity", json=asked, headers=ACME)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    near, far, same = (one["score"] for one in found["data"])
    assert -1 <= far < near < same <= 1
    assert same == pytest.approx(1)
    assert (found["metric"], found["model"], found["prompt_tokens"] > 5) == ("cosine", "minilm", True)
    numbers = {"source": [3, 0], "targets": [[0, 4], [-6, 0]], "metric": "euclidean"}
    plain = (await api.post("/v1/similarity", json=numbers, headers=ACME)).json()
    assert [(one["distance"], one["score"]) for one in plain["data"]] == [
        (pytest.approx(5), pytest.approx(1 / 6)),
        (pytest.approx(9), pytest.approx(0.1)),
    ]
    assert plain["model"] is None
    opposite = (await api.post("/v1/similarity", json={**numbers, "metric": "cosine"}, headers=ACME)).json()
    assert [one["score"] for one in opposite["data"]] == [0, -1]
    for wrong, status in (
        ({"source": [1, 2], "targets": [[1, 2, 3]]}, 400),
        ({"source": [0, 0], "targets": [[1, 2]]}, 400),
        ({"source": "x", "targets": ["y"], "model": "unheard"}, 404),
        ({"source": "", "targets": ["y"]}, 422),
    ):
        assert (await api.post("/v1/similarity", json=wrong, headers=ACME)).status_code == status, wrong


async def test_texts_are_ranked_without_a_store(api: httpx.AsyncClient) -> None:
    documents = [
        "The tax is due in May.",
        {"text": "A ferry leaves at nine."},
        "The ferry to Oslo leaves pier four at 06:15.",
    ]
    asked = {"model": "features", "query": "When does the ferry to Oslo leave?", "documents": documents}
    answer = await api.post("/v1/rerank", json=asked, headers=ACME)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [one["index"] for one in found["results"]] == [2, 1, 0]
    scores = [one["relevance_score"] for one in found["results"]]
    assert 1 >= scores[0] > scores[1] > scores[2] >= 0
    assert found["usage"]["prompt_tokens"] > 20
    best = (await api.post("/v1/rerank", json={**asked, "top_n": 1, "return_documents": False}, headers=ACME)).json()
    assert best["results"] == found["results"][:1]
    single = (await api.post("/v1/rerank", json={**asked, "documents": ["x"], "query": "?"}, headers=ACME)).json()
    assert [one["index"] for one in single["results"]] == [0]
    for changed, status, sentence in (
        ({"model": "rerank-v3.5"}, 404, "'features'"),
        ({"documents": [" "]}, 400, "not empty"),
        ({"documents": []}, 400, "`documents` must not be empty"),
        ({"documents": [7]}, 400, "documents.0"),
        ({"documents": ["word " * 4000]}, 400, "more than 3000 tokens"),
        ({"top_n": 0}, 400, "`top_n` must be 1 or more"),
    ):
        refused = await api.post("/v1/rerank", json={**asked, **changed}, headers=ACME)
        assert (refused.status_code, sentence in refused.json()["error"]["message"]) == (status, True), refused.text


async def test_how_a_store_ranks_is_fixed_and_captions_are_not(api: httpx.AsyncClient) -> None:
    made = await api.post("/v1/vector_stores", json={"name": "n", "metric": "euclidean"}, headers=ACME)
    path = f"/v1/vector_stores/{made.json()['id']}"
    refused = await api.post(path, json={"metric": "cosine"}, headers=ACME)
    assert (refused.status_code, "fixed when a store is made" in refused.text) == (422, True)
    changed = (await api.post(path, json={"captions": False, "name": "m"}, headers=ACME)).json()
    assert (changed["metric"], changed["captions"], changed["name"]) == ("euclidean", False, "m")


async def test_lists_are_paged_in_both_orders(api: httpx.AsyncClient) -> None:
    stores = []
    for _ in range(5):
        stores.append(await make_store(api, PAGED))
        await asyncio.sleep(0.002)
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await api.get("/v1/vector_stores", params={"limit": 2, **after}, headers=PAGED)).json()
        seen += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert seen == stores[::-1]
    rising = (await api.get("/v1/vector_stores", params={"order": "asc", "limit": 3}, headers=PAGED)).json()
    assert [item["id"] for item in rising["data"]] == stores[:3]
    assert (await api.get("/v1/vector_stores", params={"limit": 0}, headers=PAGED)).status_code == 422


async def test_documents_are_listed_by_status(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    document = (await add(api, store)).json()
    assert (document["status"], document["bytes"], document["vector_store_id"]) == ("queued", 10, store)
    path = f"/v1/vector_stores/{store}/documents"
    assert (await api.get(path, params={"status": "queued"}, headers=ACME)).json()["data"] == [document]
    assert (await api.get(path, params={"status": "ready"}, headers=ACME)).json()["data"] == []
    assert (await api.get(path, params={"status": "lost"}, headers=ACME)).status_code == 422
    assert (await api.get(f"{path}/{document['id']}", headers=ACME)).json() == document
    assert (await api.delete(f"{path}/{document['id']}", headers=ACME)).json()["deleted"]
    assert (await api.get(f"{path}/{document['id']}", headers=ACME)).json()["code"] == "document_not_found"


async def test_a_documents_text_is_given_whole_or_in_part(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    text = "Füße 🛳️ and\r\nmore"
    document = (await add(api, store, text=text)).json()["id"]
    path = f"/v1/vector_stores/{store}/documents/{document}/content"
    whole = (await api.get(path, headers=ACME)).json()
    assert (whole["text"], whole["start"], whole["end"], whole["length"]) == (text, 0, len(text), len(text))
    assert (whole["name"], whole["media_type"], whole["document_id"]) == ("a.txt", "text/plain", document)
    part = (await api.get(path, params={"start": 5, "length": 6}, headers=ACME)).json()
    assert (part["text"], part["start"], part["end"]) == (text[5:11], 5, 11)
    behind = (await api.get(path, params={"start": 500}, headers=ACME)).json()
    assert (behind["text"], behind["start"], behind["end"], behind["length"]) == ("", len(text), len(text), len(text))
    assert (await api.get(path, params={"length": 0}, headers=ACME)).status_code == 422
    assert (await api.get(f"/v1/vector_stores/{store}/documents/doc_404/content", headers=ACME)).status_code == 404


async def test_a_tenant_sees_nothing_of_another(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    document = (await add(api, store)).json()["id"]
    path = f"/v1/vector_stores/{store}"
    answers = [
        await api.get(path, headers=OTHER),
        await api.delete(path, headers=OTHER),
        await api.get(f"{path}/documents", headers=OTHER),
        await api.post(f"{path}/documents", json={"name": "x", "text": "y"}, headers=OTHER),
        await api.get(f"{path}/documents/{document}", headers=OTHER),
        await api.delete(f"{path}/documents/{document}", headers=OTHER),
        await api.get(f"{path}/documents/{document}/content", headers=OTHER),
        await api.post(f"{path}/search", json={"query": "text"}, headers=OTHER),
        await api.post("/v1/context", json={"query": "text", "vector_store_ids": [store]}, headers=OTHER),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert (await api.get("/v1/vector_stores", headers=OTHER)).json()["data"] == []
    assert (await api.get(path, headers=ACME)).json()["documents"] == 1


async def test_nobody_gets_in_without_a_credential(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/vector_stores")).status_code == 401
    assert (await api.post("/v1/embeddings", json={"model": "minilm", "input": "x"})).status_code == 401
    foreign = service_headers("router", "acme")
    assert (await api.get("/v1/vector_stores", headers=foreign)).status_code == 401
    assert (await api.get("/v1/vector_stores", headers=admin_headers())).status_code == 200
    body = {"tenant": "acme", "store_id": "vs_1"}
    assert (await api.post("/internal/points/delete", json=body, headers=ACME)).status_code == 403
    assert (await api.post("/internal/points/delete", json=body, headers=admin_headers())).status_code == 403


async def test_files_are_uploaded(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    markdown = await upload(api, store, "guide.md", "\ufeff# Güide".encode(), metadata='{"lang": "en"}')
    assert markdown.status_code == 202, markdown.text
    assert (markdown.json()["name"], markdown.json()["media_type"]) == ("guide.md", "text/markdown")
    assert markdown.json()["metadata"] == {"lang": "en"}
    assert markdown.json()["bytes"] == len("# Güide".encode())
    named = await upload(api, store, "notes.TXT", b"plain", name="renamed")
    assert (named.json()["name"], named.json()["media_type"]) == ("renamed", "text/plain")
    table = await upload(api, store, "people.csv", b"name,age\nAda,36\n")
    assert (table.status_code, table.json()["media_type"]) == (202, "text/markdown")
    assert table.json()["bytes"] == len("- name; age\n\n- name: Ada; age: 36\n")


@pytest.mark.parametrize(
    ("name", "raw", "status", "sentence"),
    [
        ("a.txt", b"caf\xe9", 400, "not UTF-8 text: byte 3"),
        ("a.txt", b"  \n ", 400, "The document is empty"),
        ("a.txt", b"bin\x00ary", 400, "NUL"),
        ("a.exe", b"MZ", 415, "of no supported type"),
        ("a.pdf", b"%PDF-1.7", 400, "cannot be opened"),
        ("a.txt", b"x" * 2001, 413, "more than 2000 bytes"),
        ("a.txt", b"x" * 200_000, 413, "SLUICE_RETRIEVAL_MAX_DOCUMENT_BYTES"),
    ],
)
async def test_files_that_cannot_be_ingested(
    api: httpx.AsyncClient, name: str, raw: bytes, status: int, sentence: str
) -> None:
    store = await make_store(api)
    answer = await upload(api, store, name, raw)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert sentence in answer.json()["detail"]
    assert (await api.get(f"/v1/vector_stores/{store}", headers=ACME)).json()["documents"] == 0


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b'{"name": "a", "text": 5}', 422),
        ("application/json", b'{"name": "a", "text": "b", "colour": "red"}', 422),
        ("application/json", b'{"name": "", "text": "b"}', 422),
        ("application/json", b'{"name": "a", "text": "\\ud800"}', 400),
        ("application/json", b'{"name": "a\\u0000", "text": "b"}', 400),
        ("application/json", b'{"name": "a", "text": "\xff"}', 400),
        ("application/json", b'{"name": "a", "text": "' + b"x" * 2001 + b'"}', 413),
        ("text/plain", b"hello", 415),
        ("multipart/form-data", b"hello", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken", 400),
    ],
)
async def test_bodies_that_are_wrong(api: httpx.AsyncClient, content_type: str, body: bytes, status: int) -> None:
    store = await make_store(api)
    answer = await api.post(
        f"/v1/vector_stores/{store}/documents", content=body, headers={**ACME, "content-type": content_type}
    )
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


async def test_what_is_wrong_is_told_once_and_in_the_words_that_were_used(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    for metadata in ("{", "[1]", "7"):
        answer = await upload(api, store, "a.txt", b"words", metadata=metadata)
        assert (answer.status_code, "`metadata` must be a JSON object" in answer.json()["detail"]) == (400, True)
    assert (await upload(api, store, "a.txt", b"words", metadata='{"a": [1]}')).status_code == 422
    asked = {"query": "x", "max_num_results": 51}
    refused = await api.post(f"/v1/vector_stores/{store}/search", json=asked, headers=ACME)
    assert refused.json()["detail"] == "`max_num_results` must be 50 or less."


async def test_the_limit_counts_bytes_and_not_escapes(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    body = '{"name": "a", "text": "' + "\\u0041" * 1999 + '"}'
    answer = await api.post(
        f"/v1/vector_stores/{store}/documents", content=body, headers={**ACME, "content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["bytes"]) == (202, 1999)


async def test_an_empty_store_answers_with_nothing(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    for mode in ("dense", "bm25", "hybrid"):
        answer = await api.post(f"/v1/vector_stores/{store}/search", json={"query": "?!", "mode": mode}, headers=ACME)
        assert (answer.status_code, answer.json()["data"]) == (200, [])
    context = await api.post("/v1/context", json={"query": "x", "vector_store_ids": [store]}, headers=ACME)
    assert (context.json()["text"], context.json()["citations"]) == ("", [])


async def test_readiness_names_each_dependency(api: httpx.AsyncClient) -> None:
    for _ in range(600):
        checks = (await api.get("/readyz")).json()["checks"]
        if checks["embedder"] == "ok":
            break
        await asyncio.sleep(0.1)
    assert {name: checks[name] for name in ("sql", "vector_store", "embedder")} == {
        "sql": "ok",
        "vector_store": "ok",
        "embedder": "ok",
    }
    assert checks["redis"] == "Redis does not answer; new documents wait until it does."


async def test_the_typed_client_speaks_with_the_real_service(
    api: httpx.AsyncClient, app: FastAPI, platform: PlatformSettings
) -> None:
    async with service_client("retrieval", app, platform) as called:
        client = RetrievalClient(called)
        store = await client.create_store(VectorStoreCreate(name="by client"), tenant="client")
        document = await client.add_document(store.id, DocumentCreate(name="a", text="b"), tenant="client")
        assert (await client.document(store.id, document.id, tenant="client")) == document
        assert (await client.documents(store.id, tenant="client", status="queued")).data == (document,)
        assert (await client.stores(tenant="client")).data[0].id == store.id
        assert (await client.store(store.id, tenant="client")).documents == 1
        assert (await client.search(store.id, SearchRequest(query="b"), tenant="client")).data == ()
        context = ContextRequest(query="b", vector_store_ids=(store.id,), placement="edges")
        assert (await client.context(context, tenant="client")).text == ""
        embedded = await client.embed(EmbeddingRequest(model="minilm", input="b"), tenant="client")
        assert len(embedded.data[0].embedding) == 384
        with pytest.raises(NotFound, match="no vector store"):
            await client.store("vs_none", tenant="client")
        assert (await client.delete_document(store.id, document.id, tenant="client")).deleted
        assert (await client.delete_store(store.id, tenant="client")).deleted


async def test_a_search_of_stores_that_have_not_changed_is_not_done_again(api: httpx.AsyncClient) -> None:
    store, other = await make_store(api), await make_store(api)
    path = f"/v1/vector_stores/{store}"
    context = {"query": "b", "vector_store_ids": [store, other]}
    found = (await api.post(f"{path}/search", json={"query": "b"}, headers=ACME)).json()
    block = (await api.post("/v1/context", json=context, headers=ACME)).json()
    assert (found["unchanged"], block["unchanged"], found["version"] != block["version"]) == (False, False, True)
    for url, body, known in ((f"{path}/search", {"query": "b"}, found), ("/v1/context", context, block)):
        again = (await api.post(url, json={**body, "known_version": known["version"]}, headers=ACME)).json()
        assert (again["unchanged"], again["version"], again.get("understood")) == (True, known["version"], None)
        stale = (await api.post(url, json={**body, "known_version": "0" * 24}, headers=ACME)).json()
        assert (stale["unchanged"], stale["version"]) == (False, known["version"])
        assert stale["understood"]["query"] == "b"
    foreign = {"query": "b", "known_version": found["version"]}
    assert (await api.post(f"{path}/search", json=foreign, headers=OTHER)).status_code == 404
    await api.post(path, json={"name": "another"}, headers=ACME)
    changed = (await api.post(f"{path}/search", json=foreign, headers=ACME)).json()
    assert (changed["unchanged"], changed["version"] != found["version"]) == (False, True)


async def test_a_deleted_store_leaves_the_index(api: httpx.AsyncClient, app: FastAPI) -> None:
    store = await make_store(api)
    await api.delete(f"/v1/vector_stores/{store}", headers=ACME)
    deps = app.state.deps
    jobs = IngestJobs(deps.library._database, 8)
    await Sweep(jobs, deps.dispatch, EverySpace(deps.space_records, deps.spaces), deps.clock).remove_points()
    assert await deps.vectors.count(Selector("acme", store)) == 0
    assert await jobs.removals(10) == []


async def test_what_is_done_with_questions_is_said_by_the_request_or_else_by_the_store(api: httpx.AsyncClient) -> None:
    said = {"decompose": True, "expand": ["synonyms"], "synonyms": {"boat": ["vessel"]}}
    made = (await api.post("/v1/vector_stores", json={"name": "u", "understand": said}, headers=ACME)).json()
    assert made["understand"]["synonyms"] == {"boat": ["vessel"]}
    path = f"/v1/vector_stores/{made['id']}"
    question = {"query": "When does the boat leave and what does it cost?"}
    by_store = (await api.post(f"{path}/search", json=question, headers=ACME)).json()
    assert by_store["understood"]["synonyms"] == ["vessel"]
    assert by_store["search_query"] == [question["query"], "When does the boat leave", "what does the boat leave cost?"]
    by_request = {**question, "understand": {"rewrite": "none"}}
    assert (await api.post(f"{path}/search", json=by_request, headers=ACME)).json()["search_query"] == [
        question["query"]
    ]
    conversation = [{"role": "user", "content": "Where do I buy a season pass?"}]
    context = {"query": "What does it cost?", "conversation": conversation, "vector_store_ids": [made["id"]]}
    understood = (await api.post("/v1/context", json=context, headers=ACME)).json()["understood"]
    assert (understood["query"], understood["rewritten_by"]) == ("What does a season pass cost?", "rules")
    cleared = (await api.post(path, json={"understand": None}, headers=ACME)).json()
    assert cleared["understand"] is None
    by_model = {**question, "understand": {"rewrite": "model"}}
    refused = await api.post(f"{path}/search", json=by_model, headers=ACME)
    assert (refused.status_code, refused.json()["code"]) == (400, "rewriter_not_configured")


async def test_tables_of_a_document_are_described_and_computed_over(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    raw = b"Item,Euro,Sold\nBolt,2.5,2026-01-05\nNut,1.5,2026-02-01\nBolt,3.5,\n"
    document = (await upload(api, store, "prices.csv", raw)).json()["id"]
    path = f"/v1/vector_stores/{store}/documents/{document}/tables"
    (table,) = (await api.get(path, headers=ACME)).json()["data"]
    assert [(one["name"], one["kind"], one["empty"]) for one in table["columns"]] == [
        ("Item", "text", 0),
        ("Euro", "number", 0),
        ("Sold", "date", 1),
    ]
    query = {
        "filters": [{"column": "Item", "type": "eq", "value": "Bolt"}],
        "aggregates": [{"function": "sum", "column": "Euro"}],
    }
    found = (await api.post(f"{path}/query", json=query, headers=ACME)).json()
    assert (found["columns"], found["rows"], found["matched"]) == (["sum(Euro)"], [[6]], 2)
    text = (await api.get(path.replace("/tables", "/content"), headers=ACME)).json()["text"]
    assert [text[one["start"] : one["end"]] for one in found["citations"]] == [
        one["quote"] for one in found["citations"]
    ]
    assert found["citations"][1]["quote"] == "- Item: Bolt; Euro: 3.5"
    missing = await api.post(f"{path}/query", json={"table": 7}, headers=ACME)
    assert (missing.status_code, missing.json()["code"]) == (404, "table_not_found")
    wrong = await api.post(f"{path}/query", json={"columns": ["Price"]}, headers=ACME)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "table_query_invalid")
    assert (await api.get(path, headers=OTHER)).status_code == 404
    assert (await api.post(f"{path}/query", json=query, headers=OTHER)).status_code == 404


async def test_a_search_that_is_not_as_described_is_told_what_is_wrong(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    path = f"/v1/vector_stores/{store}/search"
    kind = {"content-type": "application/json"}
    for body, headers, status, said in (
        (b'{"query": "a", "colour": "red"}', kind, 422, "colour"),
        (b'{"query": 5}', kind, 422, "query"),
        (b"{", kind, 400, "JSON"),
        (b"\xff\xfe", kind, 400, ""),
        (b"", kind, 422, "body"),
        (b'{"query": "a"}', {"content-type": "text/plain"}, 422, "body"),
    ):
        answer = await api.post(path, content=body, headers={**ACME, **headers})
        assert (answer.status_code, said.lower() in answer.text.lower()) == (status, True), (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    for headers in (kind, {**kind, "authorization": "Bearer wrong"}, {**kind, "authorization": "Basic eDp5"}):
        answer = await api.post(path, content=b'{"query": 5}', headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), headers
    lower = {**ACME, "authorization": ACME["authorization"].replace("Bearer", "bearer")}
    for accepted in (kind, {"content-type": "application/json; charset=utf-8"}):
        answer = await api.post(path, content='{"query": "größer"}'.encode(), headers={**lower, **accepted})
        assert (answer.status_code, answer.json()["search_query"]) == (200, ["größer"])
