"""Prints how well each search mode finds the chunk that answers a question, for each way of chunking.

    python tests/quality/retrieval/run.py [--corpus FOLDER --questions FILE] [--max-tokens 48] [--misses]

The corpus and the questions beside this file are our own. A question names its file and a phrase that only the
answering chunk holds; a hit is a chunk of that file with that phrase. Recall@k is the share of questions with a hit
among the first k; MRR is the mean of 1/rank of the first hit among ten.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sluice.contracts.retrieval import ChunkingOptions
from sluice.contracts.searching import Query, SearchMode
from sluice.minilm.files import find_model_files
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.edge import EdgeVectorStore
from sluice_retrieval.adapters.minilm import DIMENSIONS, MiniLmEmbedder
from sluice_retrieval.domain.bm25 import Bm25Parameters, document_vectors, terms
from sluice_retrieval.domain.chunking import Chunk, chunk_document
from sluice_retrieval.domain.documents import MARKDOWN
from sluice_retrieval.domain.embedding import BegunVectors
from sluice_retrieval.domain.fusion import Fusion
from sluice_retrieval.domain.points import Passage, Point, Scope
from sluice_retrieval.domain.search import Hit, probes_of, search
from sluice_retrieval.domain.spaces import BUILT_IN, space_of
from sluice_retrieval.metrics import Metrics

HERE = Path(__file__).parent
STRATEGIES = ("paragraph", "sentence", "fixed")
DEPTH = 10


@dataclass(frozen=True)
class Question:
    question: str
    source: str
    answer: str


@dataclass(frozen=True)
class Row:
    strategy: str
    mode: str
    chunks: int
    recall_1: float
    recall_5: float
    mrr: float
    milliseconds: float
    missed: tuple[str, ...]


def read_corpus(folder: Path) -> dict[str, str]:
    files = sorted([*folder.rglob("*.md"), *folder.rglob("*.txt")])
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def read_questions(path: Path, corpus: dict[str, str]) -> list[Question]:
    found = [Question(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for item in found:
        if corpus[item.source].count(item.answer) != 1:
            raise SystemExit(f"{item.answer!r} does not stand exactly once in {item.source}")
    return found


async def index(
    store: EdgeVectorStore, embedder: MiniLmEmbedder, corpus: dict[str, str], options: ChunkingOptions
) -> int:
    found: list[tuple[str, Chunk, list[str]]] = []
    for source, text in corpus.items():
        chunks = chunk_document(text, MARKDOWN, options, embedder.counter)
        found += [(source, chunk, terms(chunk.embedded_text())) for chunk in chunks]
    average = sum(len(bag) for _, _, bag in found) / len(found)
    vectors = (await embedder.embed([chunk.embedded_text() for _, chunk, _ in found], "bulk")).vectors
    points = []
    weighed = document_vectors([bag for _, _, bag in found], average, Bm25Parameters())
    for (source, chunk, _), vector, words in zip(found, vectors, weighed, strict=True):
        passage = Passage(
            f"{source}.{chunk.index}",
            source,
            options.strategy,
            source,
            chunk.heading,
            chunk.text,
            chunk.start,
            chunk.end,
        )
        points.append(Point("quality", passage, vector, words))
    await store.upsert(points)
    return len(points)


def rank_of(hits: Sequence[Hit], question: Question) -> int | None:
    for rank, hit in enumerate(hits, start=1):
        if hit.passage.source == question.source and question.answer in hit.passage.text:
            return rank
    return None


async def measure(
    store: EdgeVectorStore, embedder: MiniLmEmbedder, questions: Sequence[Question], strategy: str, chunks: int
) -> list[Row]:
    rows = []
    mode: SearchMode
    for mode in get_args(SearchMode):
        ranks, started = [], time.perf_counter()
        for item in questions:
            query = Query(query=item.question, top_k=DEPTH, mode=mode)
            hits = await search(
                query, probes_of(query, BegunVectors(embedder)), Scope("quality", (strategy,)), store, Fusion()
            )
            ranks.append(rank_of(hits, item))
        elapsed = time.perf_counter() - started
        rows.append(
            Row(
                strategy,
                mode,
                chunks,
                sum(rank == 1 for rank in ranks) / len(ranks),
                sum(rank is not None and rank <= 5 for rank in ranks) / len(ranks),
                sum(1 / rank for rank in ranks if rank) / len(ranks),
                1000 * elapsed / len(ranks),
                tuple(item.question for item, rank in zip(questions, ranks, strict=True) if rank is None or rank > 5),
            )
        )
    return rows


async def run(corpus: dict[str, str], questions: Sequence[Question], max_tokens: int) -> list[Row]:
    embedder = MiniLmEmbedder(find_model_files(), Metrics(MetricRegistry()))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        store = await EdgeVectorStore.open(Path(folder) / "vectors", space_of(BUILT_IN, DIMENSIONS))
        for strategy in STRATEGIES:
            options = ChunkingOptions.model_validate(
                {"strategy": strategy, "max_tokens": max_tokens, "overlap_tokens": max_tokens // 5}
            )
            chunks = await index(store, embedder, corpus, options)
            rows += await measure(store, embedder, questions, strategy, chunks)
        await store.close()
    await embedder.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=HERE / "corpus")
    parser.add_argument("--questions", type=Path, default=HERE / "questions.jsonl")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--misses", action="store_true", help="also print the questions without a hit among five")
    arguments = parser.parse_args()
    corpus = read_corpus(arguments.corpus)
    questions = read_questions(arguments.questions, corpus)
    rows = asyncio.run(run(corpus, questions, arguments.max_tokens))
    print(f"{len(questions)} questions, {len(corpus)} documents, chunks of at most {arguments.max_tokens} tokens\n")
    print("| chunking | chunks | mode | recall@1 | recall@5 | MRR@10 | ms a query |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row.strategy} | {row.chunks} | {row.mode} | {row.recall_1:.2f} | {row.recall_5:.2f} "
            f"| {row.mrr:.2f} | {row.milliseconds:.1f} |"
        )
        if arguments.misses:
            print(*(f"    missed: {question}" for question in row.missed), sep="\n")


if __name__ == "__main__":
    main()
