"""The service and its worker as they are deployed: ingest, search, and crashes at the worst moments."""

import json
import math
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.bench.retrieval import kills
from tests.contract.retrieval.test_retrieval_images import saved
from typer.testing import CliRunner

from sluice.testing import wait_until
from sluice_cli.app import app
from sluice_cli.platform.errors import CommandFailed

pytestmark = pytest.mark.integration

GUIDE = """# Sluice

## Gateway

The gateway checks API keys and forwards chat requests to an engine. It listens on port 8080.

## Retrieval

Documents are cut into chunks, embedded with MiniLM and found again by hybrid search.

## Feedback

A thumbs-down on an answer is stored and later used for training.
"""


SMALL_PNG = saved(Image.new("RGB", (8, 8), "navy"), "PNG")


def long_text(paragraphs: int) -> str:
    return "\n\n".join(
        f"Paragraph {number} speaks of topic {number % 7}. " + "The gateway forwards requests to an engine. " * 12
        for number in range(paragraphs)
    )


def indexed(retrieval: Any) -> int:
    metrics = retrieval.client.get("/metrics").text
    found = re.search(r"^sluice_retrieval_indexed_chunks (\S+)", metrics, re.MULTILINE)
    assert found is not None
    return int(float(found.group(1)))


def settled(retrieval: Any) -> int:
    """Return the number of chunks in the index once nothing is being ingested or removed and the gauge has followed."""
    unfinished = ("queued", "processing")

    def shown() -> int | None:
        stores = retrieval.client.get("/v1/vector_stores", params={"limit": 100}).json()["data"]
        if any(retrieval.documents(store["id"], status=status) for store in stores for status in unfinished):
            return None
        return sum(store["chunks"] for store in stores)

    wait_until(lambda: indexed(retrieval) == shown(), seconds=60, what="the index holding what the stores show")
    return indexed(retrieval)


def begun(retrieval: Any, store: str, document: str) -> None:
    """Wait until some of a document's chunks are in the index."""
    wait_until(
        lambda: retrieval.document(store, document)["indexed_chunks"] > 0,
        seconds=60,
        every=0.02,
        what="the first chunks in the index",
    )


def test_a_question_for_a_figure_is_answered_from_the_table_with_its_rows(shared: Any) -> None:
    store = shared.store()
    raw = b"Customer,Country,Amount\nAda Ltd,USA,100\nBob,Germany,50\nBerlin Tools,Germany,70\n"
    added = shared.client.post(f"/v1/vector_stores/{store}/documents", files={"file": ("orders.csv", raw)})
    document = added.json()["id"]
    shared.wait_for(store, document)
    text = shared.client.get(f"/v1/vector_stores/{store}/documents/{document}/content").json()["text"]
    asked = {"query": "What is the total amount of orders from Germany?"}
    found = shared.client.post(f"/v1/vector_stores/{store}/search", json=asked).json()["computed"]
    assert (found["value"], found["function"], found["column"], found["matched"]) == (120, "sum", "Amount", 2)
    assert found["filters"] == [{"column": "Country", "type": "eq", "value": "Germany"}]
    assert [one["row"] for one in found["citations"]] == [1, 2]
    assert all(text[one["start"] : one["end"]] == one["quote"] for one in found["citations"])
    context = {**asked, "vector_store_ids": [store]}
    block = shared.client.post("/v1/context", json=context).json()
    assert block["text"].endswith(
        "Computed from orders.csv:\nSum of Amount where Country is Germany: 120 (computed from 2 rows of orders.csv)."
    )
    highest = {"query": "What is the highest amount?"}
    most = shared.client.post(f"/v1/vector_stores/{store}/search", json=highest).json()["computed"]
    assert (most["value"], most["matched"], [one["row"] for one in most["citations"]]) == (100, 3, [0])
    who = {"query": "Which customer has the highest amount?"}
    held = shared.client.post(f"/v1/vector_stores/{store}/search", json=who).json()["computed"]
    assert (
        held["statement"] == "Highest of Amount: 100, where Customer is Ada Ltd (computed from 3 rows of orders.csv)."
    )
    for other in (
        {"query": "Who ordered from Germany?"},
        {**asked, "understand": {"compute": False}},
    ):
        assert shared.client.post(f"/v1/vector_stores/{store}/search", json=other).json()["computed"] is None


