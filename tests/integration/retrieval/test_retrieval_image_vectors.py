"""Images are found by what they show: through a multimodal model, its failures, and a change to another one."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.bench.retrieval.parts import running
from tests.contract.retrieval.test_retrieval_images import saved
from tests.integration.retrieval.image_server import DIMENSIONS, KEY, image_provider

from sluice.testing import wait_until

pytestmark = pytest.mark.integration
_QUESTION = "Show me a picture of something red"


def upload(retrieval: Any, store: str, name: str, colour: str, **fields: str) -> str:
    raw = saved(Image.new("RGB", (64, 48), colour), "PNG")
    path = f"/v1/vector_stores/{store}/documents"
    made = retrieval.client.post(path, files={"file": (name, raw)}, data=fields)
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def asked(retrieval: Any, store: str, query: str = _QUESTION, **fields: Any) -> dict[str, Any]:
    answer = retrieval.client.post(
        f"/v1/vector_stores/{store}/search", json={"query": query, "explain": True, **fields}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def seen(retrieval: Any, store: str) -> list[str]:
    """Return the sources of hits that were found by their looks, best first."""
    hits = [hit for hit in asked(retrieval, store)["data"] if hit["explanation"]["image"]]
    return [hit["source"] for hit in sorted(hits, key=lambda hit: hit["explanation"]["image"]["rank"])]


def test_images_are_found_by_what_they_show(tmp_path: Path) -> None:
    with running(tmp_path) as retrieval, image_provider() as provider:
        retrieval.settings |= {
            "SLUICE_RETRIEVAL_IMAGE_EMBEDDING_URL": provider.url,
            "SLUICE_RETRIEVAL_IMAGE_EMBEDDING_MODEL": "colours",
            "SLUICE_RETRIEVAL_IMAGE_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
            "SLUICE_RETRIEVAL_IMAGE_EMBEDDING_API_KEY": KEY,
            "SLUICE_RETRIEVAL_CAPTION_URL": provider.url,
            "SLUICE_RETRIEVAL_CAPTION_MODEL": "seer",
            "SLUICE_RETRIEVAL_CAPTION_API_KEY": KEY,
        }
        service, worker = retrieval.serve(), retrieval.work()
        store, plain = retrieval.store(), retrieval.store(captions=False)
        first = upload(retrieval, store, "first.png", "red", caption="the first one")
        other = upload(retrieval, store, "second.png", "blue", caption="the second one")
        described, bare = upload(retrieval, store, "third.png", "green"), upload(retrieval, plain, "third.png", "green")
        text = retrieval.add(store, "paint.txt", "A red picture hangs in the hall.")
        for one in (first, other, described, text):
            retrieval.wait_for(store, one)
        retrieval.wait_for(plain, bare)
        content = "/v1/vector_stores/{}/documents/{}/content"
        assert "A described thing." in retrieval.client.get(content.format(store, described)).json()["text"]
        assert retrieval.client.get(content.format(plain, bare)).json()["text"] == "Image: third"

        wait_until(lambda: len(seen(retrieval, store)) == 3, seconds=60, what="all images having their vector")
        assert seen(retrieval, store)[0] == "first.png", "red is in no caption"
        only = asked(retrieval, store, "something blue", kinds=["image"], mode="dense")
        assert only["data"][0]["source"] == "second.png"
        assert only["data"][0]["thumbnail"]
        words = asked(retrieval, store, "What hangs in the hall?")
        assert [hit["explanation"]["image"] for hit in words["data"]] == [None] * len(words["data"])
        assert words["data"][0]["source"] == "paint.txt"

        provider.broken = True
        blind = asked(retrieval, store)
        assert (blind["degraded"], len(blind["data"]) >= 1) == (["image_embedder"], True)
        provider.broken = False

        for process in (service, worker):
            process.stop()
        retrieval.settings["SLUICE_RETRIEVAL_IMAGE_EMBEDDING_MODEL"] = "shades"
        retrieval.settings["SLUICE_RETRIEVAL_IMAGE_EMBEDDING_API"] = "vllm"
        provider.asked.clear()
        retrieval.serve()
        retrieval.work()
        wait_until(lambda: len(seen(retrieval, store)) == 3, seconds=60, what="all images being seen by the new model")
        assert {one["model"] for one in provider.asked} == {"shades"}
        assert seen(retrieval, store)[0] == "first.png"
        assert all(one["id"] != "image:shades" for one in retrieval.client.get("/v1/embedding_models").json()["data"])
        retrieval.client.delete(f"/v1/vector_stores/{store}/documents/{first}").raise_for_status()
        assert "first.png" not in seen(retrieval, store)
        for document in (other, described):
            retrieval.client.delete(f"/v1/vector_stores/{store}/documents/{document}").raise_for_status()
        assert seen(retrieval, store) == []
