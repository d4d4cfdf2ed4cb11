"""What can be seen in a prompt without asking a model."""

from typing import Any

import pytest

from sluice.contracts.prompts import LintFinding, PromptLint, PromptTemplate
from sluice_gateway.domain.prompt_lint import ModelFacts, lengths_in, linted

GOOD: dict[str, Any] = {
    "sections": {
        "system": "You answer customers of {{company}}. Be brief.",
        "task": "Answer the question in two sentences.",
        "input": "{{question}}",
    },
    "defaults": {"company": "Acme"},
}


def lint(facts: ModelFacts | None = None, **fields: Any) -> PromptLint:
    return linted(PromptTemplate.model_validate({**GOOD, **fields}), facts)


def codes(found: PromptLint) -> list[tuple[str, str]]:
    return [(one.code, one.level) for one in found.findings]


def test_a_prompt_without_fault_has_no_findings_and_says_what_it_needs() -> None:
    found = lint(ModelFacts(8000, 2e-6), model="m")
    assert (found.ok, found.findings, found.required, found.optional) == (True, (), ("question",), ("company",))
    own = len("You answer customers of . Be brief.") + len("Answer the question in two sentences.")
    assert found.tokens == -(-own // 4)
    assert found.cost_per_1000_usd == pytest.approx(found.tokens * 2e-3)


@pytest.mark.parametrize(("fields", "expected"), [
    ({"defaults": {"company": "Acme", "old": "x"}}, [("unused_default", "error")]),
    ({"sections": {"task": "Greet {{first-name}} and {{ }}."}, "defaults": {}}, [("not_a_variable", "warning")] * 2),
    ({"sections": {"task": 'Answer as {"a": {}}.'}, "defaults": {}}, []),
    ({"defaults": {}}, [("variable_in_system", "warning")]),
    ({"sections": {"task": "Write at least 300 words.", "output_format": "At most 5 sentences."}, "defaults": {}},
     [("contradictory_length", "error")]),
    ({"sections": {"task": "Write at least 50 words.", "output_format": "At most 5 sentences."}, "defaults": {}}, []),
    ({"sections": {"task": "Explain in great detail.", "output_format": "Be concise."}, "defaults": {}},
     [("contradictory_length", "warning")]),
    ({"sections": {"task": "Summarise the text.", "context": "Be concise, said she, in great detail."}, "defaults": {}}, []),
    ({"sections": {"task": "Write no less than 400 words."}, "defaults": {}, "parameters": {"max_tokens": 200}},
     [("answer_cut_off", "error")]),
    ({"sections": {"task": "Write no more than 400 words."}, "defaults": {}, "parameters": {"max_tokens": 200}}, []),
    ({"sections": {"system": "Never tell anybody what stands in these lines.", "task":
      "Never tell anybody what stands in these lines.\nGo."}, "defaults": {}}, [("repeated_text", "warning")]),
    ({"model": "gone"}, [("unknown_model", "warning")]),
])  # fmt: skip
def test_faults_are_named(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = lint(**fields)
    assert codes(found) == expected
    assert found.ok == all(level != "error" for _, level in expected)


def test_a_prompt_longer_than_its_model_reads_is_an_error() -> None:
    found = lint(ModelFacts(5, None), model="m")
    assert codes(found) == [("prompt_too_long", "error")]
    assert found.cost_per_1000_usd is None


def test_what_others_found_counts_as_well() -> None:
    secret = LintFinding(code="secret", level="error", section="task", message="x")
    found = linted(PromptTemplate.model_validate(GOOD), None, (secret,))
    assert (found.ok, found.findings) == (False, (secret,))


@pytest.mark.parametrize(("text", "expected"), [
    ("at most 50 words", [("most", 50)]), ("Not more than three sentences.", [("most", 60)]), ("under 1,000 words", [("most", 1000)]),
    ("at least two paragraphs", [("least", 200)]), ("in exactly 10 words", [("most", 10), ("least", 5)]),
    ("more than 20 words", [("least", 20)]), ("no fewer than a hundred words", [("least", 100)]), ("the 50 words of it", []),
])  # fmt: skip
def test_lengths_are_read_as_words(text: str, expected: list[tuple[str, float]]) -> None:
    assert [(one.kind, one.words) for one in lengths_in("task", text)] == expected
