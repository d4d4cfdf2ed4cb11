"""Finds program code: fenced blocks, and runs of lines that look like it."""

import re
from collections.abc import Iterator

from sluice_guardrail.domain.findings import Finding

_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[^\n]*$", re.MULTILINE)
_LINE = re.compile(
    r"^\s*(?:def \w+\(|class \w+[(:{]|import \w[\w.]*;?\s*$|from [\w.]+ import |#include\s*[<\"]|using \w[\w.:]*;|package \w[\w.]*;?\s*$"
    r"|(?:public|private|protected|static|async|export|func|fn|let|var|const)\s+\w+.*[;{(=]|(?:if|for|while|switch|elif|else if)\s*\(?.*[:{]\s*$"
    r"|return\b.*[;)]?$|\}\s*(?:else.*\{)?;?\s*$|</?\w+[^>]*>\s*$|(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\s|#!/|\$ \w+"
    r"|[\w.\[\]\"']+\s*(?:[-+*/|&]?=|:=)\s*\S.*|[\w.]+\([^)]*\);?\s*$|//|/\*|@\w+(?:\(.*\))?\s*$)"
)
_FEWEST_LINES = 3


def find_code(text: str) -> Iterator[Finding]:
    """Yield fenced blocks, and runs of three lines or more that look like code (the more lines, the surer)."""
    end = 0
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            yield from _runs(text, end, fence.start())
            opening = fence
        elif fence.group(1)[0] == opening.group(1)[0] and len(fence.group(1)) >= len(opening.group(1)):
            yield Finding("code", "code", "fenced_code", opening.start(), fence.end(), 0.95, "a fenced block")
            end, opening = fence.end(), None
    if opening is not None:
        yield Finding("code", "code", "fenced_code", opening.start(), len(text), 0.9, "a fenced block without an end")
        return
    yield from _runs(text, end, len(text))


def _runs(text: str, start: int, stop: int) -> Iterator[Finding]:
    first = last = start
    hits = 0
    at = start
    for line in text[start:stop].splitlines(keepends=True):
        if _LINE.match(line[:400].rstrip("\n")):
            first = at if hits == 0 else first
            hits += 1
            last = at + len(line.rstrip("\n"))
        elif line.strip():
            yield from _run(first, last, hits)
            hits = 0
        at += len(line)
    yield from _run(first, last, hits)


def _run(first: int, last: int, hits: int) -> Iterator[Finding]:
    if hits >= _FEWEST_LINES:
        score = round(min(0.95, 0.4 + 0.1 * hits), 4)
        yield Finding("code", "code", "code_lines", first, last, score, "lines that look like code")