def test_a_document_is_ingested_found_and_cited(shared: Any) -> None:
    store = shared.store(chunking={"max_tokens": 64})
    document = shared.add(store, "guide.md", GUIDE, media_type="text/markdown")
    ready = shared.wait_for(store, document)
    assert ready["chunks"] == 3
    assert ready["error"] is None
    for mode in ("dense", "bm25", "hybrid"):
        best = shared.search(store, "On which port does the gateway listen?", mode=mode)[0]
        assert best["heading"] == "Sluice > Gateway"
        assert best["source"] == "guide.md"
        assert GUIDE[best["start"] : best["end"]] == best["text"]
    parent = {"within": "document", "max_tokens": 300}
    [whole] = shared.search(store, "On which port does the gateway listen?", parent=parent)
    assert (whole["text"], whole["start"]) == (GUIDE.rstrip(), 0), "all three chunks lie in what the best has grown to"
    assert whole["matched"][0]["chunk_id"] == whole["chunk_id"]
    assert len(whole["matched"]) == 3
    asked = {"query": "On which port?", "vector_store_ids": [store], "parent": parent}
    [cited] = shared.client.post("/v1/context", json=asked).json()["citations"]
    assert (cited["quote"], cited["attributes"]) == (GUIDE.rstrip(), {})
    options = {"ranker": "auto", "hybrid_search": {"embedding_weight": 1, "text_weight": 1}}
    assert all(0 <= one["score"] <= 1 for one in shared.search(store, "gateway", ranking_options=options))
    context = shared.client.post(
        "/v1/context", json={"query": "what happens with a thumbs-down?", "vector_store_ids": [store], "top_k": 2}
    ).json()
    assert context["text"].startswith("[1] guide.md — Sluice > Feedback\n")
    assert context["citations"][0]["chunk_id"].startswith(document)
    shown = shared.client.get(f"/v1/vector_stores/{store}").json()
    assert (shown["documents"], shown["chunks"]) == (1, 3)
    parts = {"file": ("harbour-map.png", SMALL_PNG)}
    image = shared.client.post(f"/v1/vector_stores/{store}/documents", files=parts, data={"caption": "The old piers"})
    shared.wait_for(store, image.json()["id"])
    for kinds, sources in ((["image"], {"harbour-map.png"}), (["text"], {"guide.md"})):
        assert {hit["source"] for hit in shared.search(store, "the old piers", kinds=kinds)} == sources
    best = shared.search(store, "the old piers")[0]
    assert (best["text"], best["start"]) == ("Image: harbour map\n\nThe old piers", 0)
    assert shared.client.get(best["thumbnail"]).headers["content-type"] == "image/webp"
    asked = {
        "query": "the old piers",
        "vector_store_ids": [store],
        "top_k": 1,
        "template": "sections",
        "tool_outputs": [{"tool": "tides", "content": "High water is at 9."}],
        "enhanced": True,
    }
    made = shared.client.post("/v1/context", json=asked).json()
    assert made["text"] == (
        "Relevant images:\n\n[1] harbour-map.png\nImage: harbour map\n\nThe old piers\n\n"
        "Information from tides:\nHigh water is at 9."
    )
    (info,) = made["enhanced"]["retrieved_info"]
    assert (info["type"], info["index"], info["content"]) == ("images", 1, best["text"])
    assert made["enhanced"]["original_query"] == "the old piers"
    assert made["enhanced"]["tool_outputs"] == [{"tool": "tides", "content": "High water is at 9.", "truncated": False}]
    assert made["enhanced"]["metadata"]["tokens"] == made["tokens"] > 20
    worker_metrics = httpx.get(f"http://127.0.0.1:{shared.worker_port}/metrics", timeout=60).text
    assert re.search(r'sluice_retrieval_documents_ingested_total{status="ready"} [1-9]', worker_metrics)


