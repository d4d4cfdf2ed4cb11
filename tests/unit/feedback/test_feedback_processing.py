"""What is computed from feedback, and what callers may send."""

import pytest
from hypothesis import given, strategies
from pydantic import ValidationError

from sluice.contracts.feedback import FeedbackCreate, FeedbackQuery
from sluice_feedback.domain.entries import new_entry
from sluice_feedback.domain.processing import Processed, digest_of, process


def feedback(kind: str, **value: object) -> FeedbackCreate:
    return FeedbackCreate.model_validate({"interaction_id": "req_1", "feedback_type": kind, **value})


def test_thumbs_score_and_a_thumbs_down_asks_for_a_review() -> None:
    assert process(feedback("thumbs", thumbs="up")) == Processed(score=1.0, negative=False)
    down = process(feedback("thumbs", thumbs="down"))
    assert down == Processed(score=0.0, negative=True)
    assert down.review == "negative_thumbs"


@pytest.mark.parametrize(
    ("rating", "score", "escalate"), [(1, 0.0, True), (2, 0.25, True), (3, 0.5, False), (4, 0.75, False), (5, 1, False)]
)
def test_a_rating_below_three_escalates(rating: int, score: float, escalate: bool) -> None:
    processed = process(feedback("rating", rating=rating))
    assert processed == Processed(score=score, negative=escalate, escalate=escalate)
    assert processed.review == ("low_rating" if escalate else None)


def test_texts_and_corrections_give_counts_and_nothing_more() -> None:
    assert process(feedback("text", text="Too long.\nAnd late, née?")) == Processed(characters=24, words=5, lines=2)
    assert process(feedback("correction", correction="42")) == Processed(characters=2, words=1, lines=1)
    assert process(feedback("text", text="ok")).review is None


@given(strategies.text(strategies.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=300))
def test_any_text_is_counted_by_code_points(text: str) -> None:
    processed = process(feedback("text", text=text))
    assert processed.characters == len(text)
    assert processed.words is not None
    assert 0 <= processed.words <= len(text)
    assert (processed.score, processed.negative, processed.escalate) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        {"feedback_type": "thumbs"},
        {"feedback_type": "thumbs", "rating": 3},
        {"feedback_type": "thumbs", "thumbs": "up", "rating": 3},
        {"feedback_type": "thumbs", "thumbs": "sideways"},
        {"feedback_type": "rating", "rating": 0},
        {"feedback_type": "rating", "rating": 6},
        {"feedback_type": "rating", "rating": True},
        {"feedback_type": "rating", "rating": "4"},
        {"feedback_type": "rating", "rating": 3.5},
        {"feedback_type": "text", "text": ""},
        {"feedback_type": "text", "text": "a\x00b"},
        {"feedback_type": "correction", "correction": "x" * 100_001},
        {"feedback_type": "applause"},
        {"feedback_type": "thumbs", "thumbs": "up", "typo": 1},
        {"feedback_type": "thumbs", "thumbs": "up", "interaction_id": ""},
        {"feedback_type": "thumbs", "thumbs": "up", "interaction_id": "a\nb"},
    ],
)
def test_what_is_not_feedback_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FeedbackCreate.model_validate({"interaction_id": "req_1", **body})


def test_the_sentence_says_which_field_is_missing() -> None:
    with pytest.raises(ValidationError, match="needs the field 'thumbs' and no other value; given: rating"):
        feedback("thumbs", rating=3)


def test_equal_requests_share_a_digest_and_others_do_not() -> None:
    one = feedback("text", text="a", metadata={"screen": "chat"})
    assert digest_of(one) == digest_of(feedback("text", metadata={"screen": "chat"}, text="a"))
    assert digest_of(one) != digest_of(feedback("text", text="b", metadata={"screen": "chat"}))


def test_an_entry_carries_the_event_with_ids_and_no_text() -> None:
    new = new_entry(
        feedback("text", text="secret remark"),
        tenant="acme",
        entry_id="feedback_1",
        event_id="event_1",
        now=12.5,
        idempotency_key=None,
    )
    assert new.idempotency is None
    assert (new.event.feedback_id, new.event.tenant, new.event.at) == ("feedback_1", "acme", 12.5)
    assert "secret" not in new.event.model_dump_json()


def test_a_query_takes_from_by_its_public_name() -> None:
    assert FeedbackQuery.model_validate({"from": 3, "to": 4}).from_ == 3
    with pytest.raises(ValidationError):
        FeedbackQuery.model_validate({"from": "nan"})
