"""Ranking anew what search has found: the port, and the feature reranker that needs no model (F147).

The feature reranker looks at question and passage together, as far as words go: how much of the question's
rarer words a passage holds, how close together and in which order they stand, whether its heading and its best sentence
name them, and how both rankings scored it. The features are joined by weights that were learned (see `WEIGHTS`).
"""

import itertools
import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_retrieval.domain.bm25 import query_terms, terms
from sluice_retrieval.domain.language import ENGLISH, language_of
from sluice_retrieval.domain.sentences import sentence_starts


class Candidate(NamedTuple):
    """A passage to rank: its text and breadcrumb, and its scores in the rankings that had it (`dense`, `bm25`)."""

    text: str
    heading: str | None
    scores: Mapping[str, float]


class Reranked(NamedTuple):
    """Scores in the order of the candidates, and who gave them."""

    reranker: str
    scores: list[float]


class Reranker(Protocol):
    """Scores passages for a question; the higher the better, on a scale of its own.

    When it is away it raises `DependencyUnavailable`, and the search goes on with the feature reranker, which cannot be
    away; the explanation names the one that ranked.
    """

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> Reranked:
        """Return one score for each candidate."""
        ...


class WithFallback:
    """Asks a reranker that may be away, and ranks by features when it is; `failed` is told each time."""

    def __init__(self, first: Reranker, second: Reranker, failed: Callable[[], None]) -> None:
        self._first = first
        self._second = second
        self._failed = failed

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> Reranked:
        """Return one score for each candidate."""
        try:
            return await self._first.rerank(query, candidates)
        except (DependencyUnavailable, DeadlineExceeded, UpstreamFailed):
            self._failed()
            return await self._second.rerank(query, candidates)


class Features(NamedTuple):
    """What is known of one candidate; each lies between 0 and 1, save where it says otherwise."""

    cosine: float
    """Cosine to the query, on a scale from the worst candidate (0) to the best (1)."""
    bm25: float
    """BM25 on such a scale."""
    coverage: float
    """Share of the question's words, weighted by rarity among the candidates, that the passage holds."""
    pairs: float
    """Share of the question's neighbouring words that stand next to each other in the passage."""
    nearness: float
    """How close together the words stand that are there: found words through the shortest stretch that holds them all."""
    sentence: float
    """The best coverage that a single sentence of the passage has."""
    heading: float
    """Coverage of the breadcrumb of headings."""
    best_of_both: float
    """The lesser of `cosine` and `bm25`: high only where both agree."""


WEIGHTS = Features(
    cosine=1.0, bm25=0.73, coverage=0.68, pairs=0.38, nearness=0.08, sentence=0.63, heading=0.1, best_of_both=0.57
)
"""Learned on COVID-QA (186 questions on 25 articles) by `tests/quality/retrieval/ranking.py --learn`; that corpus has no headings, so the
weight of `heading` is set by hand."""

FEATURES: Final = "features"
"""The name of the reranker that needs no model."""
_NEAR_WORDS = 2


class FeatureReranker:
    """Ranks by the weighted mean of features, so that a score lies between 0 and 1."""

    def __init__(self, weights: Features = WEIGHTS) -> None:
        whole = sum(weights)
        self._weights = Features(*(weight / whole for weight in weights))

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> Reranked:
        """Return one score for each candidate."""
        found = features(query, candidates)
        return Reranked(FEATURES, [sum(map(operator.mul, self._weights, one)) for one in found])


def features(query: str, candidates: Sequence[Candidate]) -> list[Features]:
    """Return the features of each candidate for a query."""
    languages = [language_of(candidate.text) or ENGLISH for candidate in candidates]
    found = query_terms(query, tuple(dict.fromkeys(languages)))
    asked = list(dict.fromkeys(found))
    in_order = [pair for pair in itertools.pairwise(found) if pair[0] != pair[1]]
    passages = [terms(one.text, language) for one, language in zip(candidates, languages, strict=True)]
    rarity = _rarity(asked, [set(passage) for passage in passages])
    cosines, keywords = (_scaled(candidates, name) for name in ("dense", "bm25"))
    return [
        _of_one(candidate, language, passage, rarity, in_order, cosine, keyword)
        for candidate, language, passage, cosine, keyword in zip(
            candidates, languages, passages, cosines, keywords, strict=True
        )
    ]


def _of_one(
    candidate: Candidate,
    language: str,
    passage: Sequence[str],
    rarity: Mapping[str, float],
    in_order: Sequence[tuple[str, str]],
    cosine: float,
    keyword: float,
) -> Features:
    held = set(passage)
    neighbours = set(itertools.pairwise(passage))
    text = candidate.text
    starts = list(sentence_starts(text, 0, len(text)))
    sentences = (text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True))
    return Features(
        cosine=cosine,
        bm25=keyword,
        coverage=_coverage(rarity, held),
        pairs=sum(pair in neighbours for pair in in_order) / len(in_order) if in_order else 0.0,
        nearness=_nearness(passage, held & rarity.keys()),
        sentence=max((_coverage(rarity, set(terms(sentence, language))) for sentence in sentences), default=0.0),
        heading=_coverage(rarity, set(terms(candidate.heading or "", language))),
        best_of_both=min(cosine, keyword),
    )


def _rarity(asked: Sequence[str], passages: Sequence[set[str]]) -> dict[str, float]:
    """Return each asked word's weight: its inverse document frequency over the candidates, smoothed to stay above 0."""
    counts = Counter(word for passage in passages for word in passage)
    return {word: math.log(1 + (len(passages) + 1) / (counts[word] + 1)) for word in asked}


def _coverage(rarity: Mapping[str, float], held: set[str]) -> float:
    whole = sum(rarity.values())
    return sum(weight for word, weight in rarity.items() if word in held) / whole if whole else 0.0


def _nearness(passage: Sequence[str], wanted: set[str]) -> float:
    """Return the number of wanted words through the length of the shortest stretch of the passage that holds them all."""
    if len(wanted) < _NEAR_WORDS:
        return 0.0
    places = [(at, word) for at, word in enumerate(passage) if word in wanted]
    inside: Counter[str] = Counter()
    shortest, first = len(passage), 0
    for at, word in places:
        inside[word] += 1
        while inside[places[first][1]] > 1:
            inside[places[first][1]] -= 1
            first += 1
        if len(inside) == len(wanted):
            shortest = min(shortest, at - places[first][0] + 1)
    return len(wanted) / shortest


def _scaled(candidates: Sequence[Candidate], name: str) -> list[float]:
    known = [candidate.scores[name] for candidate in candidates if name in candidate.scores]
    if not known:
        return [0.0] * len(candidates)
    low, high = min(known), max(known)
    if high <= low:
        return [float(name in candidate.scores) for candidate in candidates]
    return [(candidate.scores.get(name, low) - low) / (high - low) for candidate in candidates]