def test_a_search_is_filtered_spread_and_explained(shared: Any) -> None:
    store = shared.store()
    for name, text, year in (
        ("old.txt", "The bridge was painted red.", 1999),
        ("copy.txt", "The bridge was  painted RED.", 2000),
        ("new.txt", "Today the bridge is blue and carries trams.", 2024),
    ):
        shared.wait_for(store, shared.add(store, name, text, metadata={"year": year, "kind": "note"}))
    recent = {"type": "gte", "key": "year", "value": 2000}
    hits = shared.search(store, "colour of the bridge", filters=recent)
    assert {(hit["source"], hit["metadata"]["year"]) for hit in hits} == {("copy.txt", 2000), ("new.txt", 2024)}
    assert shared.search(store, "bridge", filters={"type": "eq", "key": "kind", "value": "letter"}) == []
    once = shared.search(store, "the bridge was painted red", deduplicate=True)
    assert [hit["source"] for hit in once].count("new.txt") == 1
    assert len(once) == 2
    best = shared.search(store, "the bridge was painted red", fusion="weighted", alpha=0.3, diversity=0.8, explain=True)
    assert len(best) == 3
    assert best[0]["explanation"]["joined"]["rank"] == 1
    assert best[0]["explanation"]["bm25"]["rank"] in (1, 2)
    assert best[0]["explanation"]["likeness"] is None
    assert best[1]["source"] == "new.txt"  # before the copy of the first
    assert best[1]["explanation"]["likeness"] < best[2]["explanation"]["likeness"]
    context = shared.client.post(
        "/v1/context", json={"query": "bridge", "vector_store_ids": [store], "filters": recent, "top_k": 3}
    ).json()
    assert "old.txt" not in context["text"]
    assert "new.txt" in context["text"]
    refused = shared.client.post(
        f"/v1/vector_stores/{store}/search", json={"query": "x", "filters": {"type": "in", "key": "a", "value": 3}}
    )
    assert (refused.status_code, "takes a list" in refused.text) == (422, True)


def test_stores_rank_by_the_metric_and_weighting_they_were_made_with(shared: Any) -> None:
    texts = {
        "red.txt": "The bridge was painted red.",
        "tram.txt": "The bridge carries trams.",
        "bee.txt": "Bees sleep.",
    }
    store = shared.store(metric="euclidean", keywords="tfidf")
    plain = shared.store()
    for one in (store, plain):
        for document in [shared.add(one, name, text) for name, text in texts.items()]:
            shared.wait_for(one, document)
    shown = shared.client.get(f"/v1/vector_stores/{store}").json()
    assert (shown["metric"], shown["keywords"]) == ("euclidean", "tfidf")
    best, *others = shared.search(store, "red bridge", explain=True)
    explained = best["explanation"]
    assert (best["source"], explained["metric"], explained["bm25"]) == ("red.txt", "euclidean", None)
    assert explained["tfidf"]["score"] == pytest.approx(math.log(3) + math.log(3 / 2), rel=1e-4)
    assert explained["dense"]["score"] == pytest.approx(1 / (1 + explained["distance"]))
    assert len(others) == 2
    (cosine, *_) = shared.search(plain, "red bridge", explain=True)
    # of vectors of length 1 the square of the distance is 2 - 2 cosine
    assert explained["distance"] ** 2 == pytest.approx(2 - 2 * cosine["explanation"]["dense"]["score"], abs=0.03)
    assert (cosine["explanation"]["metric"], cosine["explanation"]["tfidf"]) == ("cosine", None)
    answer = shared.client.post("/v1/context", json={"query": "red bridge", "vector_store_ids": [store, plain]}).json()
    assert {one["vector_store_id"] for one in answer["citations"]} == {store, plain}
    refused = shared.client.post("/v1/vector_stores", json={"name": "x", "metric": "manhattan"})
    assert (refused.status_code, "dotproduct" in refused.text) == (422, True)


