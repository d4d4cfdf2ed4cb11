"""JSON schemas for providers that enforce them by a grammar and accept only part of the language."""

import orjson

from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.shapes import Json

_KEPT = frozenset({"$defs", "definitions", "type", "title", "description", "const", "enum", "properties", "required",
                   "items", "anyOf", "allOf"})  # fmt: skip
_DROPPED = frozenset({"$schema", "$id", "$comment", "additionalProperties"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_BRANCHES = ("anyOf", "allOf")
_NAMED = ("properties", "$defs", "definitions")


def closed(schema: Json, where: str) -> Json:
    """Return a schema as Anthropic's structured output takes it.

    Objects forbid further properties; rules that the grammar cannot hold (bounds, lengths, patterns) become a sentence in the
    description, so that the model still reads them. An answer that fits the result fits the original but for those rules.
    Supported keywords: https://platform.claude.com/docs/en/build-with-claude/structured-outputs

    Raises:
        Untranslatable: an object is a map with free names, which a closed object cannot hold.
    """
    found: Json = {name: value for name, value in schema.items() if name in _KEPT}
    if "$ref" in schema:
        found = {name: value for name, value in found.items() if name in ("$defs", "definitions")}
        found["$ref"] = schema["$ref"]
    else:
        _rules(schema, found)
    for name in _NAMED:
        if type(found.get(name)) is dict:
            found[name] = {key: _inner(value, f"{where}.{name}.{key}") for key, value in found[name].items()}
    for name in _BRANCHES:
        if type(found.get(name)) is list:
            found[name] = [_inner(value, f"{where}.{name}[{place}]") for place, value in enumerate(found[name])]
    if type(found.get("items")) is dict:
        found["items"] = closed(found["items"], f"{where}.items")
    if found.get("type") == "object" or "properties" in found:
        _close(schema, found, where)
    return found


def _close(schema: Json, found: Json, where: str) -> None:
    if schema.get("additionalProperties", False) is not False and not schema.get("properties"):
        raise Untranslatable(
            where,
            "is a map with free names, which this model cannot be held to. List its `properties`, or use a list of pairs.",
        )
    found["additionalProperties"] = False


def _rules(schema: Json, found: Json) -> None:
    rules = {name: value for name, value in schema.items() if name not in _KEPT and name not in _DROPPED}
    if rules.get("format") in _FORMATS:
        found["format"] = rules.pop("format")
    if rules.get("minItems") in (0, 1):
        found["minItems"] = rules.pop("minItems")
    if "oneOf" in rules and "anyOf" not in found:
        found["anyOf"] = rules.pop("oneOf")
    if rules:
        told = ", ".join(f"{name}: {orjson.dumps(value).decode()}" for name, value in rules.items())
        said = found.get("description")
        found["description"] = f"{said} ({told})" if said else f"({told})"


def _inner(value: object, where: str) -> object:
    return closed(value, where) if isinstance(value, dict) else value
