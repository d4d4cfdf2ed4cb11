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
    _format("sendgrid_key", "SG.", rf"SG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}{_END}"),
    _format("twilio_key", "SK", f"SK[0-9a-f]{{32}}{_END}"),
    _format("telegram_token", ":AA", f"[0-9]{{8,10}}:AA[A-Za-z0-9_-]{{33}}{_END}"),
    _format("azure_key", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    _format(
        "slack_webhook",
        "hooks.slack.com/services/",
        r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30}",
    ),
    *(
        _format("shopify_token", f"shp{kind}_", f"shp{kind}_[A-Fa-f0-9]{{32}}{_END}")
        for kind in ("at", "ca", "pa", "ss")
    ),
    _format("digitalocean_token", "dop_v1_", f"dop_v1_[a-f0-9]{{64}}{_END}"),
    _format("databricks_token", "dapi", f"dapi[a-f0-9]{{32}}{_END}"),
    _format("vault_token", "hvs.", r"hvs\.[A-Za-z0-9_-]{24,300}"),
    _format("grafana_token", "glsa_", f"glsa_[A-Za-z0-9]{{32}}_[A-Fa-f0-9]{{8}}{_END}"),
    _format("docker_token", "dckr_pat_", "dckr_pat_[A-Za-z0-9_-]{27}"),
    _format("linear_key", "lin_api_", f"lin_api_[A-Za-z0-9]{{40}}{_END}"),
    _format("postman_key", "PMAK-", f"PMAK-[a-f0-9]{{24}}-[a-f0-9]{{34}}{_END}"),
    _format("newrelic_key", "NRAK-", f"NRAK-[A-Z0-9]{{27}}{_END}"),
    _format("age_key", "AGE-SECRET-KEY-1", f"AGE-SECRET-KEY-1[A-Z0-9]{{58}}{_END}"),
    *(
        _format("api_key", prefix, f"{prefix}[A-Za-z0-9_-]{{32,120}}{_END}", 0.9)
        for prefix in ("gsk_", "xai-", "pplx-", "r8_", "tvly-", "lsv2_")
    ),
)
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
    for kind, pattern, score in shown:
        for match in pattern.finditer(text):
            yield Finding("secret", "secret", kind, match.start(1), match.end(1), score)


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
    begin = _PEM_BEGIN.search(text)
    while begin is not None:
        end = _PEM_END.search(text, begin.end())
        # A key that was cut off is hidden to the end of the text.
        stop = end.end() if end is not None else len(text)
        yield Finding("secret", "secret", "private_key", begin.start(), stop, 1.0)
        begin = _PEM_BEGIN.search(text, stop)