def test_a_folder_is_ingested_and_only_what_changed_is_sent_again(shared: Any, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    (folder / "drafts").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "guide.md").write_text(GUIDE)
    (folder / "prices.csv").write_text("Item,Euro\nBolt,2\n")
    (folder / "drafts" / "plan.txt").write_text("Nobody has read this draft.")
    (folder / ".git" / "notes.txt").write_text("hidden")
    (folder / "clip.mp4").write_bytes(b"no text")
    token = shared.client.headers["authorization"].removeprefix("Bearer ")
    environment = {"SLUICE_URL": f"http://127.0.0.1:{shared.port}", "SLUICE_API_KEY": token, "COLUMNS": "200"}

    def ingest(*arguments: str) -> Any:
        return CliRunner(env=environment).invoke(app, ["ingest", str(folder), "--store", "folder", *arguments])

    first = ingest("--metadata", "year=2024", "--exclude", "drafts/*")
    assert first.exit_code == 0, repr(first.exception)
    assert "2 documents sent, 0 unchanged" in first.stdout
    assert "1 files are of no type that is read and were passed over: clip.mp4" in first.stdout
    store = next(word for word in first.stdout.split() if word.startswith("vs_"))
    assert {item["name"] for item in shared.documents(store, status="ready")} == {"guide.md", "prices.csv"}
    assert shared.search(store, "price of a bolt", top_k=1)[0]["metadata"] == {"year": 2024}
    searched = [
        "search",
        store,
        "which port?",
        "--where",
        "year=2024",
        "--parent",
        "300",
        "--rerank",
        "features",
        "--json",
    ]
    told = json.loads(CliRunner(env=environment).invoke(app, searched).stdout)
    assert told["data"][0]["matched"], told
    none = json.loads(CliRunner(env=environment).invoke(app, [*searched[:3], "--where", "year=1999", "--json"]).stdout)
    assert none["data"] == []
    (folder / "guide.md").write_text(GUIDE.replace("8080", "9090"))
    second = ingest()
    assert "2 documents sent, 1 unchanged" in second.stdout
    found = shared.search(store, "On which port does the gateway listen?", top_k=1)[0]
    assert (found["source"], "9090" in found["text"]) == ("guide.md", True)
    (folder / "prices.csv").unlink()
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    third = ingest("--delete")
    assert isinstance(third.exception, CommandFailed)
    assert "1 of the files could not be ingested" in str(third.exception)
    assert "broken.pdf" in str(third.exception)
    assert "0 documents sent, 2 unchanged, 1 deleted" in third.stdout
    assert {item["name"] for item in shared.documents(store)} == {"guide.md", "drafts/plan.txt"}
    assert isinstance(ingest("--metadata", "year").exception, CommandFailed)
    (folder / "late.txt").write_text(long_text(160))  # not ready by the time that the broken one is refused
    late = ingest("--wait", "0.000001")
    assert "1 documents were not indexed within 0 s" in str(late.exception)
    assert "broken.pdf" in str(late.exception)  # what failed is told all the same


def test_ways_of_chunking_are_compared_on_ones_own_questions(shared: Any, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "guide.md").write_text(GUIDE)
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        '{"question": "On which port does the gateway listen?", "answer": "listens on  port 8080", "source": "guide.md"}\n'
        '{"question": "What is stored when somebody dislikes an answer?", "answer": "thumbs-down on an answer"}\n'
    )
    token = shared.client.headers["authorization"].removeprefix("Bearer ")
    environment = {"SLUICE_URL": f"http://127.0.0.1:{shared.port}", "SLUICE_API_KEY": token, "COLUMNS": "200"}

    def compare(*arguments: str) -> Any:
        return CliRunner(env=environment).invoke(
            app, ["chunk", str(folder), "--questions", str(questions), "--rerank", "features", *arguments]
        )

    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    before = len(shared.client.get("/v1/vector_stores", params={"limit": 100}).json()["data"])
    made = compare("--compare", "paragraph, semantic,fixed")
    assert made.exit_code == 0, repr(made.exception)
    rows = {line.split()[0]: line.split()[1:] for line in made.stdout.splitlines() if line.split()[:1]}
    assert made.stdout.count("broken.pdf is left out from here on: ") == 1
    assert rows["paragraph"][:4] == ["3", "1.00", "1.00", "1.00"]
    assert rows["semantic"][1:4] == ["1.00", "1.00", "1.00"]
    assert len(shared.client.get("/v1/vector_stores", params={"limit": 100}).json()["data"]) == before
    assert "no strategy 'by ear'" in str(compare("--compare", "by ear").exception)
    questions.write_text("no json\n")
    assert "line 1" in str(compare().exception)


