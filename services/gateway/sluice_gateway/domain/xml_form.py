"""XML of a JSON schema: the grammar that an engine writes by, and the reading of what came.

The mapping is that of the OpenAPI Specification without its `xml` object (https://spec.openapis.org/oas/v3.1.0#xml-object): a property is an
element of its name, a list is its element repeated, and every other value is the element's text. What is null is left out.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from xml.parsers import expat

from sluice_gateway.domain.regex_grammar import grammar_of_choice

_NAME = re.compile(r"(?!(?i:xml))[^\W\d][\w.-]*")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MOST_REPEATS = 1000
_MOST_SHAPES = 1000
_LONGEST_NUMBER = 400
_DIGITS = 16
_LONGEST_CHAIN = 64
_DEEPEST = 100
_RULES = {
    "char": r'[^<>&\x00-\x08\x0b-\x1f\x7f] | "&lt;" | "&gt;" | "&amp;"',
    "fraction": '("." [0-9]{1,15})?',
    "boolean": '"true" | "false"',
}
EMPTY = '""'
ScalarType = Literal["string", "integer", "number", "boolean"]


class NoXmlForm(ValueError):
    """A schema that has no XML form here; the sentence says why."""


class NotOfTheForm(ValueError):
    """A text that is no XML of the form; the sentence holds nothing of the text."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is an element's text; `values` are those of an enumeration, by their texts.

    `least` and `most` bound the letters of a string, or the value of a number.
    """

    type: ScalarType
    values: Mapping[str, Any] | None = None
    least: int | None = None
    most: int | None = None


@dataclass(slots=True)
class Record:
    """An object: its properties are elements. `rule` is its name in the grammar."""

    rule: str
    fields: dict[str, "Field"] = field(default_factory=dict)


class Field(NamedTuple):
    """A property; `repeats` is how often its element may come if it is a list, None bounds nothing."""

    shape: "Scalar | Record"
    required: bool
    nullable: bool
    repeats: tuple[int, int | None] | None = None


class XmlForm(NamedTuple):
    """Elements of a schema, below one named `root`."""

    root: str
    record: Record
    records: tuple[Record, ...]

    def grammar(self) -> str:
        """Return the grammar (GBNF) of such a text, without space between elements; and no more digits than bounds of numbers allow; patterns are not in it."""
        rules = [f'root ::= "<{self.root}>" {self.record.rule} "</{self.root}>"']
        for one in self.records:
            elements = " ".join(_element(name, inner) for name, inner in one.fields.items())
            rules.append(f"{one.rule} ::= {elements or EMPTY}")
        rules += [f"{name} ::= {rule}" for name, rule in _RULES.items()]
        return "\n".join(rules)

    def read(self, text: str) -> Any:
        """Return the text as what JSON of the schema would hold. A value of the wrong type stays a string.

        Raises:
            NotOfTheForm: it is not well-formed, or has an element or attribute that the schema does not name.
        """
        root = _parsed(text)
        if root.name != self.root:
            raise NotOfTheForm("its outermost element has another name")
        return _value(root, self.record)


def form_of(root: Any, schema: Any) -> XmlForm:
    """Return the form of a schema.

    Raises:
        NoXmlForm: a part of it says nothing of elements, such as a list of lists.
    """
    if type(root) is not str or not _NAME.fullmatch(root):
        raise NoXmlForm("`root` must be a name of an XML element")
    compiler = _Compiler(schema)
    shape, nullable = compiler.shape(schema, "schema")
    if nullable or not isinstance(shape, Record):
        raise NoXmlForm("the schema must be one of an object")
    return XmlForm(root, shape, tuple(compiler.records))


class _Compiler:
    def __init__(self, schema: Any) -> None:
        self._whole = schema
        self._by_pointer: dict[str, Record] = {}
        self.records: list[Record] = []

    def shape(self, schema: Any, where: str) -> tuple[Scalar | Record, bool]:
        # Of one element, and whether it may be null.
        schema, pointer, nullable = self._plain(schema, where)
        kind = schema.get("type")
        if "enum" in schema or "const" in schema:
            values = schema["enum"] if "enum" in schema else [schema["const"]]
            return self._enumeration(values, where, nullable=nullable)
        if kind == "object" or (kind is None and "properties" in schema):
            return self._record(schema, pointer, where), nullable
        if kind in ("string", "integer", "number", "boolean"):
            names = ("minLength", "maxLength") if kind == "string" else ("minimum", "maximum")
            return Scalar(kind, None, *_limits(schema, *names)), nullable
        raise NoXmlForm(f"{where} must say one `type` that is an element: object, string, integer, number or boolean")

    def _plain(self, schema: Any, where: str) -> tuple[dict[str, Any], str | None, bool]:
        # Follows references and takes null out of the alternatives.
        pointer, nullable = None, False
        for _ in range(_LONGEST_CHAIN):
            if type(schema) is not dict:
                raise NoXmlForm(f"{where} must be a schema, as an object")
            if "$ref" in schema:
                pointer = schema["$ref"]
                schema = self._referred(pointer, where)
            elif "allOf" in schema:
                schema = _only(schema["allOf"], f"{where} uses allOf; write its parts together")
            elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
                schema, null = _besides(alternatives, {"type": "null"}, where)
                nullable = nullable or null
            elif type(schema.get("type")) is list:
                kind, null = _besides(schema["type"], "null", where)
                schema, nullable = {**schema, "type": kind}, nullable or null
            else:
                return schema, pointer, nullable
        raise NoXmlForm(f"{where} refers to itself")

    def _referred(self, pointer: Any, where: str) -> Any:
        if type(pointer) is not str or not pointer.startswith("#"):
            raise NoXmlForm(f"{where} refers to another document, which is never fetched")
        found = self._whole
        for part in pointer.split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if type(found) is dict else None
        if type(found) is not dict:
            raise NoXmlForm(f"{where} refers to something that is not there")
        return found

    def _enumeration(self, values: Any, where: str, *, nullable: bool) -> tuple[Scalar, bool]:
        texts: dict[str, Any] = {}
        for value in values if type(values) is list else ():
            if value is None:
                nullable = True
            elif type(value) not in (str, int, float, bool):
                raise NoXmlForm(f"{where} has a value that is no text, number or boolean")
            else:
                texts.setdefault(value if type(value) is str else _written(value), value)
        if not texts:
            raise NoXmlForm(f"{where} has no value that an element can hold")
        return Scalar("string", texts), nullable

    def _record(self, schema: dict[str, Any], pointer: str | None, where: str) -> Record:
        if pointer is not None and pointer in self._by_pointer:
            return self._by_pointer[pointer]
        if len(self.records) >= _MOST_SHAPES:
            raise NoXmlForm(f"the schema has more than {_MOST_SHAPES} objects")
        record = Record(f"r{len(self.records)}")
        self.records.append(record)
        if pointer is not None:
            self._by_pointer[pointer] = record  # it may refer to itself
        required = schema.get("required", ())
        for name, inner in schema.get("properties", {}).items():
            if not _NAME.fullmatch(name):
                raise NoXmlForm(f"{where} has a property whose name is no name of an XML element")
            record.fields[name] = self._field(inner, f"{where}.{name}", required=name in required)
        return record

    def _field(self, schema: Any, where: str, *, required: bool) -> Field:
        plain, _, nullable = self._plain(schema, where)
        if plain.get("type") == "array" or (plain.get("type") is None and "items" in plain):
            items, item_may_be_null = self.shape(plain.get("items"), f"{where}.items")
            if item_may_be_null:
                raise NoXmlForm(f"{where}.items may be null, and what is null has no element")
            least, most = _limits(plain, "minItems", "maxItems")
            return Field(items, required, nullable, (least or 0, most))
        shape, nullable = self.shape(schema, where)
        return Field(shape, required, nullable)


def _limits(schema: dict[str, Any], least: str, most: str) -> tuple[int | None, int | None]:
    low, high = schema.get(least), schema.get(most)
    return None if low is None else math.floor(low), None if high is None else math.ceil(high)


def _besides(alternatives: Any, null: Any, where: str) -> tuple[Any, bool]:
    # The one that is not null, and whether null is another.
    rest = [one for one in alternatives if one != null]
    return _only(rest, f"{where} has alternatives, and elements do not tell which one is meant"), len(rest) < len(
        alternatives
    )


def _only(several: Any, otherwise: str) -> Any:
    if len(several) != 1:
        raise NoXmlForm(otherwise)
    return several[0]


def _element(name: str, one: Field) -> str:
    whole = f'"<{name}>" {_body(one.shape)} "</{name}>"'
    optional = not one.required or one.nullable
    if one.repeats is None:
        return f"({whole})?" if optional else whole
    least, most = one.repeats
    repeated = f"({whole}){_bounds(least, most)}"
    return f"({repeated})?" if optional and least else repeated


def _body(shape: Scalar | Record) -> str:
    if isinstance(shape, Record):
        return shape.rule
    if shape.values is not None:
        return f"({grammar_of_choice([_escaped(text) for text in shape.values]).removeprefix('root ::= ')})"
    if shape.type == "string":
        return f"char{_bounds(shape.least or 0, shape.most)}"
    return _number(shape) if shape.type in ("integer", "number") else shape.type


def whole_between(low: int, high: int) -> str:
    """Return the grammar of the whole numbers from `low` to `high`, both included, in JSON's notation."""
    negative, positive = (max(1, -high), -low), (max(0, low), high)
    parts = [f'"-" {one}' for one in _digits_between(*negative)] + _digits_between(*positive)
    return f"({' | '.join(parts)})"


