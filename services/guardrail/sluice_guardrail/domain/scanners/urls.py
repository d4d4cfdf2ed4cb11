"""Finds URLs that a policy denies, and such as hide where they lead or carry data out."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.scanners.rules import UrlRules

_URL = re.compile(
    r"(?i)(?:\b(?:https?|ftp|wss?|file|javascript|data):(?://)?|(?<=[(=\"'<])//(?=[a-z0-9\u0080-\uffff]))[^\s<>\"'`{}|\\^\[\]]{1,2000}"
)
# Markdown's images, also by a reference (`![x][1]` and `[1]: https://…`), and HTML's.
_IMAGE = re.compile(r"!\[[^\]\n]{0,200}\]\(\s{0,3}<?\Z|(?i:<img\s[^>]{0,150}src)\s{0,3}=\s{0,3}[\"']?\Z")
_REFERENCE = re.compile(r"(?:^|\n) {0,3}\[([^\]\n]{1,100})\]:\s{0,3}<?\Z")
_SLASHES = re.compile(r"(?i)^(https?|ftp|wss?):/*")
_DOTS = re.compile("[\u3002\uff0e\uff61]")  # as browsers read them (UTS 46)
_TRAILING = ".,;:!?)*_"
_CARRIED = 24
_ACTIVE = frozenset({"javascript", "data", "file"})


def find_urls(text: str, rules: UrlRules) -> Iterator[Finding]:
    """Yield URLs that should be looked at; a URL of an allowed host that hides nothing is none."""
    if ":" not in text and "//" not in text:
        return
    for match in _URL.finditer(text):
        url = match.group().rstrip(_TRAILING)
        before = text[max(0, match.start() - 210) : match.start()]
        judged = _judged(url, rules, image=_is_image(text, before))
        if judged is not None:
            kind, score, reason = judged
            yield Finding("url", "urls", kind, match.start(), match.start() + len(url), score, reason)


def _is_image(text: str, before: str) -> bool:
    if _IMAGE.search(before):
        return True
    named = _REFERENCE.search(before)
    return named is not None and (f"][{named[1]}]" in text or f"![{named[1]}]" in text)


def _judged(url: str, rules: UrlRules, *, image: bool) -> tuple[str, float, str] | None:
    scheme = url.partition(":")[0].lower()
    if scheme in _ACTIVE:
        return "active_scheme", 0.9, "a URL that runs code or holds a document"
    try:
        parts = urlsplit(_SLASHES.sub(r"\1://", url))  # browsers take `https:host` and `https:///host` for the same
        host = _DOTS.sub(".", unquote(parts.hostname or "")).rstrip(".")
    except ValueError:
        return "malformed", 0.6, "a URL whose host cannot be read"
    if _covered(host, rules.deny):
        return "denied_host", 1.0, "the policy denies this host"
    if rules.allow:
        return None if _covered(host, rules.allow) else ("unlisted_host", 0.9, "the policy does not list this host")
    if image and len(unquote(parts.query)) + len(unquote(parts.fragment)) >= _CARRIED:
        return "carries_data", 0.9, "an image that would send text of the conversation to its host"
    if parts.username is not None:
        return "hidden_host", 0.8, "what stands before the @ looks like the host and is not"
    if host.startswith("xn--") or ".xn--" in host:
        return "punycode_host", 0.6, "letters of other scripts may imitate another host"
    return ("numeric_host", 0.6, "a number stands in the place of a host") if _is_number(host) else None


def _covered(host: str, listed: Sequence[str]) -> bool:
    return any(entry == "*" or host == entry or host.endswith("." + entry.removeprefix("*.")) for entry in listed)


def _is_number(host: str) -> bool:
    if host.isdigit() or host.startswith("0x"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
