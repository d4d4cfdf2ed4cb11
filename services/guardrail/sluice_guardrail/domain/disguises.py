"""Reads a text through the disguises that hide an order from a pattern and not from a model.

Each reading leads back to the original: one of equal length character by character, a decoded one to the span that it
was decoded from. A disguise is looked for only where its marks occur, so a plain text pays a few scans.
"""

import binascii
import codecs
import re
from base64 import b32decode, b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

from sluice_guardrail.domain.gates import Gates

_MAX_DECODED = 8
_MAX_MIRRORED = 20_000
_READABLE = 0.8
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,4000}={0,2}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:]?){10,4000}(?![0-9A-Za-z])")
_BASE32 = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z2-7]{24,6000}|[a-z2-7]{24,6000})(?![A-Za-z0-9])={0,6}")
_BINARY = re.compile(r"(?<![0-9A-Za-z])(?:(?:0b)?[01]{8}[ ,_]{0,2}){8,8000}(?![0-9A-Za-z])")
_BINARY_NOISE = re.compile(r"0b|[ ,_]")
_HEX_NOISE = re.compile(r"\\x|0x|[ ,:]")
_PERCENT = re.compile(r"[A-Za-z]{0,20}(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~+-]{0,20}){3,400}")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*|/]{1,3}){7,2000}\w(?!\w)")
_GAP = re.compile(r"[ .\-_*|/]{2,3}")
_ESCAPED = re.compile(r"(?:\\[\s\S]){12,4000}")
_ENTITIES = re.compile(r"(?:&#(?:x[0-9A-Fa-f]{1,6}|[0-9]{1,7});[ \w.,!?'-]{0,3}){8,4000}")
_UNICODE = re.compile(r"(?:\\u[0-9A-Fa-f]{4}[ .,!?-]{0,2}){8,4000}")
_UNICODE_ONE = re.compile(r"\\u([0-9A-Fa-f]{4})")
_JOINED = re.compile(
    r"(ignore|disregard|forget|override|bypass|reveal|print|repeat|show|output|all|any|the|your|my|of|and|to|previous|prior"
    r"|above|earlier|system|hidden|secret|initial|prompt|instructions?|rules|guidelines|restrictions|safety|now|you|are|me)"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as a model may read it; `aligned` says that its characters stand where those of the original stand."""

    text: str
    start: int
    end: int
    aligned: bool = False
    mirrored: bool = False

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text for reading[start:end]."""
        return (start, end) if self.aligned else (self.start, self.end)


def readings(text: str) -> Iterator[Reading]:
    """Yield what a folded text says when its disguises are taken off; nothing for a text that wears none."""
    worn = _WORN.opened_by(text)
    for name, (pattern, decode) in _DECODERS.items():
        if name in worn or (name == "spaced" and not text.isascii()):
            yield from _decoded(text, pattern, decode)
    if len(text) <= _MAX_MIRRORED:
        yield Reading(codecs.encode(text, "rot13"), 0, len(text), aligned=True, mirrored=True)
        yield Reading(text[::-1], 0, len(text), mirrored=True)


def _decoded(text: str, pattern: re.Pattern[str], decode: Callable[[str], str | None]) -> Iterator[Reading]:
    count = 0
    for match in pattern.finditer(text):
        hidden = decode(match.group())
        if hidden is not None and hidden.strip():
            yield Reading(hidden, match.start(), match.start() + len(match.group().rstrip(" ,:")))
            count += 1
            if count == _MAX_DECODED:
                return


def _from_base64(written: str) -> str | None:
    plain = written.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        hidden = b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    # What was encoded twice is shorter at each turn, so that this ends.
    return (_from_base64(hidden) or hidden) if _BASE64.fullmatch(hidden) else hidden


def _from_base32(written: str) -> str | None:
    plain = written.rstrip("=")
    try:
        return b32decode(plain + "=" * (-len(plain) % 8), casefold=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _from_binary(written: str) -> str | None:
    digits = _BINARY_NOISE.sub("", written)
    try:
        return int(digits, 2).to_bytes(len(digits) // 8, "big").decode("utf-8")
    except UnicodeDecodeError:
        return None


def _from_hex(written: str) -> str | None:
    # A word of two such letters beside the digits (`be`, `ad`) reads as one more byte, which fits no text: it is left out.
    try:
        hidden = bytes.fromhex(_HEX_NOISE.sub("", written))
    except ValueError:
        return None
    plain = hidden.decode("utf-8", errors="ignore")
    return plain if len(plain.encode()) >= _READABLE * len(hidden) else None


def _from_percent(written: str) -> str | None:
    return unquote(written.replace("+", " "))


def _from_spaced(written: str) -> str | None:
    # Words are told apart by wider gaps; without any, by the words that orders are made of.
    words = [re.sub(r"[ .\-_*|/]", "", word) for word in _GAP.split(written)]
    if len(words) > 1 and max(map(len, words)) > 1:
        return " ".join(words)
    return re.sub(r"\s+", " ", _JOINED.sub(r" \1 ", "".join(words).lower())).strip()


def _from_entities(written: str) -> str | None:
    return unescape(written)


def _from_unicode(written: str) -> str | None:
    # Two escapes may make one character, as in JSON; half of such a pair is none.
    units = _UNICODE_ONE.sub(lambda found: chr(int(found.group(1), 16)), written)
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def _from_escaped(written: str) -> str | None:
    return written[1::2]


_DECODERS: Mapping[str, tuple[re.Pattern[str], Callable[[str], str | None]]] = {
    "base64": (_BASE64, _from_base64),
    "base32": (_BASE32, _from_base32),
    "binary": (_BINARY, _from_binary),
    "hex": (_HEX, _from_hex),
    "percent": (_PERCENT, _from_percent),
    "spaced": (_SPACED, _from_spaced),
    "escaped": (_ESCAPED, _from_escaped),
    "entities": (_ENTITIES, _from_entities),
    "unicode": (_UNICODE, _from_unicode),
}
# Over-estimates of the patterns above; that of spaced letters knows ASCII alone.
_WORN = Gates(
    {
        "base64": r"[A-Za-z0-9+/_-]{24}",
        "base32": r"[A-Z2-7]{24}|[a-z2-7]{24}",
        "binary": r"(?:[01]{8}[ ,_]{0,2}(?:0b)?){8}",
        "hex": r"(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:]?){10}",
        "percent": r"%[0-9A-Fa-f]{2}",
        "spaced": r"(?:\w[ .\-_*|/]{1,3}){7}",
        "escaped": r"(?:\\[\s\S]){12}",
        "entities": r"&#[0-9xA-Fa-f]{1,7};",
        "unicode": r"\\u[0-9A-Fa-f]{4}",
    }
)
