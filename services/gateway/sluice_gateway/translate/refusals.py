"""Providers' error sentences, made fit to be shown to a caller."""

import re

import orjson

from sluice_gateway.translate.shapes import Json, Kind, Refusal

_SHOWN = frozenset({"request", "context", "content"})
# what a provider's sentence may tell of the operator's account: addresses, resource names, request ids, keys, paths
_PRIVATE = re.compile(
    r"\b[a-z][a-z0-9+.-]*://\S+"
    r"|\barn:[\w-]*:\S*[\w/]"
    r"|\bprojects/[\w./:-]*[\w/]"
    r"|\b(?:req|request|org|acct|wrkspc|proj)[_-][A-Za-z0-9_-]{8,}"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b(?:sk|pk|AIza|AKIA|ABSK)[A-Za-z0-9_-]{8,}"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|(?<![\w.])/(?:[\w.-]+/)+[\w.-]+",
    re.ASCII,
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST = 300


def for_caller(kind: Kind, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> Refusal:
    """Return a refusal; its message is kept only where the caller can act on it, and without what is the operator's."""
    return Refusal(kind, clean(message) if kind in _SHOWN else "", param, retry_after_s)


def clean(message: str) -> str:
    """Return a sentence without private parts, on one line and not too long."""
    text = " ".join(_PRIVATE.sub("…", _UNPRINTABLE.sub(" ", message)).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def read(body: bytes) -> Json:
    """Return the object in an error's body, an empty one when there is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if type(found) is list and found and type(found[0]) is dict:
        return found[0]  # Gemini's streams answer errors in a list of one
    return found if type(found) is dict else {}
