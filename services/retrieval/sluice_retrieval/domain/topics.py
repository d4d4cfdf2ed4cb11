"""Where a text changes its topic: the cuts of semantic chunking (F143)."""

import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from sluice_retrieval.domain.embedding import Embedder
from sluice_retrieval.domain.metrics import cosine
from sluice_retrieval.domain.sections import Section
from sluice_retrieval.domain.sentences import sentence_starts

_BESIDE = 2
_BATCH = 64
_DEPTH = 0.5


class _Seam(NamedTuple):
    """The place between two sentences: characters before and after it, from `first` to `at` and from `at` to `last`."""

    first: int
    at: int
    last: int


async def topic_breaks(text: str, sections: Sequence[Section], embedder: Embedder) -> list[int]:
    """Return the characters at which a new topic begins, in order.

    At each seam between two sentences of a section the two sentences before and the two after are compared by the cosine of
    their embeddings. A seam is a break where the cosine is lower than at both neighbours and lies more than half a
    standard deviation below the document's mean (after Hearst, "TextTiling: Segmenting Text into Multi-paragraph
    Subtopic Passages", 1997, with embeddings in place of words).
    """
    groups = [list(_seams(text, section)) for section in sections]
    flat = [seam for seams in groups for seam in seams]
    sides = [text[start:end] for seam in flat for start, end in ((seam.first, seam.at), (seam.at, seam.last))]
    vectors: list[tuple[float, ...]] = []
    for at in range(0, len(sides), _BATCH):
        vectors += (await embedder.embed(sides[at : at + _BATCH], "bulk")).vectors
    likeness = [cosine(before, after) for before, after in zip(vectors[::2], vectors[1::2], strict=True)]
    if not likeness:
        return []
    low = statistics.fmean(likeness) - _DEPTH * statistics.pstdev(likeness)
    breaks, first = [], 0
    for seams in groups:
        cosines = likeness[first : first + len(seams)]
        breaks += [seam.at for seam, deep in zip(seams, _valleys(cosines, low), strict=True) if deep]
        first += len(seams)
    return breaks


def _valleys(cosines: Sequence[float], low: float) -> Iterator[bool]:
    for before, (here, after) in zip([1.0, *cosines], pairwise([*cosines, 1.0]), strict=False):
        yield here < low and here <= before and here <= after


def _seams(text: str, section: Section) -> Iterator[_Seam]:
    start, end = section.blocks[0].start, section.blocks[-1].end
    starts = [
        at
        for block in section.blocks
        for at in (sentence_starts(text, block.start, block.end) if block.kind == "text" else (block.start,))
    ]
    edges = [at for at in starts if text[at:end].strip()] + [end]
    for number in range(1, len(edges) - 1):
        first, last = edges[max(0, number - _BESIDE)], edges[min(len(edges) - 1, number + _BESIDE)]
        if text[first : edges[number]].strip() and text[edges[number] : last].strip():
            yield _Seam(max(first, start), edges[number], last)
