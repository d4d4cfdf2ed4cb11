"""Faults in requests become sentences that say what to change."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from sluice.contracts.base import Request
from sluice.sentences import Fault, faults, is_broken_json


class Choice(Request):
    kind: Literal["a", "b"]


class Wish(Request):
    name: Annotated[str, Field(min_length=1, max_length=5)]
    ids: Annotated[tuple[str, ...], Field(min_length=1)] = ("x",)
    epochs: Literal["auto"] | Annotated[int, Field(ge=1, le=50)] = "auto"
    mode: Literal["fast", "slow"] = "fast"
    strict: bool = False
    rate: float = 1.0
    inner: Choice | None = None

    @model_validator(mode="after")
    def _together(self) -> "Wish":
        if self.mode == "slow" and self.strict:
            raise ValueError("slow wishes cannot be strict; leave one out")
        return self


def _told(value: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Wish.model_validate(value)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    return [fault.sentence for fault in faults(errors)]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, "`name` is missing; add it."),
        ({"name": ""}, "`name` must not be empty."),
        ({"name": "x" * 6}, "`name` must have at most 5 characters."),
        ({"name": 3}, "`name` must be a string."),
        ({"name": "x", "nmae": "y"}, "`nmae` is not known here; remove it."),
        ({"name": "x", "ids": []}, "`ids` must not be empty."),
        ({"name": "x", "ids": "y"}, "`ids` must be a list."),
        ({"name": "x", "ids": ["y", 3]}, "`ids.1` must be a string."),
        ({"name": "x", "epochs": 0}, "`epochs` must be 'auto' or must be 1 or more."),
        ({"name": "x", "epochs": "ten"}, "`epochs` must be 'auto' or must be a whole number."),
        ({"name": "x", "mode": "z"}, "`mode` must be 'fast' or 'slow'."),
        ({"name": "x", "strict": "perhaps"}, "`strict` must be true or false."),
        ({"name": "x", "rate": "much"}, "`rate` must be a number."),
        ({"name": "x", "inner": {"kind": "c"}}, "`inner.kind` must be 'a' or 'b'."),
        ({"name": "x", "mode": "slow", "strict": True}, "Slow wishes cannot be strict; leave one out."),
    ],
)
def test_each_fault_says_what_to_change(value: Any, sentence: str) -> None:
    assert _told(value) == [sentence]


def test_faults_name_their_place_and_none_is_left_out() -> None:
    with pytest.raises(ValidationError) as caught:
        Wish.model_validate({"name": "", "mode": "z"})
    found = faults([{**error, "loc": ("query", *error["loc"])} for error in caught.value.errors()])
    assert [(fault.source, fault.field, fault.place) for fault in found] == [
        ("query", "name", "query.name"),
        ("query", "mode", "query.mode"),
    ]


def test_what_has_no_words_here_keeps_the_validators_own() -> None:
    strange = {"type": "url_parsing", "loc": ("body", "url"), "msg": "Input should be a valid URL, empty host"}
    bare = {"type": "less_than_equal", "loc": ("form", "n"), "msg": "Input should be less than or equal to 5"}
    assert [fault.sentence for fault in faults([strange, bare])] == [
        "`url`: Input should be a valid URL, empty host.",
        "`n`: Input should be less than or equal to 5.",
    ]


def test_a_body_that_is_no_object_and_one_that_is_no_json() -> None:
    no_object = [{"type": "model_attributes_type", "loc": ("body",), "msg": "Input should be a valid dictionary"}]
    assert faults(no_object)[0].sentence == (
        "The body must be a JSON object, sent with `Content-Type: application/json`."
    )
    broken = [
        {"type": "json_invalid", "loc": ("body", 17), "msg": "JSON decode error", "ctx": {"error": "Expecting value"}}
    ]
    assert is_broken_json(broken)
    assert not is_broken_json(no_object)
    assert faults(broken) == (Fault("body", "", "The body is not valid JSON: Expecting value."),)


def test_a_deep_place_is_told_without_its_middle() -> None:
    deep = [{"type": "missing", "loc": ("body", *(["and", 0] * 100), "type"), "msg": "Field required"}]
    assert faults(deep)[0].sentence == "`and.0.and.0.and.0.….0.and.0.and.0.type` is missing; add it."
