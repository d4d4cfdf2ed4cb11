"""Made talk of attacks: what sets the working point is kept apart from what trains."""

from tests.quality.guardrail.generate.mentions import MAX_QUOTED, QUOTING, TALK, WRAPPED, mentions
from tests.quality.guardrail.generate.questions import FRAMES, questions

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
