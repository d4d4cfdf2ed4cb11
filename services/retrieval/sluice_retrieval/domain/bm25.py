"""BM25 as sparse vectors: terms, their weights in a document and in a query (F134).

A document's vector holds, for each term, tf·(k1+1) / (tf + k1·(1 − b + b·length/average length)); the vector store
multiplies by the inverse document frequency ln(1 + (N − df + 0.5) / (df + 0.5)) over the searched stores, and the dot
product with the query's vector is the BM25 score (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
BM25 and Beyond", 2009).
"""

import hashlib
import math
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import snowballstemmer  # type: ignore[import-untyped]

from sluice_retrieval.domain.language import ENGLISH, SMALL_WORDS, STEMMERS, language_of

_TERM = re.compile(r"\w+")
_MAX_TERM = 64
_LONGEST = 2.0
_KNOWN = 131_072
_HASH_BITS = 32
# Chinese and Japanese, Korean, Thai, Lao, Myanmar, Khmer: no blanks, or none that part words
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)
_STOP_WORD_LIST = (
    "a about after again all also am an and any are as at be because been before being both but by can cannot could did "
    "do does doing during each few for from had has have having he her here him his how i if in into is it its just may "
    "me might more most much many must my no nor not now of off on once only or other our out over own please same shall "
    "she should so some such than that the their them then there these they this those to too under until up us very "
    "was we were what when where which while who whom whose why will with would you your"
)
STOP_WORDS = frozenset(_STOP_WORD_LIST.split())


class SparseVector(NamedTuple):
    """Weights by term; `indices` are distinct 32-bit hashes of terms, in rising order."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class Bm25Parameters(NamedTuple):
    """`k1` bounds what repetition adds; `b` is how much a long document is held against it (0 to 1)."""

    k1: float = 1.2
    b: float = 0.75


def terms(text: str, language: str = ENGLISH) -> list[str]:
    """Return the index terms of a text: folded, split into words, stemmed by its language's rules (Snowball's).

    A name with underscores yields itself and its parts. Words of any script are kept; stop words as well, since a query
    may have nothing else. Scripts that are written without blanks yield pairs of neighbouring characters. A language
    without a stemmer keeps its words as they are.
    """
    stemmer = STEMMERS.get(language, "")
    stems = _stems(stemmer)
    return [stems[word] for word in _words(unicodedata.normalize("NFKC", text).casefold())]


def query_terms(text: str, languages: Sequence[str] = (ENGLISH,)) -> list[str]:
    """Return the terms of a query without stop words, unless nothing else is in it.

    Each word is stemmed by every language that the searched texts have: which one a short question is in cannot be told
    for sure, and a stem of another language meets no text.
    """
    words = list(_words(unicodedata.normalize("NFKC", text).casefold()))
    own = language_of(text)
    stop = STOP_WORDS if own is None or own == ENGLISH else STOP_WORDS | SMALL_WORDS[own]
    kept = [word for word in words if word not in stop] or words
    stemmers = dict.fromkeys(STEMMERS.get(language, "") for language in languages) or {STEMMERS[ENGLISH]: None}
    return [stem for word in kept for stem in dict.fromkeys(_stems(stemmer)[word] for stemmer in stemmers)]


class _Stems(dict[str, str]):
    """The stems of words that were met; to look one up takes a fifth of a cached function's time."""

    def __init__(self, stemmer: str) -> None:
        self._stemmer = snowballstemmer.stemmer(stemmer) if stemmer else None
        self._lock = threading.Lock()  # a stemmer keeps state, and several threads stem

    def __missing__(self, word: str) -> str:
        if len(self) >= _KNOWN:
            self.clear()
        stem = word
        if self._stemmer is not None:
            with self._lock:
                stem = self._stemmer.stemWord(word)
        self[word] = stem
        return stem


class _Hashes(dict[str, int]):
    """The hashes of terms that were met."""

    def __missing__(self, term: str) -> int:
        if len(self) >= _KNOWN:
            self.clear()
        found = self[term] = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=4).digest(), "big")
        return found