def _digits_between(low: int, high: int) -> list[str]:
    # By the count of digits, since what is shorter is less; none for an empty range.
    found: list[str] = []
    while low <= high:
        end = min(high, 10 ** len(str(low)) - 1)
        found += _same_length(str(low), str(end))
        low = end + 1
    return found


def _same_length(low: str, high: str) -> list[str]:
    # The first digit is that of a bound, and the rest is bounded as well, or lies between them, and the rest is free.
    rest = len(low) - 1
    if not rest:
        return [f"[{low}-{high}]"]
    from_, to = int(low[0]), int(high[0])
    found: list[str] = []
    if low[1:] != "0" * rest and from_ < to:
        found += [f'"{from_}" {one}' for one in _same_length(low[1:], "9" * rest)]
        from_ += 1
        low = f"{from_}{'0' * rest}"
    last: list[str] = []
    if high[1:] != "9" * rest:
        last = [f'"{to}" {one}' for one in _same_length(low[1:] if from_ == to else "0" * rest, high[1:])]
        to -= 1
    elif from_ == to and low[1:] != "0" * rest:
        return [f'"{to}" {one}' for one in _same_length(low[1:], high[1:])]
    if from_ <= to:
        found.append(f"[{from_}-{to}] [0-9]{{{rest}}}")
    return found + last


