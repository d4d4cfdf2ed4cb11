"""Answers that are XML of a JSON schema: the grammar, the reading, and what is refused."""

import re
from typing import Any
from xml.sax.saxutils import escape

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_gateway.dataplane.conformance import Checks, Problem
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.structure import Structure, in_terms_of, structure_of
from sluice_gateway.domain.xml_form import NoXmlForm, form_of, whole_between

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "age": {"type": "integer", "minimum": 0},
        "size": {"type": "number"},
        "active": {"type": "boolean"},
        "kind": {"enum": ["a<b", 2, True]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
        "friends": {"type": "array", "items": {"$ref": "#/$defs/friend"}},
        "nick": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["name", "age", "tags", "nick"],
    "$defs": {
        "friend": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "friends": {"type": "array", "items": {"$ref": "#/$defs/friend"}},
            },
            "required": ["name"],
        }
    },
}
ADA = "<name>Ada</name><age>36</age><tags>x</tags>"


def structure(root: Any = "person", schema: Any = None) -> Structure:
    wanted = {"root": root, "schema": PERSON if schema is None else schema}
    found = structure_of({"model": "m", "messages": [], "structured_outputs": {"xml": wanted}}, "chat")
    assert found is not None
    return found


def judged(text: str, finish: str = "stop") -> Problem | None:
    return Checks(structure()).problem(text, None, finish)


def of_the_grammar(text: str) -> bool:
    found = structure_of({"model": "m", "messages": [], "grammar": form_of("person", PERSON).grammar()}, "chat")
    assert found is not None
    return Checks(found).problem(text, None, "stop") is None


@pytest.mark.parametrize(
    "inside",
    [
        ADA,
        "<name>A &amp; B</name><age>0</age><tags>x</tags><tags></tags><nick>&lt;3</nick>",
        "<name>Ä</name><age>0</age><size>-1.50</size><active>true</active><kind>a&lt;b</kind><tags>x</tags><friends><name>Bob</name></friends>",
        f"{ADA}<friends><name>Bob</name><friends><name>Eve</name></friends></friends>",
    ],
)
def test_what_the_grammar_lets_through_is_right(inside: str) -> None:
    text = f"<person>{inside}</person>"
    assert of_the_grammar(text)
    assert judged(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"<human>{ADA}</human>", "another name"),
        (f"<person>{ADA}", "well-formed"),
        (f"<person>{ADA}<x/></person>", "does not name"),
        (f"<person>and {ADA}</person>", "text between"),
        (f"<person id='1'>{ADA}</person>", "attributes"),
        (f"<person>{ADA}<age>37</age></person>", "more than once"),
        (f"<person>{ADA.replace('36', 'old')}</person>", "/properties/age/type"),
        (f"<person>{ADA.replace('36', '-36')}</person>", "/properties/age/minimum"),
        (f"<person>{ADA.replace('Ada', 'A' * 21)}</person>", "maxLength"),
        (f"<person>{ADA}<kind>3</kind></person>", "/properties/kind/enum"),
        (f"<person>{ADA}{'<tags/>' * 3}</person>", "maxItems"),
        ("<person><age>36</age><tags>x</tags></person>", "required"),
        (f"<person>{ADA.replace('Ada', '<b>Ada</b>')}</person>", "holds others"),
        (f"<!DOCTYPE p [<!ENTITY a 'Ada'>]><person>{ADA.replace('Ada', '&a;')}</person>", "document type"),
        (f"<person>{ADA}{'<friends><name>a</name>' * 200}{'</friends>' * 200}</person>", "too deep"),
        ("", "well-formed"),
        ("\ud800", "well-formed"),
    ],
)
def test_what_has_another_form_is_told_without_its_text(text: str, said: str) -> None:
    problem = judged(text)
    assert problem is not None
    assert problem.code == "structured_output_invalid"
    assert said in problem.wrong.said
    assert "Ada" not in problem.wrong.said


def test_an_engine_without_a_grammar_may_lay_it_out_and_order_it_as_it_likes() -> None:
    laid_out = "<?xml version='1.0'?>\n<person>\n  <tags>x</tags>\n  <age> 36 </age>\n  <name>Ada</name>\n</person>\n"
    assert judged(laid_out) is None
    assert not of_the_grammar(laid_out)
    unfinished = judged(laid_out[:40], "length")
    assert unfinished is not None
    assert unfinished.code == "structured_output_incomplete"


@pytest.mark.parametrize(
    ("bounds", "rule"),
    [
        ({}, '"-"? ("0" | [1-9] [0-9]{0,15})'),
        ({"minimum": 0, "maximum": 120}, '([0-9] | [1-9] [0-9]{1} | "1" [0-1] [0-9]{1} | "1" "2" [0-0])'),
        ({"minimum": -5, "maximum": 7}, '("-" [1-5] | [0-7])'),
        ({"minimum": 7, "maximum": -5}, '("0" | [1-9])'),
        ({"minimum": 10}, '("0" | [1-9] [0-9]{0,15})'),
        ({"minimum": 0.5, "maximum": 10**30}, '("0" | [1-9] [0-9]{0,15})'),
    ],
)
def test_an_engine_writes_no_more_digits_than_the_bounds_allow(bounds: dict[str, Any], rule: str) -> None:
    one = {"type": "object", "properties": {"a": {"type": "integer", **bounds}}, "required": ["a"]}
    assert form_of("r", one).grammar().splitlines()[1] == f'r0 ::= "<a>" {rule} "</a>"'


