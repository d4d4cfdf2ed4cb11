"""JSON in a model's answer: found, and checked against a schema within limits."""

import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing.exceptions import Unresolvable

from sluice_eval.domain.patterns import PatternInvalid, compile_pattern

MAX_SCHEMA_BYTES = 65_536
MAX_DEPTH = 40
_MAX_STARTS = 64
_MAX_REFERENCES = 5_000
_FENCE = re.compile(r"```[A-Za-z]*[ \t]*\n(.*?)```", re.DOTALL)
_OPENING = re.compile(r"[{\[]")


class SchemaInvalid(ValueError):
    """The schema cannot be used."""


class NoJson(ValueError):
    """The answer holds no JSON."""


class CannotBeChecked(ValueError):
    """Checking would take more than the limits allow."""


def check_schema(schema: dict[str, Any]) -> None:
    """Accept a schema for use.

    Raises:
        SchemaInvalid: it is no JSON Schema of 2020-12, too large, too deep, or refers to something outside of itself.
    """
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise SchemaInvalid(f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")
    if _depth(schema) > MAX_DEPTH:
        raise SchemaInvalid(f"the schema is nested deeper than {MAX_DEPTH} levels")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as exc:
        raise SchemaInvalid(f"it is not a valid JSON Schema: {exc.message[:300]}") from exc
    for keyword, value in _keywords(schema):
        _check_keyword(keyword, value)


def find_json(answer: str) -> Any:
    """Return the JSON value of an answer: all of it, a fenced block, or the first object or array inside the text.

    Raises:
        NoJson: there is none.
    """
    for candidate in (answer.strip(), *(match.group(1).strip() for match in _FENCE.finditer(answer))):
        try:
            return _DECODER.decode(candidate)
        except (ValueError, RecursionError):
            continue
    for tried, match in enumerate(_OPENING.finditer(answer)):
        if tried >= _MAX_STARTS:
            break
        try:
            return _DECODER.raw_decode(answer, match.start())[0]
        except (ValueError, RecursionError):
            continue
    raise NoJson("the answer holds no JSON")


def first_problem(value: Any, schema: dict[str, Any]) -> str | None:
    """Return why a value is not valid, or None if it is.

    Raises:
        CannotBeChecked: the value is too deep, or the schema refers to itself without end.
    """
    if _depth(value) > MAX_DEPTH:
        raise CannotBeChecked(f"the JSON is nested deeper than {MAX_DEPTH} levels")
    try:
        error = next(iter(_bounded_validator()(schema).iter_errors(value)), None)
    except RecursionError as exc:
        raise CannotBeChecked("the schema refers to itself without end") from exc
    except Unresolvable as exc:
        raise CannotBeChecked(f"the schema refers to {exc.ref}, which is not in it") from exc
    return None if error is None else f"{error.json_path}: {error.message[:300]}"


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def _bounded_validator() -> Any:
    # Made anew for each check, because it counts: references that branch could otherwise double with every level.
    followed = 0
    plain_ref = Draft202012Validator.VALIDATORS["$ref"]

    def ref(validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        nonlocal followed
        followed += 1
        if followed > _MAX_REFERENCES:
            raise CannotBeChecked("the schema's references multiply beyond the limit")
        yield from plain_ref(validator, reference, instance, schema) or ()

    bounded = {"$ref": ref, "pattern": _pattern, "patternProperties": _pattern_properties}
    return extend(Draft202012Validator, bounded)  # type: ignore[no-untyped-call] # the stubs leave it untyped


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        compiled = compile_pattern(pattern)
        for key, value in instance.items():
            if compiled.search(key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _check_keyword(keyword: str, value: Any) -> None:
    if keyword == "$ref" and isinstance(value, str) and not value.startswith("#"):
        raise SchemaInvalid(f"$ref {value[:100]!r} points outside of the schema")
    if keyword in ("$dynamicRef", "$recursiveRef"):
        raise SchemaInvalid(f"{keyword} is not supported")
    patterns: list[str] = []
    if keyword == "pattern" and isinstance(value, str):
        patterns = [value]
    elif keyword == "patternProperties" and isinstance(value, dict):
        patterns = list(value)
    for pattern in patterns:
        try:
            compile_pattern(pattern)
        except PatternInvalid as exc:
            raise SchemaInvalid(str(exc)) from exc


def _keywords(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key), value
            yield from _keywords(value)
    elif isinstance(node, list):
        for value in node:
            yield from _keywords(value)


def _depth(node: Any) -> int:
    # Level by level, because what is measured may be too deep to recurse into.
    level, depth = [node], 0
    while level:
        depth += 1
        children: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                children.extend(item.values())
            elif isinstance(item, list):
                children.extend(item)
        if depth > MAX_DEPTH:
            return depth
        level = children
    return depth
