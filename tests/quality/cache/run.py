"""How often the semantic cache knows a paraphrase, and that it never takes one question for another.

    python -m tests.quality.cache.run

`pairs.jsonl` was written for this. Words and turns of phrase were chosen by looking at the set `tuning` and, for what must not
match, at `adversarial`; `held-out` was written at the same time as `tuning` and looked at only as a figure.
"""

import asyncio
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from sluice.minilm.files import find_model_files
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.cache.similar import cosine
from sluice_gateway.domain.questions import read, same
from sluice_retrieval.adapters.minilm import MiniLmEmbedder
from sluice_retrieval.metrics import Metrics

PAIRS = Path(__file__).with_name("pairs.jsonl")
THRESHOLDS = (0.8, 0.9, 0.95)


class Judged(NamedTuple):
    """A pair: its set, whether it asks for the same, whether the words agree, and the cosine of the embeddings."""

    set: str
    same: bool
    words: bool
    similarity: float


def pairs() -> list[dict[str, Any]]:
    """Return the pairs."""
    return [json.loads(line) for line in PAIRS.read_text().splitlines()]


def agree(one: str, other: str) -> bool:
    """Tell whether the words of two questions agree."""
    first, second = read(one), read(other)
    return first is not None and second is not None and same(first, second)


async def judged() -> list[Judged]:
    """Return all pairs, judged by words and by the real embedding model."""
    embedder = MiniLmEmbedder(find_model_files(), Metrics(MetricRegistry()))
    found = []
    for pair in pairs():
        one, other = (await embedder.embed([pair["a"], pair["b"]], "query")).vectors
        found.append(Judged(pair["set"], pair["same"], agree(pair["a"], pair["b"]), cosine(one, other)))
    await embedder.close()
    return found


def main() -> int:
    """Print hits by set and threshold, with and without the comparison of words; fail on a false hit."""
    groups: dict[tuple[bool, str], list[Judged]] = defaultdict(list)
    for one in asyncio.run(judged()):
        groups[(one.same, one.set)].append(one)
    print(f"{'pairs':<30}{'number':>8}" + "".join(f"{f'≥ {t} alone':>14}{f'≥ {t} + words':>16}" for t in THRESHOLDS))
    false = 0
    for (asks_same, name), rows in sorted(groups.items(), reverse=True):
        cells = ""
        for threshold in THRESHOLDS:
            near = [row for row in rows if row.similarity >= threshold]
            both = sum(row.words for row in near)
            cells += f"{len(near):>14}{both:>16}"
            false += 0 if asks_same else both
        print(f"{('same' if asks_same else 'different') + ', ' + name:<30}{len(rows):>8}{cells}")
    print(f"false hits: {false}")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
