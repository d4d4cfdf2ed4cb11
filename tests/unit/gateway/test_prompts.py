"""What a stored prompt becomes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice.contracts.prompts import PromptTemplate
from sluice_gateway.domain.errors import PromptVariablesWrong
from sluice_gateway.domain.prompts import rendered, request_of, values_in_system, variables_of

SECTIONS: dict[str, Any] = {
    "output_format": "One word.",
    "input": "{{text}}",
    "task": "Classify the text of {{ who }}.",
    "examples": [{"input": "I love it", "output": "good"}, {"input": "Meh", "output": "bad"}],
    "context": "Reviews of {{who}}.",
    "system": "You are terse, {{who}}.",
}


def template(**fields: Any) -> PromptTemplate:
    return PromptTemplate.model_validate({"sections": SECTIONS, **fields})


def test_sections_stand_in_their_order_whatever_the_order_of_the_request() -> None:
    system, user = rendered(template(), {"who": "Ann", "text": "Fine"})
    assert (system.role, system.content) == ("system", "You are terse, Ann.")
    assert user.content == (
        "# Context\n\nReviews of Ann.\n\n# Examples\n\nInput: I love it\nOutput: good\n\nInput: Meh\nOutput: bad\n\n"
        "# Task\n\nClassify the text of Ann.\n\n# Input\n\nFine\n\n# Output format\n\nOne word."
    )
    (_, user) = rendered(template(style="xml"), {"who": "Ann", "text": "Fine"})
    assert user.content.startswith("<context>\nReviews of Ann.\n</context>\n\n<examples>\n")
    assert user.content.endswith("<output_format>\nOne word.\n</output_format>")


def test_a_single_section_has_no_heading() -> None:
    (only,) = rendered(template(sections={"input": "Say {{word}}"}), {"word": True})
    assert (only.role, only.content) == ("user", "Say true")
    (only,) = rendered(template(sections={"system": "Be brief"}), {})
    assert only.role == "system"


@given(st.text())
def test_values_are_taken_as_they_are(value: str) -> None:
    (only,) = rendered(template(sections={"task": "{{a}}|{{b}}"}), {"a": "{{b}}" + value, "b": "x"})
    assert only.content == "{{b}}" + value + "|x"


def test_values_that_stand_in_the_system_message_are_told_each_once() -> None:
    sections = {"system": "{{a}} {{ b }} {{a}} {{c}} {{n}} {{empty}} {{left_out}}", "task": "{{a}} {{d}}"}
    found = template(sections=sections, defaults={"left_out": "mine"})
    values = {"a": "one", "b": "two", "c": "one", "n": 3, "empty": " ", "d": "four"}
    assert values_in_system(found, values) == ("one", "two")
    assert values_in_system(template(sections={"task": "{{a}}"}), {"a": "one"}) == ()


def test_what_is_no_variable_stays() -> None:
    text = '{"a": {{}} } {{1}} {{a b}} {{{x}}}'
    assert variables_of(template(sections={"task": text}).sections) == ("x",)
    (only,) = rendered(template(sections={"task": text}), {"x": 7})
    assert only.content == '{"a": {{}} } {{1}} {{a b}} {7}'


def test_variables_must_fit() -> None:
    assert variables_of(template().sections) == ("who", "text")
    with pytest.raises(PromptVariablesWrong, match="without a value: who, text"):
        rendered(template(), {})
    with pytest.raises(PromptVariablesWrong, match="no variables age; it has who, text"):
        rendered(template(defaults={"who": "Ann"}), {"text": "x", "age": 3})
    assert rendered(template(defaults={"who": "Ann"}), {"text": "x"})[0].content == "You are terse, Ann."


def test_a_request_says_more_than_its_version() -> None:
    found = template(sections={"task": "Go"}, model="small", parameters={"temperature": 0, "top_p": 0.5})
    asked = {"prompt": {}, "model": "large", "top_p": 1, "messages": [{"role": "user", "content": "on"}]}
    assert request_of(found, rendered(found, {}), asked) == {
        "model": "large",
        "temperature": 0,
        "top_p": 1,
        "messages": [{"role": "user", "content": "Go"}, {"role": "user", "content": "on"}],
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"sections": {}},
        {"sections": {"examples": []}},
        {"sections": {"task": "a\0b"}},
        {"parameters": {"messages": []}},
        {"parameters": {"stop": "\ud800"}},
        {"parameters": {"temperature": float("nan")}},
        {"defaults": {"no name": "x"}},
        {"style": "html"},
    ],
)
def test_a_template_that_cannot_be_used_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        template(**fields)
