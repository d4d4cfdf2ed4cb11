"""Ranking texts that lie in no store: each gets the scores that a search would have given it, and is ranked by features."""

from collections.abc import Sequence

from sluice_retrieval.domain.bm25 import (
    Bm25Parameters,
    document_vectors,
    inverse_document_frequency,
    query_terms,
    query_vector,
    terms,
)
from sluice_retrieval.domain.language import ENGLISH, language_of
from sluice_retrieval.domain.metrics import likeness
from sluice_retrieval.domain.rerank import Candidate


def candidates_of(
    query: str,
    texts: Sequence[str],
    asked: Sequence[float],
    vectors: Sequence[Sequence[float]],
    parameters: Bm25Parameters,
) -> list[Candidate]:
    """Return texts with their cosine to the question's vector `asked`, and their BM25 score among each other."""
    keywords = _bm25(query, texts, parameters)
    return [
        Candidate(text, None, {"dense": likeness("cosine", asked, vector)} | ({"bm25": score} if score > 0 else {}))
        for text, vector, score in zip(texts, vectors, keywords, strict=True)
    ]


def _bm25(query: str, texts: Sequence[str], parameters: Bm25Parameters) -> list[float]:
    languages = [language_of(text) or ENGLISH for text in texts]
    found = [terms(text, language) for text, language in zip(texts, languages, strict=True)]
    weights = [
        dict(zip(*vector, strict=True))
        for vector in document_vectors(found, sum(map(len, found)) / len(found), parameters)
    ]
    wanted = query_vector(query_terms(query, tuple(dict.fromkeys(languages))))
    rarity = {
        term: inverse_document_frequency(len(texts), sum(term in one for one in weights)) for term in wanted.indices
    }
    return [
        sum(
            asked * rarity[term] * one.get(term, 0.0) for term, asked in zip(wanted.indices, wanted.values, strict=True)
        )
        for one in weights
    ]
