"""Reads a text through the disguises that hide an order from a pattern and not from a model.

Each reading leads back to the original: one of equal length character by character, a decoded one to the span that it
was decoded from. A disguise is looked for only where its marks occur, so a plain text pays a few scans.
"""

import binascii
import codecs
import re
from base64 import b32decode, b64decode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from itertools import accumulate
from string import ascii_letters
from urllib.parse import unquote

from sluice_guardrail.domain.ciphers import shifted, shifts_of
from sluice_guardrail.domain.encodings import (
    from_base85,
    from_groups_of_base32,
    from_octal,
    from_repeated,
    is_readable,
    read,
    without_line_numbers,
)
from sluice_guardrail.domain.gates import Gates
from sluice_guardrail.domain.skeleton import lowered

_MAX_DECODED = 8
_MAX_MIRRORED = 20_000
_READABLE = 0.8
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,4000}={0,2}")
# Four digits of base64 that are three ASCII characters, whose first bits are 0; anything else may stand between the digits. One word in
# twenty looks so, and six in a row by chance do not.
_BETWEEN = r"[^A-Za-z0-9+/_=]{0,4}"
_QUAD = _BETWEEN.join((r"[I-Za-f]", r"[A-HQ-Xg-nw-z0-3]", r"[ABEFIJMNQRUVYZcdghklopstwx014589]", r"[A-Za-z0-9+/_]"))
_DIGIT = "[A-Za-z0-9+/_]"
_GROUPED = re.compile(
    rf"(?:(?<!{_DIGIT}){_QUAD}(?:{_BETWEEN}{_QUAD}){{5}}|(?:{_QUAD.replace(_BETWEEN, '')}){{6}})"
    rf"(?:{_BETWEEN}{_QUAD}){{0,1000}}(?:(?:{_BETWEEN}{_DIGIT}){{2,3}}(?!{_DIGIT})={{0,2}})?"
)
_FOREIGN = 8  # digits before the first group that may be a word before it
_GROUPED_NOISE = re.compile(r"[^A-Za-z0-9+/_]")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:\n-]?){10,4000}(?![0-9A-Za-z])")
_BASE32 = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z2-7]{24,6000}|[a-z2-7]{24,6000})(?![A-Za-z0-9])={0,6}")
# Eight digits of base32 that are five printable ASCII characters: one row of eight letters in a hundred looks so.
_OF_OCTET = "[E-P] [ABEFIJMNQRUVYZ45] [A-Z2-7] [C-HS-X] [ACEGIKMOQSUWY246] [I-Z2-7] [BCDJKLRSTZ23] [A-Z2-7]"
_OCTET = _OF_OCTET.replace(" ", r"[^A-Za-z0-9=]{0,4}")
_OCTETS = re.compile(
    rf"(?i:{_OCTET}(?:[^A-Za-z0-9=]{{0,4}}{_OCTET}){{2,1000}}(?:(?:[^A-Za-z0-9=]{{0,4}}[A-Z2-7]){{2,7}}(?![A-Za-z0-9])={{0,6}})?)"
)
_OCTAL = re.compile(
    r"(?:\\[0-3]?[0-7]{2}[ ,]{0,2}){8,4000}|(?<![0-9.])(?:(?:0o?)?(?:[01][0-7]{2}|40)[ ,;\n-]{1,2}){11,4000}(?:0o?)?[01][0-7]{2}(?![0-9.])"
)
# The first of five digits of base 85 that are four printable ASCII characters is one of 31.
_OF_85 = r"[0-9A-Za-z!#$%&()*+\-;<=>?@^_`{|}~]"
_GROUP_OF_85 = r"(?:[+-I](?:\n?[!-u]){4}\n?)", rf"(?:[A-Za-e](?:\n?{_OF_85}){{4}}\n?)"
_BASE85 = re.compile(r"(?:\S{20,5000}\n?){1,200}")
_IN_BASE85 = re.compile(rf"{_GROUP_OF_85[0]}{{4,1000}}[!-u]{{0,4}}|{_GROUP_OF_85[1]}{{4,1000}}{_OF_85}{{0,4}}")
_NUMBERED_LINE = r"\(?[0-9]{1,5}[.:)\]|\t -]{1,3}[ \t]{0,4}[A-Za-z0-9+/=_-]"
_NUMBERED = re.compile(
    rf"(?<![A-Za-z0-9])(?:{_NUMBERED_LINE}{{8,200}}[ \t]*\n[ \t>]*){{1,2000}}{_NUMBERED_LINE}{{1,200}}(?![A-Za-z0-9+/_-])"
)
# Possessive: a row of one letter is one run, not many of two.
_REPEATED = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:([A-Za-z0-9])\1++){1,40}+[^A-Za-z0-9]{1,6}){0,400}(?:([A-Za-z0-9])\2++){1,40}+(?![A-Za-z0-9])"
)
_BINARY = re.compile(r"(?<![0-9A-Za-z])(?:(?:0b)?[01]{8}[ ,_]{0,2}){8,8000}(?![0-9A-Za-z])")
_BINARY_NOISE = re.compile(r"0b|[ ,_]")
_HEX_NOISE = re.compile(r"\\x|0x|[ ,:\n-]")
_DECIMAL = re.compile(
    r"(?<![0-9.])(?:(?:3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6])[ ,;\n-]{1,2}){11,4000}(?:3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6])(?![0-9.])"
)
_NUMBER = re.compile("[0-9]+")
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
    """A text as a model may read it; `aligned` says that its characters stand where those of the original stand, `by_phrases` that it is no text for a head."""

    text: str
    start: int
    end: int
    aligned: bool = False
    by_phrases: bool = False

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text for reading[start:end]."""
        return (start, end) if self.aligned else (self.start, self.end)


def readings(text: str, deep: int = 1) -> Iterator[Reading]:
    """Yield what a folded text says when its disguises are taken off, and, `deep` times over, those that were below; nothing for a text that wears none."""
    yield from _decodings(text, deep)
    if len(text) <= _MAX_MIRRORED:
        yield Reading(codecs.encode(text, "rot13"), 0, len(text), aligned=True, by_phrases=True)
        for by in shifts_of(lowered(text)):
            yield Reading(shifted(text, by), 0, len(text), aligned=True, by_phrases=True)
        mirrored = text[::-1]
        yield Reading(mirrored, 0, len(text), by_phrases=True)
        for inner in _decodings(mirrored, 0, _MIRRORED) if deep else ():
            if is_readable(inner.text):
                yield replace(inner, start=len(text) - inner.end, end=len(text) - inner.start)


def _decodings(text: str, deep: int, among: Iterable[str] | None = None) -> Iterator[Reading]:
    worn = _WORN.opened_by(text).intersection(_DECODERS if among is None else among)
    pieces: list[Reading] = []  # of what stands in one piece, which the reading in groups would find again
    for name, (pattern, decode) in _DECODERS.items():
        if name in worn or (name == "spaced" and among is None and not text.isascii()):
            found = list(_decoded(text, pattern, decode))
            if name in _IN_ONE_PIECE:
                pieces = found
            if name in _IN_GROUPS:
                found = [one for one in found if not _is_inside(one, pieces)]
            for one in found[:_MAX_DECODED]:
                yield replace(one, by_phrases=True) if name == "numbered" else one
                for inner in readings(one.text, deep - 1) if deep else ():
                    yield Reading(inner.text, one.start, one.end, by_phrases=inner.by_phrases)
            if len(found) > 1:
                joined = " ".join(one.text for one in found)
                yield Reading(joined, found[0].start, found[-1].end, by_phrases=True)


def _is_inside(one: Reading, pieces: Sequence[Reading]) -> bool:
    at = bisect_right(pieces, one.start + _FOREIGN, key=lambda each: each.start) - 1
    return at >= 0 and one.end <= pieces[at].end


def _decoded(text: str, pattern: re.Pattern[str], decode: Callable[[str], str | None]) -> Iterator[Reading]:
    for match in pattern.finditer(text):
        hidden = decode(match.group())
        if hidden is not None and hidden.strip():
            yield Reading(hidden, match.start(), match.start() + len(match.group().rstrip(" ,:")))


def _from_base64(written: str) -> str | None:
    plain = written.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        hidden = read(b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except binascii.Error:
        return None
    return None if hidden is None else _encoded_again(hidden)


def _encoded_again(hidden: str) -> str:
    # What was encoded twice is shorter at each turn, so that this ends.
    return (_from_base64(hidden) or hidden) if _BASE64.fullmatch(hidden) else hidden


def _from_grouped(written: str) -> str | None:
    digits = _GROUPED_NOISE.sub("", written).replace("_", "/")
    for end in (len(digits), len(digits) // 4 * 4):  # the first digits of a word that follows may have been taken along
        try:
            hidden = b64decode(digits[:end] + "=" * (-end % 4)).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
        if all(char.isprintable() or char in "\n\r\t" for char in hidden):
            return " ".join([_encoded_again(hidden), *(hidden[at // 4 * 3 :] for at in _first_groups(written))])
    return None


def _first_groups(written: str) -> Iterator[int]:
    # A word before the groups may look like one of them: what is hidden is read without it, too.
    ends = accumulate(map(len, _GROUPED_NOISE.split(written[: 3 * _FOREIGN])))
    return (end for end in dict.fromkeys(ends) if 0 < end <= _FOREIGN and end % 4 == 0)


def _from_base32(written: str) -> str | None:
    plain = written.rstrip("=")
    try:
        return read(b32decode(plain + "=" * (-len(plain) % 8), casefold=True))
    except binascii.Error:
        return None


def _from_binary(written: str) -> str | None:
    digits = _BINARY_NOISE.sub("", written)
    return read(int(digits, 2).to_bytes(len(digits) // 8, "big"))


def _from_hex(written: str) -> str | None:
    # A word of two such letters beside the digits (`be`, `ad`) reads as one more byte, which fits no text: it is left out.
    try:
        hidden = bytes.fromhex(_HEX_NOISE.sub("", written))
    except ValueError:
        return None
    if b"\0" in hidden[:4] and (wide := read(hidden)) is not None and is_readable(wide):
        return wide
    plain = hidden.decode("utf-8", errors="ignore")
    return plain if len(plain.encode()) >= _READABLE * len(hidden) else None


def _from_decimal(written: str) -> str | None:
    # Numbers of a table are letters by chance, and hardly ever all of them.
    hidden = "".join(chr(int(code)) for code in _NUMBER.findall(written))
    return hidden if sum(char.isalpha() or char == " " for char in hidden) >= _READABLE * len(hidden) else None


def _from_base85(written: str) -> str | None:
    found = _IN_BASE85.search(written)
    return None if found is None else from_base85(found.group())


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
    "grouped": (_GROUPED, _from_grouped),
    "base32": (_BASE32, _from_base32),
    "octets": (_OCTETS, from_groups_of_base32),
    "numbered": (_NUMBERED, without_line_numbers),
    "octal": (_OCTAL, from_octal),
    "base85": (_BASE85, _from_base85),
    "repeated": (_REPEATED, from_repeated),
    "binary": (_BINARY, _from_binary),
    "hex": (_HEX, _from_hex),
    "decimal": (_DECIMAL, _from_decimal),
    "percent": (_PERCENT, _from_percent),
    "spaced": (_SPACED, _from_spaced),
    "escaped": (_ESCAPED, _from_escaped),
    "entities": (_ENTITIES, _from_entities),
    "unicode": (_UNICODE, _from_unicode),
}
_MIRRORED = frozenset({"base64", "grouped", "base32", "octets", "hex", "binary", "decimal", "octal"})
_IN_ONE_PIECE = frozenset({"base64", "base32"})
_IN_GROUPS = frozenset({"grouped", "octets"})
# Over-estimates of the patterns above; that of spaced letters knows ASCII alone.
_WORN = Gates(
    {
        "base64": r"[A-Za-z0-9+/_-]{24}",
        "grouped": rf"(?:{_QUAD}{_BETWEEN}){{6}}",
        "base32": r"[A-Z2-7]{24}|[a-z2-7]{24}",
        "octets": rf"(?i:(?:{_OCTET}[^A-Za-z0-9=]{{0,4}}){{3}})",
        "numbered": rf"{_NUMBERED_LINE}{{8}}[A-Za-z0-9+/=_-]*[ \t]*\n[ \t>]*{_NUMBERED_LINE}{{8}}",
        "octal": r"(?:\\[0-3]?[0-7]{2}[ ,]{0,2}){8}|(?:(?:0o?)?(?:[01][0-7]{2}|40)[ ,;\n-]{1,2}){11}",
        "base85": "|".join(f"{group}{{4}}" for group in _GROUP_OF_85),
        "repeated": "(?:" + "|".join(f"{char}{{2,4}}" for char in ascii_letters) + "){4}",
        "binary": r"(?:[01]{8}[ ,_]{0,2}(?:0b)?){8}",
        "hex": r"(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:\n-]?){10}",
        "decimal": r"(?:(?:3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6])[ ,;\n-]{1,2}){11}",
        "percent": r"%[0-9A-Fa-f]{2}",
        "spaced": r"(?:\w[ .\-_*|/]{1,3}){7}",
        "escaped": r"(?:\\[\s\S]){12}",
        "entities": r"&#[0-9xA-Fa-f]{1,7};",
        "unicode": r"\\u[0-9A-Fa-f]{4}",
    }
)
