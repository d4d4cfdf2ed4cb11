"""What is wrong in engines.yaml, said with the place and with what to change."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from sluice.sentences import said_of, without_consequences
from sluice_inference.domain.specs import Hardware, LlamaCppSpec, RemoteSpec, ScalingGroup, Speculation, VllmSpec

_BACKENDS: dict[object, type[BaseModel]] = {"llamacpp": LlamaCppSpec, "vllm": VllmSpec, "remote": RemoteSpec}
_PARTS: dict[object, type[BaseModel]] = {"speculation": Speculation, "hardware": Hardware}


def described(error: ValidationError, line_of: Callable[[Sequence[str | int]], str]) -> str:
    """Return all problems with their lines and places."""
    return "; ".join(f"{line_of(item['loc'])}{_sentence(item)}" for item in without_consequences(error.errors()))


def _sentence(item: Any) -> str:
    place: tuple[str | int, ...] = item["loc"]
    shown = [
        part for number, part in enumerate(place) if not (number == 2 and place[0] == "engines" and part in _BACKENDS)
    ]
    path = ".".join(map(str, shown)) or "file"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), sorted(_fields(place)), n=1)
        return f"{path}: there is no such field{f'; did you mean {near[0]!r}?' if near else '; remove it'}"
    if item["type"] == "missing":
        return f"{path}: this field is missing; add it"
    if item["type"] == "value_error":
        return f"{path}: {item['msg'].removeprefix('Value error, ')}"
    return f"{path}: {said_of(item).removeprefix(': ')}"


def _fields(place: Sequence[str | int]) -> Iterable[str]:
    if place[0] == "scaling":
        return ScalingGroup.model_fields
    part = _PARTS.get(place[-2]) if len(place) > 1 else None
    return (part or next((_BACKENDS[one] for one in place if one in _BACKENDS), LlamaCppSpec)).model_fields
