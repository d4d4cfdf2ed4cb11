"""Does reranked hybrid search rank better than BM25 or dense search alone? python -m tests.quality.retrieval.ranking DATA

DATA is the folder of corpora that `corpora.py` names. With `--learn` the feature reranker's weights are learned on the
development corpus and printed, and nothing else is measured. All goes through the product's own chunking, index and search.

A chunk is relevant if it shares at least half of the answering span's characters, or lies in it with half of its own.
nDCG@10 counts a relevant chunk as 1; recall@5 is the share of relevant chunks among the first five. Span recall and IoU are taken over the
characters of the best chunks up to `--budget` tokens, the same for every mode: the share of the answers' characters that are in
them, and the characters in both through those in either.
"""

import argparse
import asyncio
import hashlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tests.quality.retrieval.corpora import Corpus, Question, development_corpora, test_corpora

from sluice.contracts.retrieval import ChunkingOptions
from sluice.contracts.searching import Query
from sluice.minilm.files import find_model_files
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.edge import EdgeVectorStore
from sluice_retrieval.adapters.minilm import DIMENSIONS, MiniLmEmbedder
from sluice_retrieval.domain.bm25 import Bm25Parameters, document_vectors, terms
from sluice_retrieval.domain.chunking import chunk_document
from sluice_retrieval.domain.documents import MARKDOWN, PLAIN
from sluice_retrieval.domain.embedding import BegunVectors, Embedded, Lane
from sluice_retrieval.domain.fusion import Fusion
from sluice_retrieval.domain.points import Passage, Point, Scope
from sluice_retrieval.domain.rerank import Candidate, FeatureReranker, Features, features
from sluice_retrieval.domain.search import Hit, probes_of, search
from sluice_retrieval.domain.spaces import BUILT_IN, space_of
from sluice_retrieval.metrics import Metrics

MODES: Mapping[str, Mapping[str, Any]] = {
    "bm25": {"mode": "bm25"},
    "dense": {"mode": "dense"},
    "hybrid, by ranks": {"mode": "hybrid", "fusion": "rrf"},
    "hybrid, weighted": {"mode": "hybrid", "fusion": "weighted"},
    "hybrid, reranked": {"mode": "hybrid", "rerank": "features"},
}
DEPTH = 10
HALF = 0.5


class Figures(NamedTuple):
    """Means over questions."""

    ndcg: float
    recall: float
    span_recall: float
    iou: float


class CachedEmbedder:
    """The model, with the vectors of texts that it has seen kept in a file."""

    def __init__(self, inner: MiniLmEmbedder, file: Path | None) -> None:
        self._inner = inner
        self._file = file
        self._known: dict[str, tuple[float, ...]] = {}
        if file is not None and file.exists():
            with np.load(file) as kept:
                self._known = {key: tuple(kept["vectors"][at].tolist()) for at, key in enumerate(kept["keys"])}

    name, dimensions = MiniLmEmbedder.name, MiniLmEmbedder.dimensions

    @property
    def counter(self) -> Any:
        return self._inner.counter

    def loaded(self) -> bool:
        return self._inner.loaded()

    async def load(self) -> None:
        await self._inner.load()

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if missing:
            made = await self._inner.embed(list(missing.values()), lane)
            self._known.update(zip(missing, made.vectors, strict=True))
        return Embedded(tuple(self._known[key] for key in keys), 0)

    def keep(self) -> None:
        if self._file is not None:
            keys = np.array(list(self._known))
            np.savez(self._file, keys=keys, vectors=np.array(list(self._known.values()), dtype=np.float32))

    async def close(self) -> None:
        self.keep()
        await self._inner.close()


class Index(NamedTuple):
    """A corpus in a store of its name, and its chunks."""

    passages: list[Passage]
    tokens: dict[str, int]


async def index(store: EdgeVectorStore, embedder: CachedEmbedder, corpus: Corpus, options: ChunkingOptions) -> Index:
    found = []
    for name, text in corpus.documents.items():
        kind = MARKDOWN if name.endswith(".md") else PLAIN
        chunks = chunk_document(text, kind, options, embedder.counter)
        found += [(name, chunk, terms(chunk.embedded_text())) for chunk in chunks]
    average = fmean(len(bag) for _, _, bag in found)
    embedded = await embedder.embed([chunk.embedded_text() for _, chunk, _ in found], "bulk")
    points, tokens = [], {}
    weighed = document_vectors([bag for _, _, bag in found], average, Bm25Parameters())
    for (name, chunk, _), vector, words in zip(found, embedded.vectors, weighed, strict=True):
        key = f"{name}#{chunk.index}"
        passage = Passage(key, name, corpus.name, name, chunk.heading, chunk.text, chunk.start, chunk.end)
        points.append(Point("quality", passage, vector, words))
        tokens[key] = chunk.tokens
    for at in range(0, len(points), 500):
        await store.upsert(points[at : at + 500])
    return Index([point.passage for point in points], tokens)


def is_relevant(passage: Passage, question: Question) -> bool:
    for span in question.spans:
        shared = min(passage.end, span.end) - max(passage.start, span.start)
        if span.document == passage.document_id and shared >= HALF * min(
            span.end - span.start, passage.end - passage.start
        ):
            return True
    return False


