"""Answers that a policy calls critical: which ones, and what is shown until a person has looked at them."""

import pytest

from sluice.contracts.guard import CheckRequest, OutputVerdict, Segment
from sluice.settings import ConfigError
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies

CONTEXT = "The gateway keeps usage in a local journal. It is shipped to Redis every 5 seconds."


def policy(review: object, mode: str = "enforce") -> NamedPolicy:
    output = {
        "review": review,
        "pii": {"action": "redact"},
        "scanners": {"harm": {"action": "block", "threshold": 0.9}},
    }
    return parse_policies({"version": 1, "policies": {"default": {"mode": mode, "output": output}}}, "guard.yaml").get(
        "default"
    )


def asked(answer: str, rules: NamedPolicy) -> OutputVerdict:
    segments = (Segment(id="c", role="context", text=CONTEXT), Segment(id="a", role="assistant", text=answer))
    verdict = check(CheckRequest(stage="output", segments=segments), rules, lambda: None)
    assert isinstance(verdict, OutputVerdict)
    return verdict


@pytest.mark.parametrize(
    ("review", "answer", "kind"),
    [
        ({"issues": ["pii_detected"]}, "Usage is kept in a journal, ask bob@example.com.", "issue"),
        ({"groundedness_below": 0.5}, "The moon is made of green cheese and mice.", "groundedness"),
        ({"from_score": 0.3, "to_score": 0.95}, "I will kill you and your whole family tonight.", "score"),
        ({"issues": ["pii_detected"]}, "Usage is kept in a local journal.", None),
        ({"groundedness_below": 0.5}, "Usage is kept in a local journal.", None),
        ({"from_score": 0.3}, "Usage is kept in a local journal.", None),
    ],
)
def test_an_answer_is_critical_by_issue_by_score_and_by_groundedness(
    review: dict[str, object], answer: str, kind: str | None
) -> None:
    verdict = asked(answer, policy(review))
    assert [one.kind for one in verdict.details if one.code == "review_required"] == ([] if kind is None else [kind])
    assert ("review_required" in verdict.issues) == (kind is not None)


def test_a_critical_answer_is_shown_or_waits_and_the_context_stays_as_it_was() -> None:
    review = {"groundedness_below": 0.5}
    wrong = "The moon is made of green cheese and mice."
    shown, held = asked(wrong, policy(review)), asked(wrong, policy({**review, "action": "block", "message": "Wait."}))
    observed = asked(wrong, policy({**review, "action": "block"}, mode="observe"))
    assert shown.safe
    assert [part.text for part in shown.filtered_segments or ()] == [CONTEXT, wrong]
    assert not held.safe
    assert [part.text for part in held.filtered_segments or ()] == [CONTEXT, "Wait."]
    assert observed.safe
    assert "review_required" in observed.issues


@pytest.mark.parametrize(
    ("review", "said"),
    [
        ({}, "at least one"),
        ({"from_score": 0.8, "to_score": 0.5}, "from_score"),
        ({"issues": ["review_required"]}, "what leads to it"),
        ({"issues": ["no_such_issue"]}, "review"),
    ],
)
def test_rules_that_ask_for_nothing_or_for_themselves_are_refused(review: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        policy(review)
