"""BM25 weights, fusion and the context block."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_retrieval.domain.bm25 import (
    Bm25Parameters,
    document_vectors,
    inverse_document_frequency,
    query_terms,
    query_vector,
    term_hash,
    terms,
)
from sluice_retrieval.domain.context import CUT_NOTE, ContextShape, assemble
from sluice_retrieval.domain.fusion import reciprocal_rank_fusion
from sluice_retrieval.domain.points import Passage
from sluice_retrieval.domain.search import Hit, Place
from sluice_retrieval.domain.tokens import Word

rankings = st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True), max_size=4)


class WordCounter:
    """One token a word."""

    def words(self, text: str) -> list[Word]:
        found, at = [], 0
        for part in text.split():
            start = text.index(part, at)
            at = start + len(part)
            found.append(Word(start, at, 1))
        return found


def hit(number: int, text: str, heading: str | None = None) -> Hit:
    score = 1 / (number + 1)
    passage = Passage(f"doc.{number}", "doc", "vs", "guide.md", heading, text, 0, len(text))
    return Hit(passage, score, {}, Place(number + 1, score))


def of_document(name: str, text: str) -> Hit:
    return Hit(Passage(f"{name}.0", name, "vs", name, None, text, 0, len(text)), 1.0, {}, Place(1, 1.0))


def test_terms_are_folded_stemmed_and_split_at_underscores() -> None:
    assert terms("Running RUNS Café") == ["run", "run", "café"]
    assert "sluice_redis_url" in terms("set SLUICE_REDIS_URL")
    assert "redi" in terms("set SLUICE_REDIS_URL")


def test_a_query_drops_stop_words_unless_it_has_nothing_else() -> None:
    assert query_terms("how do I start the gateway") == terms("start gateway")
    assert query_terms("to be or not to be")
    assert query_terms("what is it") == terms("what is it")


def test_term_hashes_are_stable() -> None:
    # These are stored in indexes: a change makes every index unreadable.
    assert term_hash("gateway") == 2074030351
    assert term_hash("café") == 755221974


def test_document_weights_are_the_formula() -> None:
    other, vector = document_vectors([["b", "c"], ["a", "a", "b"]], 6.0, Bm25Parameters(1.5, 0.75))
    norm = 1.5 * (1 - 0.75 + 0.75 * 3 / 6)
    weights = dict(zip(vector.indices, vector.values, strict=True))
    assert weights[term_hash("a")] == pytest.approx(2 * 2.5 / (2 + norm))
    assert weights[term_hash("b")] == pytest.approx(1 * 2.5 / (1 + norm))
    assert list(vector.indices) == sorted(vector.indices)
    assert set(other.indices) == {term_hash("b"), term_hash("c")}


def test_k1_zero_ignores_repetition_and_b_zero_ignores_length() -> None:
    (repeated,) = document_vectors([["a", "a", "b"]], 3.0, Bm25Parameters(0.0, 0.75))
    assert set(repeated.values) == {1.0}
    short, long = document_vectors([["a"], ["a", *"bcdefghi"]], 10.0, Bm25Parameters(1.2, 0.0))
    assert short.values[0] == dict(zip(long.indices, long.values, strict=True))[term_hash("a")]


def test_rows_of_a_table_that_came_in_between_do_not_bury_a_page() -> None:
    page = ["note", "secret", *(f"word{at}" for at in range(148))]
    ((_, among_pages), (_, among_rows)) = (
        document_vectors([page], average, Bm25Parameters())[0] for average in (150.0, 4.0)
    )
    assert min(among_rows) > 0.65 * max(among_pages)
    within = document_vectors([page], 80.0, Bm25Parameters())[0]
    assert within.values[0] == pytest.approx(2.2 / (1 + 1.2 * (0.25 + 0.75 * 150 / 80)))


def test_weights_are_defined_without_documents() -> None:
    assert document_vectors([[], []], 0.0, Bm25Parameters()) == [((), ()), ((), ())]
    assert document_vectors([], 0.0, Bm25Parameters()) == []
    assert query_vector([]) == ((), ())
    assert inverse_document_frequency(0, 0) > 0
    assert inverse_document_frequency(10, 10) > 0


def equal(given_rankings: list[list[str]]) -> list[tuple[float, list[str]]]:
    return [(1.0, ranking) for ranking in given_rankings]


@given(rankings, st.integers(1, 100))
def test_fusion_keeps_every_item_once_and_falls(given_rankings: list[list[str]], k: int) -> None:
    fused = reciprocal_rank_fusion(equal(given_rankings), k)
    assert sorted(item.id for item in fused) == sorted({item for ranking in given_rankings for item in ranking})
    assert [item.score for item in fused] == sorted((item.score for item in fused), reverse=True)


def test_fusion_is_the_formula() -> None:
    fused = {item.id: item.score for item in reciprocal_rank_fusion([(1.0, ["a", "b"]), (0.5, ["b"])], 60)}
    assert fused == {"a": pytest.approx(1 / 61), "b": pytest.approx(1 / 62 + 0.5 / 61)}


@given(rankings, st.integers(1, 100))
def test_what_is_ahead_in_every_ranking_is_ahead_at_the_end(given_rankings: list[list[str]], k: int) -> None:
    full = [[*ranking, "z"] for ranking in given_rankings if ranking]
    order = [item.id for item in reciprocal_rank_fusion(equal(full), k)]
    for item in order:
        if item != "z" and all(item in ranking for ranking in full):
            assert order.index(item) < order.index("z")


def test_context_numbers_sources_and_headings() -> None:
    reply = assemble([hit(0, "alpha beta", "Guide > Use"), hit(1, "gamma")], 100, ContextShape(), WordCounter())
    assert reply.text == "[1] guide.md — Guide > Use\nalpha beta\n\n[2] guide.md\ngamma"
    assert [(item.index, item.chunk_id, item.truncated) for item in reply.citations] == [
        (1, "doc.0", False),
        (2, "doc.1", False),
    ]
    assert reply.tokens == 11


def test_a_passage_that_does_not_fit_is_left_out_whole() -> None:
    reply = assemble([hit(0, "one two"), hit(1, "x " * 50), hit(2, "three")], 16, ContextShape(), WordCounter())
    assert [item.chunk_id for item in reply.citations] == ["doc.0", "doc.2"]
    assert reply.left_out == 1


def test_only_the_best_is_shortened_and_says_so() -> None:
    reply = assemble([hit(0, "word " * 50), hit(1, "word " * 40)], 16, ContextShape(), WordCounter())
    assert len(reply.citations) == 1
    assert reply.citations[0].truncated
    assert reply.citations[0].quote == ("word " * 50)[: reply.citations[0].end].rstrip()
    assert reply.text.endswith(CUT_NOTE)
    assert reply.tokens <= 16
    assert reply.left_out == 1


def test_edges_put_the_weakest_in_the_middle() -> None:
    hits = [hit(number, f"text{number}") for number in range(5)]
    reply = assemble(hits, 1000, ContextShape("edges"), WordCounter())
    assert [item.chunk_id for item in reply.citations] == ["doc.0", "doc.2", "doc.4", "doc.3", "doc.1"]
    assert [item.index for item in reply.citations] == [1, 2, 3, 4, 5]


def test_what_matters_most_is_taken_first_and_dropped_last() -> None:
    hits = [of_document(f"d{number}.md", f"text{number} a b c") for number in range(4)]
    tiers = {"d0.md": "edge", "d1.md": "background", "d3.md": "essential"}
    whole = assemble(hits, 1000, ContextShape(), WordCounter(), tiers)
    assert [item.document_id for item in whole.citations] == ["d3.md", "d2.md", "d1.md", "d0.md"]
    short = assemble(hits, 12, ContextShape(), WordCounter(), tiers)
    assert [item.document_id for item in short.citations] == ["d3.md", "d2.md"]
    edges = assemble(hits, 1000, ContextShape("edges"), WordCounter(), {"d3.md": "essential", "d0.md": "essential"})
    assert [item.document_id for item in edges.citations] == ["d0.md", "d1.md", "d2.md", "d3.md"]


def test_sections_part_the_block_by_kind() -> None:
    hits = [of_document("prices.xlsx", "Bolt"), of_document("guide.md", "text"), of_document("run.py", "def run()")]
    reply = assemble(hits, 1000, ContextShape(template="sections"), WordCounter())
    assert reply.text.split("\n\n") == [
        "Relevant documents:",
        "[1] guide.md\ntext",
        "Relevant tables:",
        "[2] prices.xlsx\nBolt",
        "Relevant code:",
        "[3] run.py\ndef run()",
    ]


def test_the_same_text_is_given_once() -> None:
    reply = assemble([hit(0, "same"), hit(1, "same"), hit(2, "other")], 100, ContextShape(), WordCounter())
    assert [item.chunk_id for item in reply.citations] == ["doc.0", "doc.2"]


def test_no_hits_no_text() -> None:
    reply = assemble([], 100, ContextShape(), WordCounter())
    assert (reply.text, reply.citations) == ("", ())


@given(
    st.lists(st.integers(1, 40), max_size=8),
    st.integers(16, 120),
    st.sampled_from(["ranked", "edges"]),
    st.sampled_from(["numbered", "sections"]),
)
def test_context_never_exceeds_its_budget(lengths: list[int], budget: int, placement: str, template: str) -> None:
    hits = [hit(number, " ".join(f"w{number}x{at}" for at in range(size))) for number, size in enumerate(lengths)]
    reply = assemble(hits, budget, ContextShape(placement, template), WordCounter())  # type: ignore[arg-type]
    assert reply.tokens <= budget
    assert len(reply.citations) + reply.left_out == len(hits)
    for citation in reply.citations:
        text = hits[int(citation.chunk_id[4:])].passage.text
        assert citation.quote == text[citation.start : citation.end]
        assert citation.truncated or f"\n{hits[int(citation.chunk_id[4:])].passage.text}" in reply.text


def test_idf_is_the_formula() -> None:
    assert inverse_document_frequency(10, 3) == pytest.approx(math.log(1 + 7.5 / 3.5))
