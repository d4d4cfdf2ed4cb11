"""Taking values out of a request that nobody has checked, with errors that name the place."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import orjson

from sluice_gateway import nesting
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.shapes import Json

Word = TypeVar("Word", bound=str)


def mapping(value: object, where: str) -> Json:
    """Return an object."""
    if type(value) is not dict:
        raise Untranslatable(where, "must be an object.")
    return value


def items(value: object, where: str) -> list[Any]:
    """Return a list."""
    if type(value) is not list:
        raise Untranslatable(where, "must be a list.")
    return value


def text(value: object, where: str) -> str:
    """Return a string."""
    if type(value) is not str:
        raise Untranslatable(where, "must be a string.")
    return value


def whole(value: object, where: str, least: int = 1) -> int:
    """Return a whole number."""
    if type(value) is not int or value < least:
        raise Untranslatable(where, f"must be a whole number of at least {least}.")
    return value


def number(value: object, where: str, low: float, high: float) -> float:
    """Return a number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Untranslatable(where, f"must be a number from {low:g} to {high:g} for this model.")
    return value


def named(value: Json, name: str, where: str) -> str:
    """Return a string member that must not be empty."""
    found = text(value.get(name), f"{where}.{name}")
    if not found:
        raise Untranslatable(f"{where}.{name}", "must not be empty.")
    return found


def strings(value: object, where: str) -> list[str]:
    """Return a list of strings, also when one string stands for a list of one."""
    if type(value) is str:
        return [value]
    return [text(item, f"{where}[{place}]") for place, item in enumerate(items(value, where))]


def one_of(value: object, where: str, allowed: Collection[Word]) -> Word:
    """Return a string out of a closed set."""
    for word in allowed:
        if value == word:
            return word
    raise Untranslatable(where, f"must be one of {', '.join(allowed)}.")


def json_object(value: object, where: str) -> Json:
    """Return the object that a string holds as JSON; an empty string is an empty object."""
    raw = text(value, where)
    if not raw.strip():
        return {}
    try:
        found = nesting.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise Untranslatable(where, f"must be a JSON object as a string, and is not valid JSON: {exc.msg}.") from exc
    return mapping(found, where)


def only(fields: Json, handled: Collection[str], neutral: Mapping[str, tuple[object, ...] | None], other: str) -> None:
    """Refuse every field that is neither handled nor without effect.

    `neutral` names fields that may be left out: whatever their value (None), or with one of the given values.
    """
    for name, value in fields.items():
        if value is None or name in handled:
            continue
        if name not in neutral:
            raise Untranslatable(name, f"has no counterpart on {other}. Leave it out, or use another model.")
        values = neutral[name]
        if values is not None and value not in values:
            shown = orjson.dumps(values[0]).decode()
            raise Untranslatable(
                name,
                f"cannot be honoured on {other}: only {shown} has a counterpart. Leave it out, or use another model.",
            )