def figures(hits: Sequence[Hit], question: Question, found: Index, budget: int) -> Figures:
    relevant = sum(is_relevant(passage, question) for passage in found.passages)
    gains = [float(is_relevant(hit.passage, question)) for hit in hits]
    dcg = sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:DEPTH], start=1))
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(relevant, DEPTH) + 1))
    inside: set[tuple[str, int]] = set()
    for hit in hits:
        budget -= found.tokens[hit.passage.chunk_id]
        if budget < 0:
            break
        inside |= {(hit.passage.document_id, at) for at in range(hit.passage.start, hit.passage.end)}
    wanted = {(span.document, at) for span in question.spans for at in range(span.start, span.end)}
    return Figures(
        dcg / ideal if ideal else 0.0,
        sum(gains[:5]) / relevant if relevant else 0.0,
        len(inside & wanted) / len(wanted),
        len(inside & wanted) / len(inside | wanted),
    )


async def measure(
    store: EdgeVectorStore, embedder: CachedEmbedder, corpus: Corpus, options: ChunkingOptions, budget: int
) -> dict[str, Figures]:
    found = await index(store, embedder, corpus, options)
    scope = Scope("quality", (corpus.name,))
    rows = {}
    for label, fields in MODES.items():
        seen = []
        for question in corpus.questions:
            query = Query(query=question.text, top_k=30, **fields)
            reranker = FeatureReranker() if query.rerank == "features" else None
            hits = await search(query, probes_of(query, BegunVectors(embedder)), scope, store, Fusion(), reranker)
            seen.append(figures(hits, question, found, budget))
        rows[label] = Figures(*(fmean(values) for values in zip(*seen, strict=True)))
    return rows


async def learn(
    store: EdgeVectorStore, embedder: CachedEmbedder, corpora: Sequence[Corpus], options: ChunkingOptions
) -> dict[str, float]:
    """Return weights from a logistic regression on the differences of relevant and other candidates' features."""
    differences, strengths = [], []
    for corpus in corpora:
        await index(store, embedder, corpus, options)
        scope = Scope("quality", (corpus.name,))
        for question in corpus.questions:
            query = Query(query=question.text, top_k=40)
            hits = await search(query, probes_of(query, BegunVectors(embedder)), scope, store, Fusion())
            asked = [
                Candidate(hit.passage.text, hit.passage.heading, {k: v.score for k, v in hit.places.items()})
                for hit in hits
            ]
            rows = np.array(features(question.text, asked))
            good = np.array([is_relevant(hit.passage, question) for hit in hits])
            for wanted in rows[good]:
                differences += list(wanted - rows[~good])
                strengths += [1 / max(1, int((~good).sum()))] * int((~good).sum())
    weights = fitted(np.array(differences), np.array(strengths))
    return {
        name: round(float(weight / weights.max()), 3) for name, weight in zip(Features._fields, weights, strict=True)
    }


def fitted(differences: NDArray[np.float64], strengths: NDArray[np.float64], ridge: float = 1.0) -> NDArray[np.float64]:
    """Return the weights w that make w·d positive for the differences d: Newton's method on the penalised logistic loss."""
    weights = np.zeros(differences.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-differences @ weights))
        slope = differences.T @ (strengths * (chance - 1)) + ridge * weights
        curve = (differences.T * (strengths * chance * (1 - chance))) @ differences + ridge * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    return weights


async def run(arguments: argparse.Namespace) -> None:
    embedder = CachedEmbedder(MiniLmEmbedder(find_model_files(), Metrics(MetricRegistry())), arguments.vectors)
    options = ChunkingOptions(max_tokens=arguments.max_tokens)
    with tempfile.TemporaryDirectory() as folder:
        store = await EdgeVectorStore.open(Path(folder) / "vectors", space_of(BUILT_IN, DIMENSIONS))
        if arguments.learn:
            print(await learn(store, embedder, development_corpora(arguments.data), options))
        else:
            corpora = development_corpora(arguments.data) if arguments.development else test_corpora(arguments.data)
            await report(store, embedder, corpora, options, arguments.budget)
        await store.close()
    await embedder.close()


async def report(
    store: EdgeVectorStore, embedder: CachedEmbedder, corpora: Sequence[Corpus], options: ChunkingOptions, budget: int
) -> None:
    print("| corpus | questions | mode | nDCG@10 | recall@5 | span recall | IoU |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    won = 0
    for corpus in corpora:
        rows = await measure(store, embedder, corpus, options, budget)
        embedder.keep()
        for mode, row in rows.items():
            values = " | ".join(f"{value:.3f}" for value in row)
            print(f"| {corpus.name} | {len(corpus.questions)} | {mode} | {values} |", flush=True)
        won += rows["hybrid, reranked"].ndcg >= max(rows["bm25"].ndcg, rows["dense"].ndcg)
    print(f"\nreranked hybrid at least as good as the better of BM25 and dense (nDCG@10): {won} of {len(corpora)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--budget", type=int, default=640)
    parser.add_argument("--learn", action="store_true", help="learn the weights on the development corpus")
    parser.add_argument("--development", action="store_true", help="measure on the development corpus")
    parser.add_argument("--vectors", type=Path, help="a file that keeps the vectors between runs")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
