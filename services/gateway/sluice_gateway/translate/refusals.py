"""Providers' error sentences, made fit to be shown to a caller."""

import orjson

from sluice_gateway.private_parts import without_private_parts
from sluice_gateway.translate.shapes import Json, Kind, Refusal

_SHOWN = frozenset({"request", "context", "content"})


def for_caller(kind: Kind, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> Refusal:
    """Return a refusal; its message is kept only where the caller can act on it, and without what is the operator's."""
    return Refusal(kind, without_private_parts(message) if kind in _SHOWN else "", param, retry_after_s)


def read(body: bytes) -> Json:
    """Return the object in an error's body, an empty one when there is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if type(found) is list and found and type(found[0]) is dict:
        return found[0]  # Gemini's streams answer errors in a list of one
    return found if type(found) is dict else {}
