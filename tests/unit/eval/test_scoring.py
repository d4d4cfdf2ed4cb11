"""Verdicts: exact match, patterns, JSON schemas."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.evals import EvalItem, ExactScorer
from sluice_eval.domain.errors import SuiteInvalid
from sluice_eval.domain.scoring import Meaning, check_item, meanings, normalise, score


def item(scorer: Any, expected: Any) -> EvalItem:
    made = EvalItem.model_validate({"id": "i", "prompt": "?", "expected": expected, "scorer": scorer})
    check_item(made, "Item i")
    return made


@pytest.mark.parametrize(
    ("expected", "answer", "outcome"),
    [
        ("Paris", "  paris.\n", "passed"),
        ("Paris", "PARIS!", "passed"),
        ("twenty-one", "Twenty one", "passed"),
        ("fi", "\ufb01", "passed"),  # the ligature is the two letters after NFKC
        ("Straße", "STRASSE", "passed"),
        ("Paris", "It is Paris", "failed"),
        ("Paris", "", "failed"),
        (["4", "four"], "Four.", "passed"),
        (["4", "four"], "five", "failed"),
    ],
)
def test_exact_match_after_normalisation(expected: object, answer: str, outcome: str) -> None:
    assert score(item("exact", expected), answer).outcome == outcome


@pytest.mark.parametrize(
    ("options", "expected", "answer", "outcome"),
    [
        ({"ignore_case": False}, "Paris", "paris", "failed"),
        ({"ignore_punctuation": False}, "a.b", "a b", "failed"),
        ({"ignore_punctuation": False}, "a.b", " a.b ", "passed"),
        ({"ignore_articles": True}, "Eiffel Tower", "the Eiffel tower", "passed"),
        ({}, "Eiffel Tower", "the Eiffel tower", "failed"),
    ],
)
def test_what_exact_match_ignores_is_set(options: dict[str, Any], expected: str, answer: str, outcome: str) -> None:
    assert score(item({"kind": "exact", **options}, expected), answer).outcome == outcome


@given(st.text(max_size=200))
def test_normalisation_is_settled_after_once(text: str) -> None:
    scorer = ExactScorer(ignore_articles=True)
    once = normalise(text, scorer)
    assert normalise(once, scorer) == once


@pytest.mark.parametrize(
    ("options", "pattern", "answer", "outcome"),
    [
        ({}, r"\d{4}", "in 1999", "passed"),
        ({}, r"\d{4}", "in 99", "failed"),
        ({"match": "full"}, r"\d{4}", " 1999 ", "passed"),
        ({"match": "full"}, r"\d{4}", "in 1999", "failed"),
        ({"ignore_case": True}, "hello", "HELLO", "passed"),
        ({}, "hello", "HELLO", "failed"),
        ({}, "^b", "a\nb", "failed"),
        ({}, "(?m)^b", "a\nb", "passed"),
    ],
)
def test_patterns(options: dict[str, Any], pattern: str, answer: str, outcome: str) -> None:
    assert score(item({"kind": "regex", **options}, pattern), answer).outcome == outcome


def test_a_pattern_that_ruins_backtracking_engines_takes_linear_time() -> None:
    began = time.perf_counter()
    assert score(item("regex", "^(a+)+$"), "a" * 100_000 + "b").outcome == "failed"
    assert time.perf_counter() - began < 30


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "s": {"type": "string", "pattern": "^x+$"}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ('{"n": 1}', "passed"),
        ('Sure!\n```json\n{"n": 1, "s": "xx"}\n```\nDone.', "passed"),
        ('The answer is {"n": 2} as you see.', "passed"),
        ('{"n": "one"}', "failed"),
        ('{"n": 1, "s": "y"}', "failed"),
        ('{"n": 1, "more": 2}', "failed"),
        ("[1, 2]", "failed"),
        ("no json here", "unparseable"),
        ("", "unparseable"),
        ('{"n": NaN}', "unparseable"),
        ('{"n": 1', "unparseable"),
        ("{" * 100_000, "unparseable"),
        ("[" * 100_000 + "]" * 100_000, "unparseable"),
        ("x" * 300_000, "unparseable"),
        (None, "unparseable"),
    ],
)
def test_json_in_an_answer(answer: str | None, outcome: str) -> None:
    assert score(item("json_schema", SCHEMA), answer).outcome == outcome


def test_the_reason_names_the_place() -> None:
    verdict = score(item("json_schema", SCHEMA), '{"n": "one"}')
    assert verdict.reason == "$.n: 'one' is not of type 'integer'"


def test_a_schema_without_end_is_an_error_and_ends() -> None:
    verdict = score(item("json_schema", {"$ref": "#"}), "1")
    assert (verdict.outcome, "references multiply" in verdict.reason or "without end" in verdict.reason) == (
        "error",
        True,
    )


def test_references_that_double_are_cut_off() -> None:
    levels = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(30)}
    schema = {"$defs": {**levels, "l30": {"type": "integer"}}, "$ref": "#/$defs/l0"}
    began = time.perf_counter()
    assert score(item("json_schema", schema), "1").outcome == "error"
    assert time.perf_counter() - began < 60


@pytest.mark.parametrize(
    ("scorer", "expected", "words"),
    [
        ("exact", {"a": 1}, "must be a text or a list of texts"),
        ("exact", "...", "nothing is left"),
        ("regex", ["a"], "must be one pattern"),
        ("regex", "(a", "RE2 does not accept"),
        ("regex", r"(a)\1", "RE2 does not accept"),
        ("regex", "a" * 2001, "longer than"),
        ("json_schema", "{}", "must be a JSON Schema"),
        ("json_schema", {"type": "integre"}, "not a valid JSON Schema"),
        ("json_schema", {"$ref": "https://example.org/schema"}, "outside of the schema"),
        ("json_schema", {"pattern": "(a+)\\1"}, "RE2 does not accept"),
        ("json_schema", {"patternProperties": {"(": {}}}, "RE2 does not accept|not a valid JSON Schema"),
        ("json_schema", {"title": "x" * 70_000}, "larger than"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_any_run(scorer: Any, expected: Any, words: str) -> None:
    with pytest.raises(SuiteInvalid, match=words):
        item(scorer, expected)


def test_a_schema_nested_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(60):
        schema = {"items": schema}
    with pytest.raises(SuiteInvalid, match="deeper"):
        item("json_schema", schema)


JUDGED = {
    "kind": "combined",
    "min_share": 0.5,
    "parts": [
        {"scorer": {"kind": "similarity", "min_score": 0.7}, "expected": "the harbour closed", "weight": 2},
        {"scorer": "regex", "expected": "19\\d\\d"},
        {"scorer": "exact", "expected": "It closed in 1999"},
    ],
}


def combined(**changes: Any) -> EvalItem:
    made = EvalItem.model_validate({"id": "i", "prompt": "?", "scorer": {**JUDGED, **changes}})
    check_item(made, "Item i")
    return made


@pytest.mark.parametrize(
    ("cosine", "answer", "min_share", "outcome", "share"),
    [
        (0.9, "closed since long", 0.5, "passed", "50%"),
        (0.9, "closed since long", 0.6, "failed", "50%"),
        (0.6, "in 1999", 0.5, "failed", "25%"),
        (0.9, "It closed in 1999.", 1.0, "passed", "100%"),
    ],
)
def test_several_methods_judge_one_answer_by_weight(
    cosine: float, answer: str, min_share: float, outcome: str, share: str
) -> None:
    one = combined(min_share=min_share)
    assert list(meanings(one)) == [Meaning(("the harbour closed",), None)]
    verdict = score(one, answer, {Meaning(("the harbour closed",), None): cosine})
    assert verdict.outcome == outcome
    assert verdict.reason.startswith(f"{share} of the weight: similarity ")


def test_each_part_of_several_methods_has_its_own_expected() -> None:
    with pytest.raises(ValueError, match="give each of its parts one"):
        EvalItem.model_validate({"prompt": "?", "expected": "x", "scorer": JUDGED})
    stored = EvalItem.model_validate_json(combined().model_dump_json())
    assert stored == combined(), "what is stored can be read again"
    with pytest.raises(ValueError, match="give `expected`"):
        EvalItem.model_validate({"prompt": "?", "scorer": "exact"})
    with pytest.raises(SuiteInvalid, match="Item i, part 1: expected must be one pattern"):
        combined(parts=[{"scorer": "regex", "expected": ["a"]}, {"scorer": "exact", "expected": "a"}])
    with pytest.raises(SuiteInvalid, match="means nothing"):
        item("similarity", [" "])