_stems = lru_cache(maxsize=None)(_Stems)  # one for each of Snowball's stemmers
_hashes = _Hashes()


def term_hash(term: str) -> int:
    """Return a 32-bit hash of a term that is the same in all processes and releases."""
    return _hashes[term]


def document_vectors(
    found: Sequence[Sequence[str]], average_length: float, parameters: Bm25Parameters
) -> list[SparseVector]:
    """Return the vectors of chunks from their terms; `average_length` is in terms, over the chunks of the store.

    No chunk counts as longer than twice the average: the average is that of the store when a document was ingested, and where the
    rows of a large table have come in between, a page of the same length as an older one would weigh a tenth of it.

    The terms of all are sorted and counted at once (measured for 50 chunks and more: 9 microseconds a chunk, one by one 36).
    """
    k1, b = parameters
    lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    norms = np.full(len(found), k1)
    if average_length > 0:
        norms = k1 * (1 - b + b * np.minimum(lengths / average_length, _LONGEST))
    hashed = map(_hashes.__getitem__, chain.from_iterable(found))
    of_chunk = np.repeat(np.arange(len(found), dtype=np.int64), lengths)
    keys = of_chunk << _HASH_BITS | np.fromiter(hashed, dtype=np.int64, count=len(of_chunk))
    terms_of, counts = np.unique(keys, return_counts=True)
    chunks = terms_of >> _HASH_BITS
    weights: list[float] = (counts * (k1 + 1) / (counts + norms[chunks])).tolist()
    indices: list[int] = (terms_of & (1 << _HASH_BITS) - 1).tolist()
    edges = np.searchsorted(chunks, np.arange(len(found) + 1)).tolist()
    return [SparseVector(tuple(indices[at:end]), tuple(weights[at:end])) for at, end in pairwise(edges)]


def frequency_vector(found: Sequence[str]) -> SparseVector:
    """Return how often a chunk holds each of its terms: its part of TF-IDF."""
    return _vector({index: float(tf) for index, tf in _frequencies(found).items()})


def query_vector(found: Sequence[str], added: Mapping[str, float] = MappingProxyType({})) -> SparseVector:
    """Return a query's vector: each term as often as it was asked for, and `added` terms with their weights."""
    weights = {term_hash(term): weight for term, weight in added.items()}
    weights.update({index: float(tf) for index, tf in _frequencies(found).items()})
    return _vector(weights)


def inverse_document_frequency(documents: int, with_term: int) -> float:
    """Return the weight of a term that `with_term` of `documents` chunks hold; never negative, defined for 0."""
    return math.log(1 + (documents - with_term + 0.5) / (with_term + 0.5))


def _words(folded: str) -> Iterable[str]:
    if not folded.isascii() and _UNSPACED.search(folded) is not None:
        return _words_of_any(folded)
    if "_" in folded:
        return _words_and_parts(folded)
    words: list[str] = _TERM.findall(folded)
    return words if max(map(len, words), default=0) <= _MAX_TERM else [word[:_MAX_TERM] for word in words]


def _words_and_parts(folded: str) -> Iterator[str]:
    for match in _TERM.finditer(folded):
        word = match.group()[:_MAX_TERM]
        yield word
        if "_" in word.strip("_"):
            yield from (part for part in word.split("_") if part)


def _words_of_any(folded: str) -> Iterator[str]:
    at = 0
    for run in _UNSPACED.finditer(folded):
        yield from _words(_UNSPACED.sub(" ", folded[at : run.start()]))
        text = run.group()
        yield from (text[place : place + 2] for place in range(max(1, len(text) - 1)))
        at = run.end()
    yield from _words(folded[at:])


def _frequencies(found: Sequence[str]) -> Counter[int]:
    return Counter(map(_hashes.__getitem__, found))


def _vector(weights: dict[int, float]) -> SparseVector:
    indices = tuple(sorted(weights))
    return SparseVector(indices, tuple(map(weights.__getitem__, indices)))
