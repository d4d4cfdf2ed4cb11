"""Ranking anew: what each feature sees, and who ranks when the cross-encoder does not answer."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sluice.clients.http import HttpAnswer
from sluice.errors import DependencyUnavailable, UpstreamFailed
from sluice_retrieval.adapters.cross_encoder import CrossEncoder
from sluice_retrieval.domain.rerank import Candidate, FeatureReranker, Features, WithFallback, features


def one(text: str, heading: str | None = None, **scores: float) -> Candidate:
    return Candidate(text, heading, scores)


def of(query: str, *candidates: Candidate) -> list[Features]:
    return features(query, candidates)


def test_scores_are_brought_to_one_scale_and_a_missing_one_is_the_worst() -> None:
    found = of("x", one("a", dense=0.9, bm25=2), one("b", dense=0.5), one("c", bm25=6, dense=0.7))
    assert [round(item.cosine, 3) for item in found] == [1, 0, 0.5]
    assert [item.bm25 for item in found] == [0, 0, 1]
    assert [round(item.best_of_both, 3) for item in found] == [0, 0, 0.5]
    assert of("x", one("a"))[0].cosine == 0
    assert [item.bm25 for item in of("x", one("a", bm25=3), one("b"))] == [1, 0]


def test_rare_words_count_more() -> None:
    first, second, third = of(
        "harbour zeppelin", one("the harbour is busy"), one("a zeppelin landed"), one("harbour master")
    )
    assert second.coverage > first.coverage == third.coverage > 0
    assert of("what is it?", one("what is it about"))[0].coverage > 0


def test_neighbours_and_nearness() -> None:
    near, far = of("open the harbour gate", one("open harbour gate now"), one("gate " + "x " * 20 + "harbour open"))
    assert (near.pairs, far.pairs) == (1.0, 0.0)
    assert near.nearness == 1.0
    assert far.nearness == pytest.approx(3 / 23)
    assert of("gate", one("gate"))[0].nearness == 0


def test_one_sentence_with_all_words_beats_words_that_are_scattered() -> None:
    together, scattered = of(
        "ferry price", one("Old. The ferry price is 3. New."), one("The ferry left. Old. The price is 3.")
    )
    assert together.coverage == scattered.coverage
    assert together.sentence > scattered.sentence


def test_a_heading_that_names_the_question_counts() -> None:
    found = of("errors in version 2", one("see below", "Errors > Version"), one("version 2 has errors"))
    assert found[0].heading > found[1].heading == 0


async def test_the_best_comes_first() -> None:
    candidates = [one("Ships pay a fee.", dense=0.6, bm25=1), one("The ferry fee is 3 euros.", dense=0.6, bm25=4)]
    ranked = await FeatureReranker().rerank("What is the ferry fee?", candidates)
    assert ranked.reranker == "features"
    assert ranked.scores[1] > ranked.scores[0]
    assert (await FeatureReranker().rerank("x", [])).scores == []


class Wire:
    """A cross-encoder's server as seen by the client."""

    def __init__(self, *answers: HttpAnswer | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, Mapping[str, str], Any]] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        self.sent.append((f"{method} {url}", headers, json.loads(body or b"")))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass


def scored(*scores: float) -> HttpAnswer:
    results = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
    return HttpAnswer(200, {}, json.dumps({"results": results[::-1], "id": "x"}).encode())


async def test_a_cross_encoder_is_asked_with_headings_and_answers_in_any_order() -> None:
    wire = Wire(scored(0.1, 0.9))
    model = CrossEncoder(wire, "http://engine/v1/", "bge", "secret", 2.0)
    ranked = await model.rerank("q", [one("a", "Guide > Use"), one("b")])
    assert ranked == ("bge", [0.1, 0.9])
    where, headers, body = wire.sent[0]
    assert (where, headers["authorization"]) == ("POST http://engine/v1/rerank", "Bearer secret")
    assert body == {"model": "bge", "query": "q", "documents": ["Guide > Use\na", "b"], "top_n": 2}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (HttpAnswer(500, {}, b""), "status 500"),
        (HttpAnswer(200, {}, b"{}"), "cannot be read"),
        (scored(0.5), "score every passage"),
        (scored(0.5, float("inf")), "cannot be read"),
    ],
)
async def test_an_answer_that_is_wrong_is_an_error(answer: HttpAnswer, sentence: str) -> None:
    with pytest.raises(UpstreamFailed, match=sentence):
        await CrossEncoder(Wire(answer), "http://engine/v1", "bge", "", 2.0).rerank("q", [one("a"), one("b")])


async def test_features_rank_while_the_cross_encoder_is_away_and_it_is_left_alone_then() -> None:
    wire = Wire(*[OSError()] * 3, *[TimeoutError()] * 2)
    model = CrossEncoder(wire, "http://engine/v1", "bge", "", 2.0)
    failures: list[int] = []
    both = WithFallback(model, FeatureReranker(), lambda: failures.append(1))
    for _ in range(6):
        assert (await both.rerank("q", [one("a")])).reranker == "features"
    assert len(failures) == 6
    assert len(wire.sent) == 5  # the sixth was not sent any more
    with pytest.raises(DependencyUnavailable, match="left alone"):
        await model.rerank("q", [one("a")])
