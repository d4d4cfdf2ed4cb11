"""What is wrong in a configuration file, said with the place and with what to change."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from sluice.sentences import said_of, without_consequences
from sluice_router.domain.base_url import WANTED

Lines = Callable[[Sequence[str | int]], str]
_PLACE = re.compile(r"(models|routes|policies|aliases)\[(\d+)\](?: \([^)]*\))?((?:\.\w+)*)")


def described(error: ValidationError, raw: Any, fields: Collection[str], line_of: Lines = lambda _: "") -> str:
    """Return all problems: line and path in the file, name of the entry, what is wrong; `fields` may be suggested."""
    return "; ".join(
        said for item in without_consequences(error.errors()) for said in _described(item, raw, fields, line_of)
    )


def _described(item: Mapping[str, Any], raw: Any, fields: Collection[str], line_of: Lines) -> Iterable[str]:
    place = item["loc"]
    if place or item["type"] != "value_error":
        yield line_of(place) + _sentence(place, item, raw, fields)
        return
    for said in item["msg"].removeprefix("Value error, ").split("; "):  # of references between the parts of a file
        found = _PLACE.match(said)
        yield (line_of(_steps(found)) if found else "") + said


def _steps(found: re.Match[str]) -> list[str | int]:
    section, number, rest = found.groups()
    return [section, int(number), *rest.split(".")[1:]]


def _sentence(place: Sequence[str | int], item: Mapping[str, Any], raw: Any, fields: Collection[str]) -> str:
    kind = item["type"]
    if kind == "extra_forbidden":
        return f"{_path(place, raw)}: there is no such field{_suggestion(str(place[-1]), fields)}"
    if kind == "missing":
        return f"{_path(place, raw)}: this field is missing; add it"
    said = said_of(item).removeprefix(": ")
    if kind == "string_pattern_mismatch" and place and place[-1] == "base_url":
        said = WANTED
    if not place:
        return f"the file: {said}"
    return f"{_path(place, raw)}: {said[:1].lower()}{said[1:]}"


def _path(place: Sequence[str | int], raw: Any) -> str:
    out, here = "", raw
    for step in place:
        here = _inside(here, step)
        if isinstance(step, int):
            name = here.get("name") or here.get("id") if isinstance(here, dict) else None
            out += f"[{step}]" + (f" ({name})" if isinstance(name, str) else "")
        else:
            out += f".{step}" if out else step
    return out


def _inside(here: Any, step: str | int) -> Any:
    if isinstance(here, dict):
        return here.get(step)
    if isinstance(here, list) and isinstance(step, int) and step < len(here):
        return here[step]
    return None


def _suggestion(name: str, fields: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(fields), n=1)
    return f"; did you mean {near[0]!r}?" if near else "; remove it"