def test_a_replaced_document_gives_way_in_one_step(shared: Any) -> None:
    store = shared.store()
    first = shared.add(store, "facts.txt", "The colour of the bridge is red.")
    shared.wait_for(store, first)
    before = settled(shared)
    second = shared.add(store, "facts.txt", "The colour of the bridge is green.")
    while shared.document(store, second)["status"] != "ready":
        assert [hit["text"] for hit in shared.search(store, "colour of the bridge")] in (
            ["The colour of the bridge is red."],
            ["The colour of the bridge is green."],
        )
    assert [hit["text"] for hit in shared.search(store, "colour of the bridge")] == [
        "The colour of the bridge is green."
    ]
    assert [item["id"] for item in shared.documents(store)] == [second]
    wait_until(lambda: indexed(shared) == before, what="the old chunk leaving the index")


def test_a_killed_worker_leaves_one_ready_document_with_all_its_chunks(retrieval: Any) -> None:
    retrieval.serve()
    worker = retrieval.work()
    store = retrieval.store(chunking={"max_tokens": 128})
    document = retrieval.add(store, "long.txt", long_text(320))
    begun(retrieval, store, document)
    worker.kill()
    assert retrieval.document(store, document)["status"] == "processing"
    assert retrieval.search(store, "topic") == []  # nothing of a half-ingested document is shown
    retrieval.work()
    ready = retrieval.wait_for(store, document, seconds=90)
    assert ready["chunks"] == 320
    assert [item["status"] for item in retrieval.documents(store)] == ["ready"]
    wait_until(lambda: indexed(retrieval) == 320, what="all chunks in the index")
    assert len(retrieval.search(store, "topic", top_k=50, mode="bm25")) == 50


def test_an_acknowledged_document_survives_a_kill_of_the_service(retrieval: Any) -> None:
    service = retrieval.serve()
    worker = retrieval.work()
    store = retrieval.store()
    first = retrieval.add(store, "a.txt", "Penguins live in the south.")
    retrieval.wait_for(store, first)
    worker.stop()
    second = retrieval.add(store, "b.txt", "Polar bears live in the north.")
    service.kill()
    retrieval.serve()
    assert retrieval.search(store, "penguins", mode="bm25")[0]["document_id"] == first
    retrieval.work()
    retrieval.wait_for(store, second)
    assert retrieval.search(store, "polar bears", mode="bm25")[0]["document_id"] == second


def test_a_service_that_is_away_during_ingest_only_delays_it(retrieval: Any) -> None:
    service = retrieval.serve()
    retrieval.work()
    store = retrieval.store(chunking={"max_tokens": 128})
    document = retrieval.add(store, "long.txt", long_text(160))
    begun(retrieval, store, document)
    service.kill()
    time.sleep(3)
    retrieval.serve()
    assert retrieval.wait_for(store, document, seconds=90)["chunks"] == 160


def test_documents_wait_while_the_queue_is_away(retrieval: Any) -> None:
    retrieval.serve()
    store = retrieval.store()
    retrieval.valkey.kill()
    document = retrieval.add(store, "a.txt", "The queue was away when this came.")
    ready = retrieval.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["redis"].startswith("Redis does not answer")
    assert retrieval.document(store, document)["status"] == "queued"
    retrieval.valkey.start()
    retrieval.work()
    retrieval.wait_for(store, document)


def test_deleting_during_ingest_leaves_nothing_behind(shared: Any) -> None:
    store = shared.store(chunking={"max_tokens": 128})
    before = settled(shared)
    document = shared.add(store, "long.txt", long_text(160))
    begun(shared, store, document)
    assert shared.client.delete(f"/v1/vector_stores/{store}/documents/{document}").json()["deleted"]
    assert shared.documents(store) == []
    assert shared.search(store, "gateway") == []
    other = shared.add(store, "after.txt", "One more.")
    shared.wait_for(store, other, seconds=60)
    wait_until(lambda: indexed(shared) == before + 1, seconds=60, what="only the other document's chunk")


def test_two_retrieval_services_cannot_open_one_index(shared: Any) -> None:
    second = shared.process("serve")
    second.log = shared.folder / "second.log"
    second.start()
    wait_until(lambda: not second.alive(), seconds=60, what="the second service giving up")
    assert "open in another process" in second.log.read_text()


def test_kills_at_random_moments_lose_nothing_and_show_nothing_half(tmp_path: Path) -> None:
    outcome = kills.survive(tmp_path, kills=2, seed=4)
    assert outcome.wrong == []
    assert outcome.acknowledged >= 2
    assert outcome.chunks >= 3
