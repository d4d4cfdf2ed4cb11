"""Folds look-alike characters of a text to plain ones, and leads spans back to the original.

Zero-width characters, full-width forms, mathematical letters and Unicode tag characters are ways to write a card number
or an instruction that a model reads and a pattern does not. Detectors therefore read the folded text.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sluice_guardrail.domain.skeleton import skeleton

_TAG_BASE = 0xE0000
_INVISIBLE = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_HYPHENS = "\u2010-\u2015\u2212\ufe58\ufe63"
_QUOTES = "\u2018\u2019\u201b\u02bc"
_FORMS = "\uff01-\uff5e\U0001d400-\U0001d7ff\u2460-\u249b\u24b6-\u24e9\u2100-\u214f"
_TAGS = "\U000e0001-\U000e007f"
_SPECIAL = re.compile(f"[{_INVISIBLE}{_SPACES}{_HYPHENS}{_QUOTES}{_FORMS}{_TAGS}]")
_SPACE = re.compile(f"[{_SPACES}]")
_HYPHEN = re.compile(f"[{_HYPHENS}]")
_QUOTE = re.compile(f"[{_QUOTES}]")
_TAG = re.compile(f"[{_TAGS}]")
_INVISIBLE_CHAR = re.compile(f"[{_INVISIBLE}]")
# As JSON and program code write characters in strings; a document in a string of another doubles the backslashes.
_ESCAPE = re.compile(r"(?<!\\)\\++(?:([nrtbf\"/])|u([0-9a-fA-F]{4}))")
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
        return self._original(start), self._end(end - 1) if end > start else self._original(start)

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
    return Folded("".join(parts), tuple(folded_starts), tuple(original_starts), len(text))


def unescaped(text: str) -> Folded:
    """Return the text as a reader of JSON has it: `\\n` and `\\u0040` are the characters that they stand for, also where the text is no JSON.

    So a value that follows an escape begins where it begins, and what takes it out leaves no half of an escape behind.
    """
    if "\\" not in text:
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
    letter, code = escape.groups()
    if letter is not None:
        return _ESCAPED[letter]
    found = chr(int(code, 16))
    return "\ufffd" if "\ud800" <= found <= "\udfff" else found


def _plain(char: str) -> str:
    for pattern, plain in ((_SPACE, " "), (_HYPHEN, "-"), (_QUOTE, "'"), (_INVISIBLE_CHAR, "")):
        if pattern.match(char):
            return plain
    if _TAG.match(char):
        return chr(ord(char) - _TAG_BASE) if ord(char) >= _TAG_BASE + 0x20 else ""
    return unicodedata.normalize("NFKC", char)
