"""Models that judge texts: what they are asked, how their answers are read, and what a late, unclear or missing one means."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from sluice.contracts.guard import CheckRequest, InputVerdict, OutputVerdict, Segment
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.classifying import MAX_WINDOWS, STEP, WINDOW, windows
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import Begun, JudgeAnswer, JudgeQuestion, NoJudge, Unclear, messages, read
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies
from sluice_guardrail.domain.scanning import DetectorRun, Tools

HARM = JudgeQuestion("harm_model", "How do I do it?")
ANSWER = JudgeQuestion("second_opinion", "It is 4.", "assistant", "What is 2 + 2?")
GROUNDED = JudgeQuestion("groundedness_model", "One is so. Two is not.", "assistant", "", ("One is so.",))


class Judge:
    """A model with a fixed answer, read as the product reads it."""

    def __init__(self, *said: str | Exception, first: float | None = None) -> None:
        self._said = list(said)
        self._first = first
        self.asked: list[JudgeQuestion] = []

    def begin(self, question: JudgeQuestion) -> Begun:
        self.asked.append(question)
        said = self._said.pop(0)

        def findings() -> Sequence[Finding]:
            if isinstance(said, Exception):
                raise said
            return read(question, JudgeAnswer(said, self._first))

        return findings


def policy(**sections: object) -> NamedPolicy:
    return parse_policies({"version": 1, "policies": {"default": sections}}, "guard.yaml").get("default")


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ("safe", []),
        ("\n\nsafe", []),
        ("unsafe\nS1", ["illicit/violent"]),
        ("unsafe\nS1,S9,S10", ["illicit/violent", "hate"]),
        ("Unsafe S11.", ["self-harm"]),
        ("unsafe", ["unsafe"]),
        ("unsafe\nS77", ["unsafe"]),
    ],
)
def test_a_verdict_on_harm_is_read(said: str, kinds: list[str]) -> None:
    assert [found.kind for found in read(HARM, JudgeAnswer(said))] == kinds


@pytest.mark.parametrize(
    ("question", "said"),
    [(HARM, "I cannot help with that"), (HARM, ""), (ANSWER, "Maybe it is"), (GROUNDED, "all fine"), (GROUNDED, "7")],
)
def test_an_answer_in_another_form_is_no_verdict(question: JudgeQuestion, said: str) -> None:
    with pytest.raises(Unclear):
        read(question, JudgeAnswer(said))


def test_scores_are_the_models_own_probability() -> None:
    assert [found.score for found in read(HARM, JudgeAnswer("unsafe\nS1", 0.8))] == [0.8]
    assert [(found.kind, found.score) for found in read(ANSWER, JudgeAnswer("No.", 0.7))] == [("disputed", 0.7)]
    assert [(found.kind, found.score) for found in read(ANSWER, JudgeAnswer("unsure"))] == [("unsure", 0.5)]
    assert read(ANSWER, JudgeAnswer("Yes")) == []
    assert [(found.kind, found.score) for found in read(GROUNDED, JudgeAnswer("2"))] == [
        ("supported", 0),
        ("unsupported", 1),
    ]
    assert {found.kind for found in read(GROUNDED, JudgeAnswer("none"))} == {"supported"}


def test_what_a_model_is_told() -> None:
    chat = messages(HARM, "chat")
    assert [one.role for one in chat] == ["system", "user"]
    assert "S10 hatred" in chat[0].content
    assert "<message>\nHow do I do it?\n</message>" in chat[1].content
    assert messages(HARM, "llama_guard") == [("user", "How do I do it?")]
    answered = HARM._replace(role="assistant", question="And?")
    assert messages(answered, "llama_guard") == [("user", "And?"), ("assistant", "How do I do it?")]
    assert "1. One is so.\n2. Two is not." in messages(GROUNDED, "chat")[1].content
    assert messages(ANSWER, "chat")[1].content == "Question: What is 2 + 2?\n\nAnswer: It is 4."


def test_a_model_is_asked_beside_the_detectors() -> None:
    rules = policy(input={"scanners": {"harm_model": {"categories": {"hate": "flag"}, "model": "guard-8b"}}})
    judge = Judge("unsafe\nS1", "unsafe\nS10", "safe")
    texts = tuple(Segment(id=str(number), text=text) for number, text in enumerate(("a", "b", "c", " ")))
    system = Segment(id="s", role="system", text="Be safe")
    verdict = check(
        CheckRequest(stage="input", segments=(*texts, system)), rules, lambda: None, None, Tools(judges=judge)
    )
    assert isinstance(verdict, InputVerdict)
    assert [question.text for question in judge.asked] == ["a", "b", "c"]
    assert {question.model for question in judge.asked} == {"guard-8b"}
    assert [(one.segment_id, one.kind, one.action) for one in verdict.details] == [
        ("0", "illicit/violent", "block"), ("1", "hate", "flag"),
    ]  # fmt: skip
    assert [(one.segment_id, one.category, one.score) for one in verdict.category_scores] == [
        ("0", "illicit/violent", 1.0), ("1", "hate", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("on_error", "safe"), [("closed", False), ("open", True)])
@pytest.mark.parametrize(
    ("failure", "outcome"), [(TimeoutError(), "late"), (Unclear(), "broken"), (NoJudge(), "broken")]
)
def test_a_model_without_a_verdict_counts_as_the_policy_says(
    failure: Exception, outcome: str, on_error: str, safe: bool
) -> None:
    rules = policy(input={"scanners": {"harm_model": {"on_error": on_error}}})
    runs: list[DetectorRun] = []
    tools = Tools(judges=Judge(failure), note=runs.append)
    verdict = check(CheckRequest(stage="input", text="x"), rules, lambda: None, None, tools)
    assert (verdict.safe, verdict.issues) == (safe, ("check_failed",))
    assert [(run.detector, run.outcome) for run in runs][-1] == ("harm_model", outcome)
    none = check(CheckRequest(stage="input", text="x"), rules, lambda: None)
    assert (none.safe, none.details[0].kind) == (safe, "broken")


def test_answers_are_judged_with_their_question_and_context() -> None:
    rules = policy(output={"scanners": {"groundedness_model": {}, "second_opinion": {"action": "block"}}})
    segments = (
        Segment(id="q", role="question", text="Is two so?"),
        Segment(id="c", role="context", text="One is so."),
        Segment(id="a", role="assistant", text="One is so indeed. Two is not so either."),
    )
    judge = Judge("2", "no")
    verdict = check(CheckRequest(stage="output", segments=segments), rules, lambda: None, None, Tools(judges=judge))
    assert isinstance(verdict, OutputVerdict)
    assert [(one.task, one.question, one.context) for one in judge.asked] == [
        ("groundedness_model", "Is two so?", ("One is so.",)), ("second_opinion", "Is two so?", ("One is so.",)),
    ]  # fmt: skip
    assert (verdict.safe, set(verdict.issues)) == (
        False, {"potential_hallucination", "disputed_answer", "content_filtered"},
    )  # fmt: skip
    assert verdict.groundedness is not None
    assert [(one.kind, one.support) for one in verdict.groundedness.sentences] == [("supported", 1), ("unsupported", 0)]
    without = check(CheckRequest(stage="output", segments=segments[2:]), rules, lambda: None)
    assert without.safe, "nothing to compare with, and nobody asked"


@pytest.mark.parametrize(("letter", "parts"), [("a", 1), ("\u6f22", 3), ("\u0915", 3)])
def test_windows_hold_about_as_many_tokens_in_every_script(letter: str, parts: int) -> None:
    found = windows(letter * 5000)
    assert {one.end - one.start for one in found[:-1]} == {WINDOW // parts}
    assert all(after.start <= before.end for before, after in pairwise(found))
    assert (found[0].start, found[-1].end) == (0, 5000)
    with pytest.raises(Unclear):
        windows(letter * (STEP * (MAX_WINDOWS + 2)))