def _number(shape: Scalar) -> str:
    # Whole numbers between two bounds exactly; of others the sign and the count of digits, which the check afterwards compares.
    low, high = shape.least, shape.most
    if (
        shape.type == "integer"
        and low is not None
        and high is not None
        and low <= high
        and max(-low, high) < 10**_DIGITS
    ):
        return whole_between(low, high)
    sign = "" if low is not None and low >= 0 else '"-"? '
    digits = _DIGITS if low is None or high is None else min(len(str(max(abs(low), abs(high)))), _DIGITS)
    more = f" [0-9]{{0,{digits - 1}}}" if digits > 1 else ""
    whole = f'{sign}("0" | [1-9]{more})'
    return whole if shape.type == "integer" else f"{whole} fraction"


def _bounds(least: int, most: int | None) -> str:
    # Engines refuse very large repeats; the check afterwards counts exactly.
    if least == 0 and most == 0:
        return "{0}"
    low, high = min(least, _MOST_REPEATS), most if most is not None and most <= _MOST_REPEATS else None
    if high is None:
        return {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    return f"{{{low},{high}}}"


class _Element:
    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[_Element] = []
        self.text = ""


def _parsed(text: str) -> _Element:
    # Without a document type there are no entities besides the five of XML, so nothing can be fetched or grow.
    top = _Element("")
    opened = [top]

    def refuse(*_: object) -> None:
        raise NotOfTheForm("it has a document type, comment or processing instruction, which the form does not")

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(opened) > _DEEPEST:
            raise NotOfTheForm("its elements lie too deep in one another")
        if attributes:
            raise NotOfTheForm("an element has attributes, which the form does not")
        opened.append(_Element(name))
        opened[-2].children.append(opened[-1])

    def data(more: str) -> None:
        opened[-1].text += more

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, lambda _: opened.pop()
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(text.strip().encode(), True)  # noqa: FBT003 - the parser takes it by place only
    except (expat.ExpatError, UnicodeEncodeError) as exc:
        raise NotOfTheForm("it is no well-formed XML") from exc
    return top.children[0]


def _value(element: _Element, shape: Scalar | Record) -> Any:
    if isinstance(shape, Scalar):
        if element.children:
            raise NotOfTheForm("an element holds others where the schema has a value")
        return _scalar(element.text, shape)
    if element.text.strip():
        raise NotOfTheForm("there is text between elements")
    unnamed = next((one for one in element.children if one.name not in shape.fields), None)
    if unnamed is not None:
        raise NotOfTheForm("it has an element that the schema does not name")
    return dict(_properties(element, shape))


def _properties(element: _Element, record: Record) -> Iterator[tuple[str, Any]]:
    for name, one in record.fields.items():
        found = [_value(child, one.shape) for child in element.children if child.name == name]
        if one.repeats is not None:
            if found or (one.required and not one.nullable):
                yield name, found
            elif one.required:
                yield name, None
        elif len(found) > 1:
            raise NotOfTheForm("an element comes more than once where the schema has one value")
        elif found:
            yield name, found[0]
        elif one.required and one.nullable:
            yield name, None


def _scalar(text: str, shape: Scalar) -> Any:
    if shape.values is not None:
        return shape.values.get(text, text)
    word = text.strip()
    if shape.type == "integer" and len(word) <= _LONGEST_NUMBER and _WHOLE.fullmatch(word):
        return int(word)
    if shape.type == "number" and len(word) <= _LONGEST_NUMBER and _NUMBER.fullmatch(word):
        return int(word) if _WHOLE.fullmatch(word) else float(word)
    if shape.type == "boolean" and word in ("true", "false"):
        return word == "true"
    return text


def _written(value: float | bool) -> str:  # noqa: FBT001 - it is a value, not a switch
    return ("true" if value else "false") if type(value) is bool else repr(value)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
