"""Finds API keys, tokens and private keys of well-known formats."""

import binascii
import json
import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.token_formats import TOKEN_FORMATS

ASSIGNED = r"(?i:passw(?:or)?d|passwd|\bpwd|\bsecret|(?:api|access|auth|secret|private|signing|encryption|client|account|refresh|bot)[_ -]?(?:key|token|secret))"

_AWS_SECRET = re.compile(
    r"(?<![a-z])(?:aws[_ -]?)?secret(?:[_ -]?access)?(?:[_ -]?key)?[\"']?\s{0,2}[=:]\s{0,4}[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\bbearer\s{1,4}([A-Za-z0-9._~+/=-]{20,4096})", re.IGNORECASE)
_JWT = re.compile(r"(?<![A-Za-z0-9_.-])(eyJ[A-Za-z0-9_-]{8,2000})\.([A-Za-z0-9_-]{8,8000})\.([A-Za-z0-9_-]{0,2000})")
# The name of a secret, a sign, and a value in which letters and digits stand: `API_KEY=…`, `"password": "…"`.
_ASSIGNED = re.compile(
    ASSIGNED
    + r"[\"'`]?\s{0,3}(?:=>|:=|=|:)\s{0,3}(?P<quote>[\"'`]?)(?P<value>[A-Za-z0-9+/_.~!@#%^&*?=-]{8,200})(?P=quote)(?![A-Za-z0-9+/_.~!@#%^&*?=(\[{-])"
)
_LEAST_UNQUOTED = 12
_PLACEHOLDER = re.compile(
    r"(?i)example|changeme|placeholder|your|dummy|redacted|\*{3}|x{4}|1234567890?\Z|env[._]|\.{3}"
)
_URL_PASSWORD = re.compile(r"://[^\s/@:]{0,64}:([^\s/@]{1,128})@")
_BASIC = re.compile(r"\bbasic\s{1,4}([A-Za-z0-9+/]{8,400}={0,2})(?![A-Za-z0-9+/=])", re.IGNORECASE)
_CURL_PASSWORD = re.compile(r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user)[ =]{0,2}[\"']?[^\s:\"'$]{1,64}:([^\s\"'$<{]{1,128})")
# PEM, the four dashes of RFC 4716, and PuTTY's own files; a key that was cut off is hidden to the end of the text.
_KEY_BEGIN = re.compile(
    r"-{4,5} ?BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-[0-9]:"
)
_KEY_END = re.compile(
    r"-{4,5} ?END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-MAC: ?[0-9a-f]{40,64}"
)


def find_secrets(text: str) -> Iterator[Finding]:
    """Yield credentials; the finding's kind names the format."""
    for token in TOKEN_FORMATS:
        if token.needle in text:
            for match in token.pattern.finditer(text):
                yield Finding("secret", "secret", token.kind, match.start(), match.end(), token.score)
    if "eyJ" in text:
        yield from _jwts(text)
    if "PRIVATE KEY" in text or "PuTTY-User-Key" in text:
        yield from _private_keys(text)
    yield from _in_context(text)
    yield from _assigned(text)


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
    if "curl" in low:
        shown.append(("password", _CURL_PASSWORD, 0.9))
    for kind, pattern, score in shown:
        for match in pattern.finditer(text):
            yield Finding("secret", "secret", kind, match.start(1), match.end(1), score)
    if "basic" in low:
        for match in _BASIC.finditer(text):
            if _names_a_password(match.group(1)):
                yield Finding("secret", "secret", "basic_credentials", match.start(1), match.end(1), 0.95)


def _names_a_password(encoded: str) -> bool:
    # RFC 7617: name and password with a colon between them.
    try:
        said = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
    except ValueError:
        return False
    return ":" in said and said.isprintable()


def _assigned(text: str) -> Iterator[Finding]:
    for match in _ASSIGNED.finditer(text):
        value = match.group("value")
        mixed = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
        long_enough = bool(match.group("quote")) or len(value) >= _LEAST_UNQUOTED
        if mixed and long_enough and _PLACEHOLDER.search(value) is None:
            yield Finding("secret", "secret", "assigned_secret", *match.span("value"), 0.75)


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
    begin = _KEY_BEGIN.search(text)
    while begin is not None:
        end = _KEY_END.search(text, begin.end())
        stop = end.end() if end is not None else len(text)
        yield Finding("secret", "secret", "private_key", begin.start(), stop, 1.0)
        begin = _KEY_BEGIN.search(text, stop)
