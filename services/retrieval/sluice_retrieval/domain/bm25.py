"""BM25 as sparse vectors: terms, their weights in a document and in a query (F134).

A document's vector holds, for each term, tf·(k1+1) / (tf + k1·(1 − b + b·length/average length)); the vector store
multiplies by the inverse document frequency ln(1 + (N − df + 0.5) / (df + 0.5)) over the searched stores, and the dot
product with the query's vector is the BM25 score (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
BM25 and Beyond", 2009).
"""

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import snowballstemmer  # type: ignore[import-untyped]

_TERM = re.compile(r"\w+")
_MAX_TERM = 64
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


def terms(text: str) -> list[str]:
    """Return the index terms of a text: folded, split into words, stemmed as English.

    A name with underscores yields itself and its parts. Words of any script are kept; stop words as well, since a query
    may have nothing else.
    """
    return [_stem(word) for word in _words(unicodedata.normalize("NFKC", text).casefold())]


def query_terms(text: str) -> list[str]:
    """Return the terms of a query without stop words, unless nothing else is in it."""
    kept = [word for word in _words(unicodedata.normalize("NFKC", text).casefold()) if word not in STOP_WORDS]
    return terms(" ".join(kept)) if kept else terms(text)


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    # a stemmer of its own for each new word: one that is shared keeps state, and several threads stem
    stem: str = snowballstemmer.stemmer("english").stemWord(word)
    return stem


@lru_cache(maxsize=65_536)
def term_hash(term: str) -> int:
    """Return a 32-bit hash of a term that is the same in all processes and releases."""
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=4).digest(), "big")


def document_vector(found: Sequence[str], average_length: float, parameters: Bm25Parameters) -> SparseVector:
    """Return a chunk's vector from its terms; `average_length` is in terms, over the chunks of the store."""
    k1, b = parameters
    norm = k1 * (1 - b + b * len(found) / average_length) if average_length > 0 else k1
    return _vector({index: tf * (k1 + 1) / (tf + norm) for index, tf in _frequencies(found).items()})


def query_vector(found: Sequence[str], added: Mapping[str, float] = MappingProxyType({})) -> SparseVector:
    """Return a query's vector: each term as often as it was asked for, and `added` terms with their weights."""
    weights = {term_hash(term): weight for term, weight in added.items()}
    weights.update({index: float(tf) for index, tf in _frequencies(found).items()})
    return _vector(weights)


def inverse_document_frequency(documents: int, with_term: int) -> float:
    """Return the weight of a term that `with_term` of `documents` chunks hold; never negative, defined for 0."""
    return math.log(1 + (documents - with_term + 0.5) / (with_term + 0.5))


def _words(folded: str) -> Iterator[str]:
    for match in _TERM.finditer(folded):
        word = match.group()[:_MAX_TERM]
        yield word
        if "_" in word.strip("_"):
            yield from (part for part in word.split("_") if part)


def _frequencies(found: Sequence[str]) -> Counter[int]:
    return Counter(map(term_hash, found))


def _vector(weights: dict[int, float]) -> SparseVector:
    indices = tuple(sorted(weights))
    return SparseVector(indices, tuple(weights[index] for index in indices))
