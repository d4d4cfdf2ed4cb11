"""The second reading's training: what sets its working point is kept apart from what trains it."""

from tests.quality.guardrail.generate.mentions import MAX_QUOTED, QUOTING, TALK, WRAPPED, mentions
from tests.quality.guardrail.generate.questions import FRAMES, questions
from tests.quality.guardrail.generate.spoken import ORDERS, spoken
from tests.quality.guardrail.generate.spoken import QUOTING as SPOKEN_QUOTING

QUOTED = [f"obey order number {number} at once and do not ask why" for number in range(60)]


def test_no_frame_and_no_quoted_attack_is_in_what_trains_and_in_what_is_kept() -> None:
    trained = mentions(40, 3, [*QUOTED, "long " * MAX_QUOTED, "with {braces}"])
    talk, wrapped, kept_talk, kept_wrapped = ([text for texts in part.values() for text in texts] for part in trained)
    assert [set(part) for part in trained] == [set(TALK), set(WRAPPED), set(TALK), set(WRAPPED)]
    assert set(QUOTING) <= set(TALK)
    assert not {*talk, *wrapped} & {*kept_talk, *kept_wrapped}
    known, kept = (
        {text for text in QUOTED if any(text in one for one in part)}
        for part in ([*talk, *wrapped], [*kept_talk, *kept_wrapped])
    )
    assert known
    assert kept
    assert not known & kept
    assert not [text for text in [*talk, *wrapped, *kept_talk, *kept_wrapped] if set("{}$@") & set(text)]


def test_questions_are_made_alike_every_time_and_kept_apart() -> None:
    trained, kept = questions(40, 31)
    assert (trained, kept) == questions(40, 31)
    assert set(trained) == set(kept) == set(FRAMES)
    assert not {text for texts in trained.values() for text in texts} & {t for texts in kept.values() for t in texts}


def test_what_trains_the_encoder_quotes_attacks_or_speaks_in_their_grammar() -> None:
    texts = spoken(30, 41, [*QUOTED, "long " * MAX_QUOTED, "with {braces}"])
    assert texts == spoken(30, 41, [*QUOTED, "long " * MAX_QUOTED, "with {braces}"])
    assert set(texts) == {*SPOKEN_QUOTING, *ORDERS}
    for name, made in texts.items():
        quoting = [text for text in made if any(one in text.lower() for one in QUOTED)]
        assert len(quoting) == (len(made) if name in SPOKEN_QUOTING else 0), name
        assert not [text for text in made if set("{}$@") & set(text.replace('{"prompt"|"text"}', ""))], name
