"""Another embedding model: documents are embedded again while the old vectors answer, also through kill -9, and then the new ones do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.bench.retrieval.parts import running
from tests.integration.retrieval.embedding_server import DIMENSIONS, KEY, embedding_provider, vector_of

from sluice.testing import wait_until

pytestmark = pytest.mark.integration
_TOPICS = ("harbour", "orchard", "railway", "glacier", "bakery", "library", "theatre", "quarry")
_QUESTION = {"query": "the glacier", "mode": "dense", "top_k": 50}


def text_of(topic: str) -> str:
    return "\n\n".join(f"The {topic} number {number} is open to visitors of the {topic}." for number in range(6))


def models_in(retrieval: Any) -> dict[str, Any]:
    return {one["id"]: one for one in retrieval.client.get("/v1/embedding_models").json()["data"]}


def test_a_change_of_the_model_goes_on_after_kills_while_the_old_one_answers(tmp_path: Path) -> None:
    with running(tmp_path, SLUICE_RETRIEVAL_EMBED_CACHE_VECTORS="0") as retrieval, embedding_provider() as provider:
        service, worker = retrieval.serve(), retrieval.work()
        store = retrieval.store(chunking={"max_tokens": 20})
        documents = [retrieval.add(store, f"{topic}.txt", text_of(topic)) for topic in _TOPICS]
        chunks = sum(retrieval.wait_for(store, one)["chunks"] for one in documents)
        before = retrieval.search(store, **_QUESTION)
        assert len(before) == chunks == 48
        version = retrieval.client.post(f"/v1/vector_stores/{store}/search", json=_QUESTION).json()["version"]
        assert models_in(retrieval)["minilm"]["status"] == "active"

        described = {"name": "worded", "url": provider.url, "dimensions": DIMENSIONS, "api_key": KEY, "batch_size": 3}
        retrieval.settings["SLUICE_RETRIEVAL_EMBEDDING_MODELS"] = json.dumps([described])
        retrieval.settings["SLUICE_RETRIEVAL_EMBEDDING_MODEL"] = "worded"
        for process in (service, worker):
            process.stop()
        provider.hold_at = 18  # three documents of eight
        service, worker = retrieval.serve(), retrieval.work()

        def moved() -> int:
            return int(models_in(retrieval).get("worded", {}).get("documents") or 0)

        wait_until(lambda: moved() >= 1, seconds=60, what="a first document with vectors of the new model")
        worker.kill()
        service.kill()
        service = retrieval.serve()
        found = models_in(retrieval)
        assert (found["minilm"]["status"], found["worded"]["status"]) == ("active", "building")
        assert (found["minilm"]["documents"], found["minilm"]["documents_total"]) == (8, 8)
        assert 1 <= found["worded"]["documents"] < 8
        assert retrieval.search(store, **_QUESTION) == before, "the old vectors answer, and they alone"
        retrieval.client.delete(f"/v1/vector_stores/{store}/documents/{documents[0]}").raise_for_status()
        provider.hold_at, provider.first = 1_000_000, [500, 429]
        provider.released.set()
        done = moved()
        asked_before = len(provider.texts)
        retrieval.work()
        late = retrieval.add(store, "late.txt", text_of("lagoon"))
        wait_until(
            lambda: models_in(retrieval)["worded"]["status"] == "active",
            seconds=60,
            what="the new model's vectors answering",
        )
        assert models_in(retrieval)["minilm"]["status"] == "retiring"
        retrieval.wait_for(store, late)
        answer = retrieval.client.post(
            f"/v1/vector_stores/{store}/search", json={**_QUESTION, "known_version": version}
        )
        assert (answer.json()["unchanged"], answer.json()["version"] != version) == (False, True)
        after = answer.json()["data"]
        assert len(after) == 48, "each chunk once; those of the deleted document are gone, the late one's are there"
        assert {hit["document_id"] for hit in after} == {*documents[1:], late}
        question = np.array(vector_of(_QUESTION["query"]))
        for hit in after:
            text = np.array(vector_of(hit["text"]))
            cosine = float(question @ text / np.linalg.norm(question) / np.linalg.norm(text))
            assert hit["score"] == pytest.approx(cosine, abs=0.02)  # eight bits a number
        asked_again = [text for text in provider.texts[asked_before:] if text.startswith("The ")]
        assert len(asked_again) <= 6 * (9 - done), "what was moved before the kill is not embedded again"
        embedded = retrieval.client.post("/v1/embeddings", json={"model": "worded", "input": "the glacier"}).json()
        assert embedded["data"][0]["embedding"] == pytest.approx((question / np.linalg.norm(question)).tolist())
        small = retrieval.client.post("/v1/embeddings", json={"model": "minilm", "input": "the glacier"}).json()
        assert len(small["data"][0]["embedding"]) == 384
