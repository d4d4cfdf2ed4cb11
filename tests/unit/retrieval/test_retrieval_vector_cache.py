"""The cache of vectors: what the model is not asked again, for whom, how long, and what a broken file costs."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from sluice.minilm.files import find_model_files
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.minilm import MiniLmEmbedder
from sluice_retrieval.adapters.vector_cache import _PAUSE_S, CachedEmbedder, Kept, VectorCache
from sluice_retrieval.domain.embedding import Embedded, Lane
from sluice_retrieval.metrics import Metrics


class Watched(MiniLmEmbedder):
    """The real model, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(find_model_files(), Metrics(MetricRegistry()))
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        self.asked += texts
        return await super().embed(texts, lane, tenant)


@pytest.fixture
async def model() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    await made.close()


def cached(model: MiniLmEmbedder, file: Path, most: int = 100) -> tuple[CachedEmbedder, VectorCache]:
    cache = VectorCache(file, most)
    return CachedEmbedder(model, cache, Metrics(MetricRegistry()).embed_cache), cache


async def test_a_text_is_read_once_for_a_tenant_and_again_for_another(model: Watched, tmp_path: Path) -> None:
    file = tmp_path / "data" / "vectors.sqlite"
    embedder, cache = cached(model, file)
    first = await embedder.embed(["a bridge", "the harbour opens", "a bridge"], "bulk", "acme")
    assert model.asked == ["a bridge", "the harbour opens"]
    assert first.vectors[0] == first.vectors[2]
    alone = await model.embed(["a bridge", "the harbour opens", "a bridge"], "bulk")
    assert first.tokens == alone.tokens
    assert first.vectors[1] == pytest.approx(
        alone.vectors[1], abs=0.02
    )  # what stands beside it in a batch shows a little
    cache.close()

    model.asked.clear()
    again, cache = cached(model, file)  # as after a restart
    assert await again.embed(["a bridge", "the harbour opens", "a bridge"], "query", "acme") == first
    assert model.asked == []
    assert (await again.embed(["a bridge", "noon"], "query", "acme")).vectors[0] == first.vectors[0]
    assert model.asked == ["noon"]
    await again.embed(["a bridge"], "query", "other")
    await again.embed(["a bridge"], "query")
    assert model.asked == ["noon", "a bridge", "a bridge"]
    cache.close()


async def test_it_keeps_what_was_used_last_and_no_more_than_it_may(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "vectors.sqlite", 10)
    used = b"used"
    cache.keep({used: Kept((1.0, 2.0), 3)})
    for number in range(40):
        cache.keep({str(number).encode(): Kept((float(number), 0.0), 1)})
        for _ in range(2):  # before the new one is written, and after
            assert (await cache.find([used, str(number).encode()])) == {
                used: Kept((1.0, 2.0), 3),
                str(number).encode(): Kept((float(number), 0.0), 1),
            }
            await asyncio.sleep(2 * _PAUSE_S)
    found = await cache.find([str(number).encode() for number in range(40)])
    assert b"39" in found
    assert b"0" not in found
    with sqlite3.connect(tmp_path / "vectors.sqlite") as opened:
        assert opened.execute("SELECT count(*) FROM vectors").fetchone()[0] <= 10
        opened.execute("DROP TABLE vectors")
    opened.close()
    assert await cache.find([used]) == {}
    cache.close()


async def test_what_cannot_be_kept_is_embedded_all_the_same(model: Watched, tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database " * 100)
    (tmp_path / "file").write_text("")
    for file, kept in ((broken, True), (tmp_path / "file" / "vectors.sqlite", False)):
        model.asked.clear()
        embedder, cache = cached(model, file)
        first = await embedder.embed(["noon"], "query", "acme")
        await asyncio.sleep(2 * _PAUSE_S)
        assert await embedder.embed(["noon"], "query", "acme") == first
        assert len(model.asked) == (1 if kept else 2)
        cache.close()