def written(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(written(name, one) for one in value)
    if isinstance(value, dict):
        inside = "".join(written(one, value[one]) for one in [*PERSON["properties"]] if one in value)  # type: ignore[misc]
    else:
        inside = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{name}>{inside}</{name}>"


texts = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufffe\uffff"), max_size=8
)
friends = st.recursive(
    st.fixed_dictionaries({"name": texts}),
    lambda inner: st.fixed_dictionaries({"name": texts, "friends": st.lists(inner, min_size=1, max_size=2)}),
    max_leaves=3,
)
people = st.fixed_dictionaries(
    {
        "name": texts.filter(bool),
        "age": st.integers(0, 10**15),
        "tags": st.lists(texts, min_size=1, max_size=3),
        "nick": st.none() | texts,
    },
    optional={
        "size": st.integers(-999, 999).map(lambda number: number / 8),
        "active": st.booleans(),
        "kind": st.sampled_from(["a<b", 2, True]),
        "friends": st.lists(friends, min_size=1, max_size=2),
    },
)


@given(people)
@settings(max_examples=20, deadline=None)
def test_every_value_of_the_schema_can_be_written_and_is_read_as_it_was(person: dict[str, Any]) -> None:
    jsonschema_rs.validate(PERSON, person)
    text = written("person", person)
    assert form_of("person", PERSON).read(text) == person
    assert of_the_grammar(text)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array", "items": {"type": "string"}}, "one `type`"),
        ({"type": "string"}, "of an object"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "array"}}}}, "one `type`"),
        ({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}, "alternatives"),
        ({"type": "object", "properties": {"a": {"type": ["string", "integer"]}}}, "alternatives"),
        ({"type": "object", "properties": {"a": {"allOf": [{}, {}]}}}, "allOf"),
        ({"type": "object", "properties": {"a": {}}}, "one `type`"),
        ({"type": "object", "properties": {"a": True}}, "as an object"),
        ({"type": "object", "properties": {"a b": {"type": "string"}}}, "no name of an XML element"),
        ({"type": "object", "properties": {"a": {"enum": [[1]]}}}, "no text, number or boolean"),
        ({"type": "object", "properties": {"a": {"enum": [None]}}}, "no value"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"$ref": "#/$defs/b"}}}, "itself"),
        ({"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}, "not there"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": ["string", "null"]}}}}, "null"),
    ],
)  # fmt: skip
def test_a_schema_without_an_xml_form_is_refused_with_its_place(schema: Any, said: str) -> None:
    with pytest.raises(NoXmlForm, match=said):
        form_of("person", schema)


@pytest.mark.parametrize(
    "found", [structure(root="a b"), structure(root=3), structure(schema={"type": "nope"}), structure(schema={})]
)
def test_a_request_with_such_a_schema_is_refused_before_any_model_is_asked(found: Structure) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Checks(found)
    assert refused.value.error_code == "invalid_schema"


@given(st.integers(-(10**15), 10**15), st.integers(0, 3000) | st.integers(0, 10**15), st.data())
def test_the_grammar_of_whole_numbers_holds_those_between_the_bounds(low: int, size: int, data: st.DataObject) -> None:
    high = low + size
    rule = re.compile(whole_between(low, high).replace('"', "").replace(" ", ""))
    one = data.draw(st.integers(low, high) | st.sampled_from([low, high, low - 1, high + 1, -low, 0]) | st.integers())
    assert (rule.fullmatch(str(one)) is not None) == (low <= one <= high)
    assert not any(rule.fullmatch(text) for text in ("-0", f"0{one}", f"{one}.0"))


@pytest.mark.parametrize(
    "value", ["<a/>", {"root": "a"}, {"root": "a", "schema": {}, "x": 1}, {"root": "a", "schema": 3}]
)
def test_the_demand_itself_has_a_form(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"structured_outputs\.xml"):
        structure_of({"model": "m", "messages": [], "structured_outputs": {"xml": value}}, "chat")


def test_engines_get_a_grammar_and_others_what_came() -> None:
    fields = {"structured_outputs": {"xml": {"root": "person", "schema": PERSON}, "disable_any_whitespace": True}}
    grammar = form_of("person", PERSON).grammar()
    assert in_terms_of("llamacpp", structure(), fields, "chat") == {"grammar": grammar}
    sent = {"grammar": grammar, "disable_any_whitespace": True}
    assert in_terms_of("vllm", structure(), fields, "chat") == {"structured_outputs": sent}
    assert in_terms_of("openai", structure(), fields, "chat") == fields
