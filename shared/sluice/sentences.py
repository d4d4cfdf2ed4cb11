"""Says what is wrong with a request, and what to change, in the caller's words instead of the validator's."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# pydantic's error types; its own texts speak of classes, tuples and validation. {x} are fields of the error's context.
_SAID = {
    "missing": "is missing; add it",
    "extra_forbidden": "is not known here; remove it",
    "string_type": "must be a string",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must have the form {pattern}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_long": "must have at most {max_length} entries",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "union_tag_invalid": "must have as {discriminator} one of {expected_tags}",
    "union_tag_not_found": "must have a {discriminator}",
}
_SHORT = {"string_too_short": ("must not be empty", "characters"), "too_short": ("must not be empty", "entries")}
# Where pydantic tried several types for one field, the place ends with a name for the type.
_BRANCH = re.compile(r".*[\[(].*|(?:constrained|function|lax|nullable|tagged)-.*|str|int|float|bool|list|dict|none")
_LONGEST_PLACE = 12  # parts of a field's path that are told; a deeper place leaves out its middle
_SOURCES = frozenset({"body", "query", "path", "header", "cookie", "form"})


class Fault(NamedTuple):
    """One thing that is wrong: where it came from (`body`, `query` …), the field's path, and a sentence."""

    source: str
    field: str
    sentence: str

    @property
    def place(self) -> str:
        """Source and field with dots, such as `body.items.0.prompt`."""
        return ".".join(part for part in (self.source, self.field) if part)


def faults(errors: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """Return the faults behind pydantic's or FastAPI's errors; what was tried for one field becomes one sentence."""
    found: dict[tuple[str, str], list[str]] = {}
    for error in without_consequences(errors):
        source, field = _place(error["loc"] if error["type"] != "json_invalid" else error["loc"][:1])
        said = said_of(error)
        known = found.setdefault((source, field), [])
        if said not in known:
            known.append(said)
    return tuple(Fault(*place, _sentence(*place, said)) for place, said in found.items())


def without_consequences(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the errors without those of lists that only seem too short, because an item of theirs is wrong."""
    return [one for one in errors if not (one["type"] == "too_short" and _holds_another(one["loc"], errors))]


def _holds_another(place: Sequence[str | int], errors: Sequence[Mapping[str, Any]]) -> bool:
    return any(len(one["loc"]) > len(place) and one["loc"][: len(place)] == place for one in errors)


def is_broken_json(errors: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the body could not even be read."""
    return any(error["type"] == "json_invalid" for error in errors)


class Unreadable(NamedTuple):
    """Why a body could not even be parsed: an error's code, and a sentence."""

    code: str
    sentence: str


def unreadable(cause: BaseException | None) -> Unreadable | None:
    """Return what is wrong with a body, by the error that parsing it led to; None for any other error."""
    if isinstance(cause, RecursionError):
        return Unreadable("too_deep", "In the body objects and lists are nested too deep. Send it flatter.")
    if isinstance(cause, UnicodeDecodeError):
        return Unreadable("invalid_json", "The body is not valid JSON: it is not UTF-8. Correct it and send it again.")
    return None


def _place(loc: Sequence[str | int]) -> tuple[str, str]:
    source, rest = (str(loc[0]), loc[1:]) if loc and loc[0] in _SOURCES else ("", loc)
    parts = [str(part) for part in rest]
    while len(parts) > 1 and _BRANCH.fullmatch(parts[-1]):
        parts.pop()
    if len(parts) > _LONGEST_PLACE:
        parts = [*parts[: _LONGEST_PLACE // 2], "…", *parts[-(_LONGEST_PLACE // 2) :]]
    return source, ".".join(parts)


def said_of(error: Mapping[str, Any]) -> str:
    """Return what one of pydantic's errors says, in words that follow a field's name; a validator's own sentence begins with a colon."""
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "json_invalid":
        return f"is not valid JSON: {context.get('error', 'it cannot be read')}"
    try:
        return _known(kind, context)
    except KeyError:  # a kind without words here, or one that came without its context
        own = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
        return f": {own}"


def _known(kind: str, context: Mapping[str, Any]) -> str:
    if kind in _SHORT:
        empty, unit = _SHORT[kind]
        least = context["min_length"]
        return empty if least == 1 else f"must have at least {least} {unit}"
    return _SAID[kind].format_map(context)


def _sentence(source: str, field: str, said: Sequence[str]) -> str:
    joined = " or ".join(said)
    if not field:
        return _of_whole(source, joined)
    return f"`{field}`{'' if joined.startswith(':') else ' '}{joined}."


def _of_whole(source: str, said: str) -> str:
    if said == "must be an object" and source == "body":
        return "The body must be a JSON object, sent with `Content-Type: application/json`."
    if said.startswith(":"):
        text = said.removeprefix(": ")
        return f"{text[:1].upper()}{text[1:]}."
    return f"The {source or 'input'} {said}."
