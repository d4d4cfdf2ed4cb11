"""What a provider's sentence tells of the operator: addresses, files, accounts, keys, request ids."""

import re

_PRIVATE = re.compile(
    r"\barn:[\w-]*:\S*[\w/]"
    r"|\bprojects/[\w./:-]*[\w/]"
    r"|\b(?:req|request|org|acct|wrkspc|proj)[_-][A-Za-z0-9_-]{8,}"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b(?:sk|pk|AIza|AKIA|ABSK)[A-Za-z0-9_*-]{8,}"
    r"|\b(?:sk|pk|key|[Bb]earer)[-_ ][A-Za-z0-9_*.-]{8,}"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|(?<![\w.])/(?:[\w.-]+/)+[\w.-]+",
    re.ASCII,
)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.ASCII | re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST = 300


def without_private_parts(sentence: str) -> str:
    """Return a provider's sentence without them, on one line, of at most 300 characters."""
    text = _URL.sub("…", _UNPRINTABLE.sub(" ", sentence))
    text = " ".join(_PRIVATE.sub("…", text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
