"""What is wrong in guard.yaml, said with the place and with what to change."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def described(error: ValidationError, file: type[BaseModel], line_of: Callable[[Sequence[str | int]], str]) -> str:
    """Return all problems of a file of this shape, each with its line and path."""
    return "; ".join(f"{line_of(item['loc'])}{_path(item['loc'])}: {_reason(item, file)}" for item in error.errors())


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "the file"


_FORMS = {
    "canaries": "must hold ten letters or digits at least",
    "urls": "must be a host in small letters, such as example.com, without scheme, port and path",
    "language": "must be a code of two letters, such as en (ISO 639-1)",
    "phone_regions": "must be a country's code of two capitals, such as US (ISO 3166-1)",
    "topics": "may have small letters, digits and _ in its name, 40 at most",
    "policies": "may have letters, digits, _, . and - in its name, 100 at most",
}


def _form(location: tuple[int | str, ...]) -> str:
    return next((_FORMS[str(part)] for part in reversed(location) if part in _FORMS), "is not written as it must be")


def _unknown(location: Sequence[int | str], file: type[BaseModel]) -> str:
    known = sorted(_fields(location, file))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    if near:
        return f"there is no such field; did you mean {near[0]!r}?"
    return f"there is no such field; known are {', '.join(known)}" if known else "there is no such field"


def _fields(location: Sequence[int | str], file: type[BaseModel]) -> Sequence[str]:
    """Return the names of the fields that may stand beside the last step of a path."""
    here: Any = file
    for step in location[:-1]:
        known = _model_in(here)
        here = (
            known.model_fields[str(step)].annotation if known and str(step) in known.model_fields else _value_of(here)
        )
    found = _model_in(here)
    return list(found.model_fields) if found else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    tried = (annotation, *get_args(annotation))
    return next((one for one in tried if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _value_of(annotation: Any) -> Any:
    # Of a mapping the type of what stands below a name.
    inside = get_args(annotation)
    return inside[-1] if inside else None


def _reason(item: Any, file: type[BaseModel]) -> str:
    if item["type"] == "extra_forbidden":
        return _unknown(item["loc"], file)
    if item["input"] is None:
        return "is empty: give it a value, or leave its name out too"
    if "[key]" in item["loc"] and item["type"] == "literal_error":
        known = str(item["ctx"]["expected"])
        return f"no such name; known are {known.replace(' or ', ', ').replace(chr(39), '')}"
    if item["type"] == "tuple_type":
        return "must be a list"
    if item["type"] == "string_pattern_mismatch":
        return _form(item["loc"])
    message: str = item["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]
