"""Finds a long part of a system prompt that an answer tells in other words and another order (handbook F129).

Words of content are compared by their beginnings: `PART` of them in a row, of which most stand close together in the answer, are hardly chance.
A prompt of fewer than `FEWEST` is not looked for, and one or two of its sentences in an answer are no leak: an assistant uses what it was told.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.skeleton import lowered

PART, FEWEST = 30, 15
SHARE = 0.6
_STRIDE = 10
_ROOM = 1.5  # the part of an answer that is compared is longer than the part of the prompt by this
_MOST_WORDS = 20_000
_WORD = re.compile(r"[^\W\d_]{4,}")
_BEGINNING = 6
_COMMON = frozenset(
    [
        "that",
        "this",
        "with",
        "from",
        "have",
        "will",
        "would",
        "could",
        "should",
        "your",
        "yours",
        "they",
        "them",
        "their",
        "there",
        "these",
        "those",
        "what",
        "when",
        "where",
        "which",
        "while",
        "about",
        "into",
        "only",
        "also",
        "then",
        "than",
        "been",
        "were",
        "does",
        "must",
        "shall",
        "such",
        "some",
        "more",
        "most",
        "other",
        "over",
        "very",
        "each",
        "every",
        "just",
        "like",
        "make",
        "made",
        "want",
        "need",
        "using",
        "used",
        "user",
        "users",
        "assistant",
        "answer",
        "answers",
        "please",
        "know",
        "help",
        "tell",
        "question",
        "questions",
    ]
)


class _Word(NamedTuple):
    stem: str
    start: int
    end: int


def find_paraphrase(text: str, system_texts: Sequence[str]) -> Iterator[Finding]:
    """Yield the stretch of a folded answer that tells the most of a long part of a system prompt, if it tells enough."""
    parts = [part for system_text in system_texts for part in _parts(_words(system_text))]
    if not parts:
        return
    numbers = {stem: number for number, stem in enumerate(sorted(frozenset().union(*parts)))}
    words = _words(text)
    if len(numbers.keys() & {word.stem for word in words}) < SHARE * min(map(len, parts)):
        return
    size = int(PART * _ROOM)
    starts = range(0, max(1, len(words) - size + _STRIDE), _STRIDE)
    told = _table(([word.stem for word in words[at : at + size]] for at in starts), numbers, len(starts))
    wanted = _table(parts, numbers, len(parts))
    share = (told @ wanted.T / wanted.sum(axis=1)).max(axis=1)
    at = int(share.argmax())
    if share[at] >= SHARE:
        stretch = words[starts[at] : starts[at] + size]
        score = round(min(1.0, 0.71 + float(share[at]) - SHARE), 4)
        reason = f"{share[at]:.0%} of the words of a part of the system prompt"
        yield Finding(
            "output_filter", "output_filter", "paraphrased_prompt", stretch[0].start, stretch[-1].end, score, reason
        )


def _words(text: str) -> list[_Word]:
    found = (
        _Word(word.group()[:_BEGINNING], *word.span())
        for word in _WORD.finditer(lowered(text))
        if word.group() not in _COMMON
    )
    return [word for _, word in zip(range(_MOST_WORDS), found, strict=False)]


def _parts(words: Sequence[_Word]) -> list[frozenset[str]]:
    if len(words) < FEWEST:
        return []
    starts = range(0, max(1, len(words) - PART + _STRIDE), _STRIDE)
    found = (frozenset(word.stem for word in words[at : at + PART]) for at in starts)
    return [part for part in found if len(part) >= FEWEST]


def _table(
    rows: Iterator[Sequence[str]] | Sequence[frozenset[str]], numbers: dict[str, int], count: int
) -> NDArray[np.float32]:
    table = np.zeros((count, len(numbers)), dtype=np.float32)
    for row, stems in enumerate(rows):
        table[row, [numbers[stem] for stem in stems if stem in numbers]] = 1.0
    return table
