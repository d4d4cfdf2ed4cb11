"""Which questions lean on the one before them, and what is searched for then."""

import pytest

from sluice_gateway.dataplane.follow_up import stands_alone, with_what_was_asked_before
from sluice_gateway.dataplane.texts import pieces, question


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("What does a night in the harbour cost in winter?", True),
        ("Which documents do I need for the crew list?", True),
        ("And on Sundays?", False),
        ("How much is it for a boat of ten metres?", False),
        ("What about boats that are longer than twelve metres?", False),
        ("Why?", False),
        ("Opening hours", False),
    ],
)
def test_a_question_that_points_back_does_not_stand_alone(text: str, alone: bool) -> None:
    assert stands_alone(text) is alone


def asked(*messages: tuple[str, str]) -> str | None:
    found = pieces({"messages": [{"role": role, "content": text} for role, text in messages]}, "chat")
    return with_what_was_asked_before(question(found), found)


def test_a_follow_up_takes_the_message_before_it_along() -> None:
    first, answer = ("user", "When does the lock open on weekdays in summer?"), ("assistant", "At seven.")
    assert asked(first, answer, ("user", "And on Sundays?")) == f"{first[1]}\nAnd on Sundays?"
    assert asked(("user", "old"), answer, first, answer, ("user", "And then?")) == f"{first[1]}\nAnd then?"
    assert asked(("system", "Be brief."), ("user", "And on Sundays?")) is None
    assert asked(first, answer, ("user", "What does a night in the harbour cost in winter?")) is None
