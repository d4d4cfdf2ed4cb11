"""What a training file is found to hold: personal data, secrets and licences, by line and never by text."""

import json

from sluice.contracts.finetune import CheckCompliance, ComplianceReport
from sluice_finetune.domain.compliance import questions, read, report
from sluice_finetune.domain.validation import LineTooLong
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.policy import parse_policies

POLICY = parse_policies({"version": 1, "policies": {"default": {}}}, "guard.yaml").get("default")


def line(question: str, answer: str, **more: object) -> bytes:
    return json.dumps({"instruction": question, "output": answer, **more}).encode()


def reported(lines: list[bytes | LineTooLong], **wanted: object) -> ComplianceReport:
    asked = CheckCompliance.model_validate(wanted)
    file = read(lines, asked)
    batches = list(questions(file.drawn, "default"))
    assert all(len(batch) <= 64 for batch in batches)
    verdicts = [check(one, POLICY, lambda: None) for batch in batches for one in batch]
    return report("file_1", asked, file, verdicts)


def test_a_clean_file_complies() -> None:
    found = reported([line("What is a heron?", "A bird.", license="MIT"), b"", line("And a pike?", "A fish.")])
    assert (found.compliant, found.lines, found.examples, found.checked) == (True, 3, 2, 2)
    assert found.licenses == {"MIT": 1, "none": 1}
    assert found.findings == ()


def test_personal_data_and_secrets_are_named_by_line_and_kind_in_questions_and_answers() -> None:
    found = reported(
        [
            line("Who is it?", "Write to bob@example.com or eve@example.com."),
            line("What is a heron?", "A bird."),
            line("Is AKIAIOSFODNN7EXAMPLQ a key?", "Yes."),
        ]
    )
    assert not found.compliant
    assert [(one.line, one.issues, one.kinds) for one in found.findings] == [
        (1, ("pii_detected",), {"email": 2}),
        (3, ("secret_detected",), {"aws_access_key": 1}),
    ]
    assert found.issues == {"pii_detected": 1, "secret_detected": 1}
    assert "example.com" not in found.model_dump_json()
    assert reported([line("Who?", "bob@example.com")], forbid=["secret_detected"]).compliant


def test_licences_are_compared_where_some_are_allowed() -> None:
    lines: list[bytes | LineTooLong] = [
        line("a b c?", "d", license="mit"),
        line("a b c?", "d", metadata={"license": "CC-BY-NC-4.0"}),
        line("a b c?", "d"),
    ]
    found = reported(lines, licenses=["MIT"])
    assert (found.compliant, found.not_allowed) == (False, 2)
    assert [(one.line, one.license, one.license_allowed) for one in found.findings] == [
        (2, "CC-BY-NC-4.0", False),
        (3, "none", False),
    ]
    assert reported(lines[:1], licenses=["MIT"]).compliant


def test_lines_that_cannot_be_read_do_not_comply_and_examples_are_drawn_evenly() -> None:
    assert not reported([line("a b c?", "d"), b"nope", LineTooLong("too long")]).compliant
    many: list[bytes | LineTooLong] = [line(f"question {number}?", "an answer") for number in range(400)]
    drawn = read(many, CheckCompliance(max_examples=40)).drawn
    assert len(drawn) == 40
    assert [one.line for one in drawn] == sorted({one.line for one in drawn})
    assert 100 < sum(one.line for one in drawn) / 40 < 300
