"""More words for a question (F145): synonyms that the user gave, and terms that mark the best passages of a first search."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sluice_retrieval.domain.bm25 import STOP_WORDS, terms
from sluice_retrieval.domain.language import ENGLISH, SMALL_WORDS, language_of
from sluice_retrieval.domain.words import WORD

SYNONYM_WEIGHT = 0.5
TERM_WEIGHT = 0.3
_FEEDBACK_PASSAGES = 5
_MOST_TERMS = 8
_SHORTEST = 3


def synonyms_in(question: str, synonyms: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the other words for what a question names; a name of several words counts where they stand together."""
    language = language_of(question) or ENGLISH
    asked = terms(question, language)
    found: dict[str, None] = {}
    for name, others in synonyms.items():
        wanted = terms(name, language)
        length = len(wanted)
        if wanted and any(asked[at : at + length] == wanted for at in range(len(asked) - length + 1)):
            found.update(dict.fromkeys(others))
    return tuple(found)


def marking_terms(question: str, passages: Sequence[str]) -> tuple[str, ...]:
    """Return words that mark the first passages, best first, against those behind them; none that the question has.

    Pseudo-relevance feedback: the weight of a word is its share of each of the first five passages, these weighted by
    1/rank, times ln((N + 1) / df) over all N passages (after Lavrenko and Croft, "Relevance-Based Language Models",
    2001, with ranks for the likelihoods). A word must stand in two of the first passages: one alone marks nothing.
    """
    language = next((one for one in map(language_of, passages) if one is not None), ENGLISH)
    asked = set(terms(question, language))
    bags = [_words(passage, language) for passage in passages]
    df = Counter(stem for bag in bags for stem in bag)
    first = bags[:_FEEDBACK_PASSAGES]
    scores: dict[str, float] = {}
    shown: dict[str, str] = {}
    for rank, bag in enumerate(first, start=1):
        whole = sum(count for count, _ in bag.values())
        for stem, (count, word) in bag.items():
            if stem not in asked and sum(stem in other for other in first) > 1:
                scores[stem] = scores.get(stem, 0.0) + count / whole / rank * math.log((len(bags) + 1) / df[stem])
                shown.setdefault(stem, word)
    best = sorted((stem for stem in scores if scores[stem] > 0), key=lambda stem: -scores[stem])
    return tuple(shown[stem] for stem in best[:_MOST_TERMS])


def _words(passage: str, language: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for word in _plain(WORD.findall(passage), STOP_WORDS | SMALL_WORDS.get(language, frozenset())):
        stems = terms(word, language)
        if len(stems) == 1:
            found[stems[0]] = (found.get(stems[0], (0, word))[0] + 1, word)
    return found


def _plain(words: Iterable[str], small: frozenset[str]) -> Iterable[str]:
    return (
        word
        for word in (one.casefold() for one in words)
        if len(word) >= _SHORTEST and word not in small and not word.isdigit()
    )
