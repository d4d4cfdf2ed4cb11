"""Cuts a document into the units that it says things with (sentences, rows, lines of code), and says what surrounds them."""

import re
from collections.abc import Sequence
from typing import Literal

from sluice_guardrail.domain.ngrams import Span

Surroundings = Literal["prose", "table", "code"]

MAX_UNITS = 4000
_WORDS = re.compile(r"[^\W\d_]{2,}")
_LINE = re.compile(r"[^\n]+")
_ROW = re.compile(r"(?:[^|\n]*\|){3}|(?:[^\t\n]*\t){2}")
# Between two sentences, two JSON strings, two tags, and two fields of a mail that was put on one line.
_BREAK = re.compile(
    r"(?<=[.!?:;。！？])[\"')\]*_]{0,3}\s+(?=[\"'(\[*]{0,3}[^\W\d_a-z]|[\"'`\d])|\|\s{0,3}(?=[A-Z_ ]{2,20}:)|\"\s{0,3}[,:]\s{0,3}\"|<[^<>\n]{1,200}>|-->|<!--"
)
_FENCE = re.compile(r"(?m)^\s{0,3}(?:```|~~~)")
_CODE_LINE = re.compile(
    r"[;{}]\s*$|^\s*(?:def|class|import|from|for|if|return|print|while|#|//|>>>)\b.*[:()\[\]=.]|\w\([^\n]{0,200}\)\s*$|^\s*\w+\s*=\s*\S"
)
MIN_WORDS = 3


def units(text: str) -> list[Span]:
    """Return the spans of up to `MAX_UNITS` units that hold `MIN_WORDS` words or more."""
    found: list[Span] = []
    for line in _LINE.finditer(text):
        for start, end in _sentences(text, line.start(), line.end()):
            if len(_WORDS.findall(text, start, end)) >= MIN_WORDS:
                found.append((start, end))
        if len(found) >= MAX_UNITS:
            return found[:MAX_UNITS]
    return found


def _sentences(text: str, start: int, end: int) -> Sequence[Span]:
    if _ROW.match(text, start, end) is not None:
        return ((start, end),)
    spans: list[Span] = []
    for gap in _BREAK.finditer(text, start, end):
        spans.append((start, gap.start()))
        start = gap.end()
    return (*spans, (start, end))


def surroundings(text: str) -> Surroundings:
    """Return what most lines of a document are; a fenced block makes it code."""
    if _FENCE.search(text) is not None:
        return "code"
    lines = [line for line in text.split("\n") if line.strip()]
    if sum(_ROW.match(line) is not None for line in lines) * 2 > len(lines):
        return "table"
    return "code" if sum(_CODE_LINE.search(line) is not None for line in lines) * 2 > len(lines) else "prose"


def with_block(text: str, span: Span) -> Span:
    """Return the span together with the fenced block that it announces, if one follows it."""
    start, end = span
    rest = text[end : end + 4]
    opened = _FENCE.match(text, end + len(rest) - len(rest.lstrip()))
    if opened is None or not rest[:1].isspace():
        return span
    closed = _FENCE.search(text, opened.end())
    return start, closed.end() if closed is not None else len(text)
