"""What a model reads beside the messages: the definitions of tools and the JSON schemas of a request.

A description is words, which a guard may change. Names, and the values that a schema allows, are what a program goes by: they are checked, and
never changed, so that a schema stays the one that the caller wrote.
"""

from collections.abc import Iterator
from typing import Any

from sluice_gateway.dataplane.body import Fields
from sluice_gateway.dataplane.texts import Path, Piece

ROLE = "definition"
HOLDERS = (
    "tools", "functions", "response_format", "chat_template_kwargs", "chat_template", "guided_json", "guided_choice", "guided_regex", "guided_grammar", "structured_outputs",
    "grammar", "json_schema",
)  # fmt: skip
"""The fields of a body that hold definitions, schemas and grammars."""

# JSON Schema 2020-12, "A Vocabulary for Basic Meta-Data Annotations": they say something and demand nothing.
_WORDS = frozenset({"description", "title", "$comment", "default", "examples", "example"})
_NAMING = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependentRequired"}
)
_KEYWORDS = _WORDS | _NAMING | frozenset(
    {
        "type", "function", "name", "parameters", "strict", "json_schema", "schema", "custom", "format", "syntax", "definition", "inputSchema",
        "input_schema", "outputSchema", "annotations", "cache_control", "properties", "required", "items", "prefixItems", "additionalProperties",
        "additionalItems", "unevaluatedProperties", "unevaluatedItems", "propertyNames", "contains", "enum", "const", "pattern", "minLength",
        "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems",
        "minProperties", "maxProperties", "minContains", "maxContains", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "nullable",
        "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema", "$ref", "$id", "$schema", "$anchor",
    }
)  # fmt: skip
_VALUES = frozenset(
    {
        "function", "custom", "object", "string", "number", "integer", "boolean", "array", "null", "json_schema", "json_object", "text",
        "date", "date-time", "time", "duration", "email", "uri", "url", "uuid", "ipv4", "ipv6", "hostname", "regex", "int32", "int64", "float", "double",
    }
)  # fmt: skip


def definitions(fields: Fields) -> list[Piece]:
    """Return the words of the definitions and schemas in a request's body; what is not words has the path of the definition that holds it."""
    found: list[Piece] = []
    for holder in HOLDERS:
        value = fields.get(holder)
        if not value:
            continue
        entries = enumerate(value) if isinstance(value, list) else ((None, value),)
        for place, entry in entries:
            at: Path = (holder,) if place is None else (holder, place)
            names: dict[str, None] = {}
            found.extend(_words(entry, at, "", names))
            if names:
                found.append(Piece(at, ROLE, "\n".join(names)))
    return found


def is_fixed(piece: Piece) -> bool:
    """Say whether a piece is names and values, which cannot be changed."""
    if piece.role == ROLE:
        return len(piece.path) <= 2
    return len(piece.path) == 3 and piece.path[0] == "messages" and piece.path[2] == "name"


def _words(value: Any, at: Path, name: str, names: dict[str, None]) -> Iterator[Piece]:
    # Yields what may be changed, and notes in `names` what may not. Bodies are at most so deep as `nesting` allows.
    if isinstance(value, str):
        if name in _WORDS and value:
            yield Piece(at, ROLE, value)
        elif value and value not in _VALUES:
            names[value] = None
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _words(item, (*at, place), name, names)
    elif isinstance(value, dict):
        said = name in ("default", "examples", "example")
        for inner, item in value.items():
            if said or name in _NAMING or inner not in _KEYWORDS:
                names[inner] = None
            # a property may be called `description`: what it holds is a schema
            yield from _words(item, (*at, inner), name if said else "" if name in _NAMING else inner, names)
