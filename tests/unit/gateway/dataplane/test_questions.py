"""Which questions ask for the same by their words."""

import pytest
from tests.quality.cache.run import agree, pairs

from sluice_gateway.dataplane.stages.cache_question import apart
from sluice_gateway.domain.questions import MOST_CHARS, read

PAIRS = pairs()


def test_there_are_enough_pairs_of_both_kinds_and_a_half_is_held_out() -> None:
    for name in ("tuning", "held-out"):
        kinds = [pair["same"] for pair in PAIRS if pair["set"] == name]
        assert (kinds.count(True), kinds.count(False)) == (40, 50)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair["same"]], ids=lambda pair: pair["a"])
def test_a_question_that_looks_alike_is_another_one(pair: dict[str, str]) -> None:
    assert not agree(pair["a"], pair["b"])
    assert not agree(pair["b"], pair["a"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I clean my Windows?", "How do I clean my windows?"),
        ("How do I remove Rust from the server?", "How do I remove rust from the server?"),
        ("What did Bush do in 2001?", "What did bush do in 2001?"),
        ("What is the plural of child?", "What is the plural of children?"),
        ("What is a synonym for buy?", "What is a synonym for purchase?"),
        ("What rhymes with fast?", "What rhymes with quick?"),
        ("What is the difference between a child and a kid?", "What is the difference between children and a kid?"),
        ("How do you say 'email' in German?", "How do you say 'e-mail' in German?"),
        ("Is the tag 'movie' free?", "Is the tag 'film' free?"),
    ],
)
def test_names_and_words_that_are_asked_for_count_as_they_are_written(one: str, other: str) -> None:
    assert not agree(one, other)
    assert agree(one, one)


@pytest.mark.parametrize(("name", "fewest"), [("tuning", 34), ("held-out", 27)])
def test_paraphrases_are_known(name: str, fewest: int) -> None:
    known = [pair for pair in PAIRS if pair["same"] and pair["set"] == name and agree(pair["a"], pair["b"])]
    assert len(known) >= fewest


@pytest.mark.parametrize(
    "text",
    [
        "Was ist die Hauptstadt von Frankreich?",
        "Quelle est la capitale de la France ?",
        "Wat is de hoofdstad van Frankrijk?",
        "法国的首都是什么?",
        "What does this do?\n\nprint(1)",
        "What does `ls` do?",
        'What is the end of "this?',
        "what is the " + "x" * MOST_CHARS,
        "",
    ],
)
def test_what_is_not_compared(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi, could you please tell me how I reset my password?", "how do i reset my password"),
        ("WHAT IS THE CAPITAL OF FRANCE?", "What is the capital of France?"),
        ("What\u2019s the capital of France?", "what is the capital of france"),
        ("How do I delete a branch in git?", "How do I delete a git branch?"),
    ],
)
def test_manners_case_and_compounds_do_not_count(one: str, other: str) -> None:
    assert agree(one, other)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"messages": [{"role": "user", "content": "a"}]}, "a"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "a"),
        ({"input": "a"}, "a"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}, "a"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, None),
        ({"messages": [{"role": "tool", "content": "a"}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]}, None),
        ({"prompt": "a"}, None),
    ],
)  # fmt: skip
def test_the_question_is_the_last_message_if_that_is_one_text_of_the_user(body: dict[str, object], text: str) -> None:
    found = apart(body)
    assert (None if found is None else found.text) == text
    if found is not None:
        assert "'a'" not in str(found.rest)
