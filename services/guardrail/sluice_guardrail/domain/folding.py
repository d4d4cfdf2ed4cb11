"""Folds look-alike characters of a text to plain ones, and leads spans back to the original.

Zero-width characters, full-width forms, mathematical letters and Unicode tag characters are ways to write a card number
or an instruction that a model reads and a pattern does not. Detectors therefore read the folded text.
"""

import codecs
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sluice_guardrail.domain.skeleton import skeleton

_TAG_BASE = 0xE0000
_INVISIBLE = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef"
_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_HYPHENS = "\u2010-\u2015\u2212\ufe58\ufe63"
_QUOTES = "\u2018\u2019\u201b\u02bc"
_FORMS = "\uff01-\uff5e\U0001d400-\U0001d7ff\u2460-\u249b\u24b6-\u24e9\u2100-\u214f"
# Decimal digits of the scripts that have their own: Arabic, N'Ko, those of India, Thai, Lao, Tibetan, Burmese, Khmer, Mongolian.
_DIGITS = (
    "\u0660-\u0669\u06f0-\u06f9\u07c0-\u07c9\u0966-\u096f\u09e6-\u09ef\u0a66-\u0a6f\u0ae6-\u0aef\u0b66-\u0b6f\u0be6-\u0bef\u0c66-\u0c6f"
    "\u0ce6-\u0cef\u0d66-\u0d6f\u0de6-\u0def\u0e50-\u0e59\u0ed0-\u0ed9\u0f20-\u0f29\u1040-\u1049\u1090-\u1099\u17e0-\u17e9\u1810-\u1819"
)
_TAGS = "\U000e0001-\U000e007f"
# Variation selectors that can stand for bytes: those from 16 on, and the line ends and the tab of the first sixteen.
_SELECTOR = re.compile("[\ufe09\ufe0a\ufe0d\U000e0100-\U000e01ef]")
_SELECTOR_BASE = 0xE0100 - 16
_LEAST_HIDDEN = 8
_READABLE = 0.8
_SPECIAL = re.compile(f"[{_INVISIBLE}{_SPACES}{_HYPHENS}{_QUOTES}{_FORMS}{_DIGITS}{_TAGS}]")
_SPACE = re.compile(f"[{_SPACES}]")
_HYPHEN = re.compile(f"[{_HYPHENS}]")
_QUOTE = re.compile(f"[{_QUOTES}]")
_TAG = re.compile(f"[{_TAGS}]")
_INVISIBLE_CHAR = re.compile(f"[{_INVISIBLE}]")
# As JSON and program code write characters in strings, and links any; a document in a string of another doubles the backslashes.
_ESCAPE = re.compile(r"(?<!\\)\\++(?:([nrtbf\"/])|u([0-9a-fA-F]{4}))|%([2-7][0-9a-fA-F])")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " ", '"': '"', "/": "/"}


