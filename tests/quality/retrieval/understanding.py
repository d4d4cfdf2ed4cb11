"""Does making a question ready for search find more? python -m tests.quality.retrieval.understanding [--split test] [--misses]

Follow-ups of a conversation, questions that ask two things, and plain ones (which must not suffer), written by us over the corpus
beside this file. `conversations.jsonl` names the split of each: rules were made while looking at `dev`, figures are of `test`.
Every answer is a phrase that stands in one place; a chunk with it is relevant. Chunks have at most 48 tokens, search is hybrid.
nDCG@10 counts a relevant chunk as 1; recall@3 and recall@5 are the shares of the answers among the first three and five chunks.
"""

import argparse
import asyncio
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from tests.quality.retrieval.run import HERE, index, read_corpus

from sluice.contracts.questions import QueryUnderstanding
from sluice.contracts.retrieval import ChunkingOptions
from sluice.contracts.searching import Query
from sluice.minilm.files import find_model_files
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.edge import EdgeVectorStore
from sluice_retrieval.adapters.languages import Languages
from sluice_retrieval.adapters.minilm import DIMENSIONS, MiniLmEmbedder
from sluice_retrieval.domain.asking import Engine, find, prepare, terms_to_add, with_terms
from sluice_retrieval.domain.embedding import BegunVectors
from sluice_retrieval.domain.fusion import Fusion
from sluice_retrieval.domain.points import Scope
from sluice_retrieval.domain.questions.understanding import understand
from sluice_retrieval.domain.rerank import FeatureReranker
from sluice_retrieval.domain.search import Hit
from sluice_retrieval.domain.spaces import BUILT_IN, space_of
from sluice_retrieval.metrics import Metrics

STRATEGY = "paragraph"
SCOPE = Scope("quality", (STRATEGY,))
DEPTH = 10


@dataclass(frozen=True)
class Case:
    kind: str
    conversation: tuple[dict[str, str], ...]
    question: str
    answers: tuple[tuple[str, str], ...]

    def joined_before(self) -> tuple[str, ...]:
        """Return the question behind the user's last message: the simplest thing to do with a follow-up."""
        asked = [turn["content"] for turn in self.conversation if turn["role"] == "user"]
        return (f"{asked[-1]}\n{self.question}",) if asked else ()


class Way(NamedTuple):
    """How questions are made ready."""

    name: str
    options: QueryUnderstanding
    conversation: bool = True
    joins: bool = False


WAYS = (
    Way("as it comes", QueryUnderstanding(rewrite="none"), conversation=False),
    Way("with the question before", QueryUnderstanding(rewrite="none"), conversation=False, joins=True),
    Way("rules", QueryUnderstanding()),
    Way("rules, parts", QueryUnderstanding(decompose=True)),
    Way("rules, parts, statement", QueryUnderstanding(decompose=True, expand=("reformulation",))),
    Way("rules, parts, terms", QueryUnderstanding(decompose=True, expand=("terms",))),
)


def read_cases(split: str) -> list[Case]:
    lines = (HERE / "conversations.jsonl").read_text(encoding="utf-8").splitlines()
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        Case(
            one["kind"],
            tuple(one["conversation"]),
            one["question"],
            tuple((answer["source"], answer["answer"]) for answer in one["answers"]),
        )
        for one in found
        if one["split"] == split
    ]


async def hits_for(
    case: Case, way: Way, engine: Engine, begun: BegunVectors, languages: Languages
) -> tuple[list[Hit], tuple[str, ...]]:
    query = Query.model_validate(
        {
            "query": case.question,
            "top_k": DEPTH,
            "conversation": case.conversation if way.conversation else (),
            "also": case.joined_before() if way.joins else (),
        }
    )
    reading = await understand(query, way.options, None, languages)
    prepared = prepare(query, reading, begun, SCOPE)
    if reading.wants_terms:
        added = await terms_to_add(prepared, SCOPE, engine)
        prepared = with_terms(prepared, reading, added, begun, SCOPE)
    return await find(prepared, SCOPE, engine), tuple(one.text for one in reading.asked)


class Scores(NamedTuple):
    ndcg: float
    recall_3: float
    recall_5: float


def scores_of(hits: Sequence[Hit], case: Case) -> Scores:
    ranks = []
    for source, answer in case.answers:
        at = (rank for rank, hit in enumerate(hits, 1) if hit.passage.source == source and answer in hit.passage.text)
        ranks.append(next(at, None))
    gained = sum(1 / math.log2(rank + 1) for rank in {rank for rank in ranks if rank})
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, len(ranks) + 1))
    return Scores(gained / ideal, *(sum(rank is not None and rank <= k for rank in ranks) / len(ranks) for k in (3, 5)))


async def run(split: str, rerank: bool, misses: bool) -> None:
    cases = read_cases(split)
    embedder = MiniLmEmbedder(find_model_files(), Metrics(MetricRegistry()))
    languages = Languages()
    options = ChunkingOptions(strategy=STRATEGY, max_tokens=48)
    with tempfile.TemporaryDirectory() as folder:
        store = await EdgeVectorStore.open(Path(folder) / "vectors", space_of(BUILT_IN, DIMENSIONS))
        chunks = await index(store, embedder, read_corpus(HERE / "corpus"), options)
        engine = Engine(store, Fusion(), FeatureReranker() if rerank else None)
        begun = BegunVectors(embedder)
        print(f"split {split}, {chunks} chunks of 8 documents, hybrid{', reranked by features' if rerank else ''}\n")
        print("| questions | n | way | nDCG@10 | recall@3 | recall@5 |\n| --- | --- | --- | --- | --- | --- |")
        for kind in dict.fromkeys(case.kind for case in cases):
            chosen = [case for case in cases if case.kind == kind]
            for way in WAYS:
                scores = []
                for case in chosen:
                    hits, asked = await hits_for(case, way, engine, begun, languages)
                    scores.append(scores_of(hits, case))
                    if misses and scores[-1].recall_3 < 1 and way.name == "rules, parts":
                        print("    missed:", *asked, sep=" | ")
                cells = (fmean(getattr(one, name) for one in scores) for name in Scores._fields)
                print(f"| {kind} | {len(chosen)} | {way.name} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
        await store.close()
    await embedder.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--rerank", action="store_true", help="rank the candidates anew by features")
    parser.add_argument("--misses", action="store_true", help="also print what was searched for in vain")
    given = parser.parse_args()
    asyncio.run(run(given.split, given.rerank, given.misses))


if __name__ == "__main__":
    main()
