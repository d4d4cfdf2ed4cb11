"""Groundedness: what the context supports, what contradicts it, and what a policy makes of it."""

from collections.abc import Callable

import pytest
from tests.quality.guardrail.groundedness import shares

from sluice.contracts.guard import CheckRequest, OutputVerdict, Segment
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.grounding import judge, sentences
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies
from sluice_guardrail.domain.scanning import Tools

CONTEXT = (
    "The gateway keeps usage in a local journal. It is shipped to Redis every 5 seconds, or after 1,000 records. "
    "Admin keys do not expire. Ada Lovelace wrote the first program in 1843. Batches start after midnight."
)


def policy(**output: object) -> NamedPolicy:
    return parse_policies({"version": 1, "policies": {"default": {"output": output}}}, "guard.yaml").get("default")


def asked(answer: str, rules: NamedPolicy, context: str | None = CONTEXT) -> OutputVerdict:
    segments = [Segment(id="a", role="assistant", text=answer)]
    if context is not None:
        segments.insert(0, Segment(id="c", role="context", text=context))
    verdict = check(CheckRequest(stage="output", segments=tuple(segments)), rules, lambda: None)
    assert isinstance(verdict, OutputVerdict)
    return verdict


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("Usage is kept in a local journal by the gateway.", [None]),
        ("Usage is shipped to Redis every five seconds, or after 1000 records [1].", [None]),
        ("Usage is shipped to Redis every 10 seconds.", ["number"]),
        ("Charles Babbage wrote the first program in 1843.", ["name"]),
        ("Admin keys expire.", ["negation"]),
        ("The admin keys of a gateway expire.", ["negation"]),
        ("The gateway does not keep usage in a local journal.", ["negation"]),
        ("Batches start before midnight.", ["opposite"]),
        ("The moon is made of green cheese and mice.", ["unsupported"]),
        ("I don't know the price of it. Shall I look for admin keys? Sure.", []),
        ("Admin keys do not expire. The moon is made of green cheese.", [None, "unsupported"]),
    ],
)
def test_what_is_wrong_with_a_sentence(answer: str, kinds: list[str | None]) -> None:
    assert [one.kind for one in judge(answer, [CONTEXT])] == kinds
    assert all((1 - one.support > 0.6) == (one.kind is not None) for one in judge(answer, [CONTEXT]))


def test_sentences_end_where_a_reader_ends_them() -> None:
    text = "Dr. Grey, e.g., has 3.5 of it. Then? Yes!\n- a line"
    assert [text[start:end] for start, end in sentences(text)] == [
        "Dr. Grey, e.g., has 3.5 of it.",
        "Then?",
        "Yes!",
        "- a line",
    ]


def test_what_a_policy_makes_of_it() -> None:
    answer = "Admin keys do not expire. The moon is made of green cheese."
    told = asked(answer, policy())
    assert (told.safe, told.issues) == (True, ("potential_hallucination",))
    assert told.groundedness is not None
    assert [one.kind for one in told.groundedness.sentences] == ["supported", "unsupported"]
    assert told.groundedness.score == pytest.approx(0.5, abs=0.01)
    (detail,) = told.details
    assert (answer[detail.start : detail.end], detail.action, detail.segment_id) == (
        "The moon is made of green cheese.", "flag", "a",
    )  # fmt: skip
    blocked = asked(answer, policy(scanners={"groundedness": {"action": "block"}}))
    assert [one.text for one in blocked.filtered_segments or ()] == [CONTEXT, "I can't provide that information."]
    cut = asked(answer, policy(scanners={"groundedness": {"action": "redact"}}))
    assert (cut.filtered_segments or ())[1].text == "Admin keys do not expire. [REMOVED]"
    assert asked(answer, policy(), context=None).groundedness is None
    off = asked(answer, policy(scanners={"groundedness": None}))
    assert (off.groundedness, off.issues) == (None, ())
    late = check(
        CheckRequest(stage="output", segments=(Segment(id="c", role="context", text="x"), Segment(id="a", text="y z"))),
        policy(pii={"action": "allow"}, filter={"on_error": "open"}),
        lambda: None,
        None,
        Tools(is_over=lambda: True),
    )
    assert isinstance(late, OutputVerdict)
    assert (late.safe, late.groundedness) == (False, None)
    assert [detail.detector for detail in late.details] == ["output_filter", "groundedness"]


def test_made_sentences_are_judged_about_as_documented() -> None:
    counted = shares("dev", every=3)  # made of pages that change, so that the bounds are wide
    bounds: dict[bool, Callable[[float], bool]] = {False: lambda share: share >= 0.8, True: lambda share: share <= 0.06}
    for supported, is_well in bounds.items():
        mine = [one for key, one in counted.items() if key[0] == supported]
        assert is_well(sum(one[0] for one in mine) / sum(one[1] for one in mine))


@pytest.mark.parametrize(
    ("answer", "causes"),
    [
        ("The moon is made of green cheese and mice.", ("missing_context",)),
        ("Usage is shipped to Redis every 10 seconds.", ("interpolation",)),
        ("Charles Babbage wrote the first program in 1843.", ("interpolation",)),
        ("Admin keys expire.", ("undetermined",)),
        ("Usage is kept in a local journal by the gateway.", ()),
    ],
)
def test_the_shape_of_a_sentence_tells_what_may_have_caused_it_and_confidence_adds_to_it(
    answer: str, causes: tuple[str, ...]
) -> None:
    segments = (Segment(id="c", role="context", text=CONTEXT), Segment(id="a", role="assistant", text=answer))
    for confidence, also in ((None, ()), (0.3, ()), (0.95, ("overconfidence",))):
        request = CheckRequest(stage="output", segments=segments, confidence=confidence)
        found = check(request, policy(), lambda: None)
        assert isinstance(found, OutputVerdict)
        assert found.groundedness is not None
        told = found.groundedness.sentences[0].causes
        if confidence == 0.95 and causes:
            assert told == (also if causes == ("undetermined",) else (*causes, *also))
        else:
            assert told == causes