@dataclass(frozen=True)
class Folded:
    """A folded text with, for each run that was copied, where it starts in the folded and in the original text."""

    text: str
    folded_starts: tuple[int, ...] = (0,)
    original_starts: tuple[int, ...] = (0,)
    original_length: int = 0
    escapes: Mapping[int, int] = field(default_factory=dict)  # runs that stand for several characters of the original

    @cached_property
    def skeleton(self) -> str:
        """The text with every letter as it is meant: made once for all detectors that read it."""
        return skeleton(self.text)

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text from which folded[start:end] was made, end exclusive."""
        if len(self.folded_starts) == 1:
            return start, end
        first, last = self._original(start), self._end(end - 1) if end > start else self._original(start)
        # What selectors carry stands behind the text and comes from before its end.
        return (first, last) if first <= last else (self._original(end - 1), self._end(start))

    def _original(self, position: int) -> int:
        run = bisect_right(self.folded_starts, position) - 1
        return self.original_starts[run] + position - self.folded_starts[run]

    def _end(self, position: int) -> int:
        run = bisect_right(self.folded_starts, position) - 1
        return self._original(position) + self.escapes.get(run, 1)


def fold(text: str) -> Folded:
    """Return the text with look-alikes folded; a text that has none is returned as it is, in one scan."""
    if text.isascii() or _SPECIAL.search(text) is None:
        return Folded(text, original_length=len(text))
    parts: list[str] = []
    folded_starts = [0]
    original_starts = [0]
    length = 0
    copied_to = 0
    for match in _SPECIAL.finditer(text):
        at = match.start()
        plain = text[copied_to:at]
        replacement = _plain(match.group())
        if replacement and _TAG.match(match.group()) and (at == 0 or not _TAG.match(text[at - 1])):
            replacement = " " + replacement  # hidden text begins a word of its own
        parts.append(plain)
        length += len(plain)
        # Each replacement is a run of its own, and so is what follows it: offsets inside a run grow together.
        for char in replacement[:2]:
            parts.append(char)
            folded_starts.append(length)
            original_starts.append(at)
            length += 1
        folded_starts.append(length)
        original_starts.append(at + 1)
        copied_to = at + 1
    parts.append(text[copied_to:])
    length += len(text) - copied_to
    for char, at in _in_selectors(text):
        parts.append(char)
        folded_starts.append(length)
        original_starts.append(at)
        length += 1
    return Folded("".join(parts), tuple(folded_starts), tuple(original_starts), len(text))


def _in_selectors(text: str) -> list[tuple[str, int]]:
    """Return the text that variation selectors carry as bytes behind other characters, with the place of each character, and what parts it from the visible text."""
    places = [match.start() for match in _SELECTOR.finditer(text)]
    if len(places) < _LEAST_HIDDEN:
        return []
    hidden: list[tuple[str, int]] = [("\n", places[0])]
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    for at in places:
        code = ord(text[at])
        byte = code - _SELECTOR_BASE if code >= _SELECTOR_BASE else ord("\n")
        hidden += [(char, at) for char in decoder.decode(bytes((byte,)))]
    readable = sum(char.isalnum() or char.isspace() for char, _ in hidden)
    return hidden if readable >= _READABLE * len(places) else []


def unescaped(text: str) -> Folded:
    """Return the text as a reader of JSON or of a link has it: `\\n`, `\\u0040` and `%40` are the characters that they stand for, also where the text is neither.

    So a value that follows an escape begins where it begins, and what takes it out leaves no half of an escape behind.
    """
    if "\\" not in text and "%" not in text:
        return Folded(text, original_length=len(text))
    parts: list[str] = []
    folded_starts, original_starts = [0], [0]
    escapes: dict[int, int] = {}
    length = copied_to = 0
    for match in _ESCAPE.finditer(text):
        plain = text[copied_to : match.start()]
        parts += (plain, _meant(match))
        length += len(plain)
        escapes[len(folded_starts)] = len(match.group())
        folded_starts += (length, length + 1)
        original_starts += (match.start(), match.end())
        length += 1
        copied_to = match.end()
    parts.append(text[copied_to:])
    return Folded("".join(parts), tuple(folded_starts), tuple(original_starts), len(text), escapes)


def _meant(escape: re.Match[str]) -> str:
    letter, unit, byte = escape.groups()
    if letter is not None:
        return _ESCAPED[letter]
    found = chr(int(unit or byte, 16))
    return "\ufffd" if "\ud800" <= found <= "\udfff" else found


def _plain(char: str) -> str:
    for pattern, plain in ((_SPACE, " "), (_HYPHEN, "-"), (_QUOTE, "'"), (_INVISIBLE_CHAR, "")):
        if pattern.match(char):
            return plain
    if _TAG.match(char):
        return chr(ord(char) - _TAG_BASE) if ord(char) >= _TAG_BASE + 0x20 else ""
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return unicodedata.normalize("NFKC", char)
