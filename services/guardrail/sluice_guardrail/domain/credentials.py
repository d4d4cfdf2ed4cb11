"""Finds API keys, tokens and private keys of well-known formats."""

import binascii
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass

from sluice_guardrail.domain.findings import Finding

_EDGE = r"(?<![A-Za-z0-9_-])"
_END = r"(?![A-Za-z0-9_-])"


@dataclass(frozen=True, slots=True)
class TokenFormat:
    """A credential with a fixed prefix: `needle` must occur before `pattern` is tried."""

    kind: str
    needle: str
    pattern: re.Pattern[str]
    score: float = 0.95


def _format(kind: str, needle: str, body: str, score: float = 0.95) -> TokenFormat:
    return TokenFormat(kind, needle, re.compile(f"{_EDGE}{body}"), score)


# Each pattern starts at the edge of a word and has a bounded or single repeated class: no position is read twice.
FORMATS: tuple[TokenFormat, ...] = (
    *(_format("aws_access_key", prefix, f"{prefix}[A-Z2-7]{{16}}{_END}") for prefix in ("AKIA", "ASIA")),
    *(_format("github_token", f"gh{kind}_", f"gh{kind}_[A-Za-z0-9]{{36,255}}{_END}") for kind in "pousr"),
    _format("github_token", "github_pat_", f"github_pat_[A-Za-z0-9_]{{40,255}}{_END}"),
    _format("gitlab_token", "glpat-", "glpat-[A-Za-z0-9_-]{20,255}"),
    _format("api_key", "sk-", r"sk-(?=[A-Za-z0-9_-]{0,200}[0-9])[A-Za-z0-9_-]{20,400}", 0.9),
    _format("slack_token", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,255}"),
    _format("stripe_key", "k_live_", f"[rs]k_live_[A-Za-z0-9]{{16,255}}{_END}"),
    _format("stripe_key", "k_test_", f"[rs]k_test_[A-Za-z0-9]{{16,255}}{_END}"),
    _format("google_api_key", "AIza", f"AIza[A-Za-z0-9_-]{{35}}{_END}"),
    _format("huggingface_token", "hf_", f"hf_[A-Za-z0-9]{{30,255}}{_END}"),
    _format("npm_token", "npm_", f"npm_[A-Za-z0-9]{{36}}{_END}"),
    _format("pypi_token", "pypi-", "pypi-AgEI[A-Za-z0-9_-]{50,1000}"),
)

_AWS_SECRET = re.compile(
    r"(?<![a-z])(?:aws[_ -]?)?secret(?:[_ -]?access)?(?:[_ -]?key)?[\"']?\s{0,2}[=:]\s{0,4}[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\bbearer\s{1,4}([A-Za-z0-9._~+/=-]{20,4096})", re.IGNORECASE)
_JWT = re.compile(r"(?<![A-Za-z0-9_.-])(eyJ[A-Za-z0-9_-]{8,2000})\.([A-Za-z0-9_-]{8,8000})\.([A-Za-z0-9_-]{0,2000})")
_URL_PASSWORD = re.compile(r"://[^\s/@:]{0,64}:([^\s/@]{1,128})@")
_PEM_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")


def find_secrets(text: str) -> Iterator[Finding]:
    """Yield credentials; the finding's kind names the format."""
    for token in FORMATS:
        if token.needle in text:
            for match in token.pattern.finditer(text):
                yield Finding("secret", "secret", token.kind, match.start(), match.end(), token.score)
    if "eyJ" in text:
        yield from _jwts(text)
    if "PRIVATE KEY" in text:
        yield from _private_keys(text)
    yield from _in_context(text)


def _in_context(text: str) -> Iterator[Finding]:
    """Yield what only the words around it show to be a secret."""
    low = text.lower()
    shown: list[tuple[str, re.Pattern[str], float]] = []
    if "://" in text and "@" in text:
        shown.append(("url_password", _URL_PASSWORD, 0.97))
    if "bearer" in low:
        shown.append(("bearer_token", _BEARER, 0.8))
    if "aws" in low:
        shown.append(("aws_secret_key", _AWS_SECRET, 0.95))
    for kind, pattern, score in shown:
        for match in pattern.finditer(text):
            yield Finding("secret", "secret", kind, match.start(1), match.end(1), score)


def _jwts(text: str) -> Iterator[Finding]:
    for match in _JWT.finditer(text):
        if _is_token_header(match.group(1)):
            yield Finding("secret", "secret", "jwt", match.start(), match.end(), 0.97)


def _is_token_header(encoded: str) -> bool:
    try:
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


def _private_keys(text: str) -> Iterator[Finding]:
    begin = _PEM_BEGIN.search(text)
    while begin is not None:
        end = _PEM_END.search(text, begin.end())
        # A key that was cut off is hidden to the end of the text.
        stop = end.end() if end is not None else len(text)
        yield Finding("secret", "secret", "private_key", begin.start(), stop, 1.0)
        begin = _PEM_BEGIN.search(text, stop)
