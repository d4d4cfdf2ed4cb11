"""What is wrong in a configuration file, said with the place and with what to change."""

import difflib
from collections.abc import Collection, Sequence
from typing import Any

from pydantic import ValidationError


def described(error: ValidationError, raw: Any, fields: Collection[str]) -> str:
    """Return all problems in one line: path in the file, name of the entry, what is wrong; `fields` may be suggested."""
    return "; ".join(_described(item["loc"], item["type"], item["msg"], raw, fields) for item in error.errors())


def _described(place: Sequence[str | int], kind: str, message: str, raw: Any, fields: Collection[str]) -> str:
    if kind == "extra_forbidden":
        return f"{_path(place, raw)}: there is no such field{_suggestion(str(place[-1]), fields)}"
    if kind == "missing":
        return f"{_path(place, raw)}: this field is missing; add it"
    said = message.removeprefix("Value error, ")
    if kind == "string_pattern_mismatch" and place and place[-1] == "base_url":
        said = "this must be an http:// or https:// URL without a query, such as https://api.openai.com/v1"
    if not place:
        return said if kind == "value_error" else f"the file: {said}"
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
