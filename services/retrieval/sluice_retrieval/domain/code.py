"""The structure of program text: definitions with what encloses them, told by indentation alone, in any language."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from sluice_retrieval.domain.sections import Block, Section

_DEFINITION = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([a-z]+\))?|unsafe|sealed|open|override|inline|extern|partial|data|case)\s+)*"
    r"(?:def|class|fn|func|function|fun|struct|enum|trait|impl|interface|module|namespace|object|record|protocol|extension|type|contract|CREATE)\b"
    r"|(?:[\w<>\[\],:*&.]+\s+)+[\w~:]+\s*\([^;]*$"
)
_SIGNATURE_CHARS = 100
_LONG_CHARS = 2000


class _Line(NamedTuple):
    start: int
    end: int
    indent: int
    text: str


def code_sections(text: str) -> tuple[Section, ...]:
    """Return program text as sections that together hold every character: a section for each definition.

    A definition (a function, class, struct and so on) begins with the comments and decorators that stand directly above it.
    One that is long is opened: its members become sections whose path names it first. What stands between definitions
    (imports, constants) is joined into sections without a path.
    """
    return tuple(_joined(_parts(_lines(text), ())))


def _lines(text: str) -> list[_Line]:
    found, start = [], 0
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        indent = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip()) if bare else -1
        found.append(_Line(start, start + len(line), indent, bare))
        start += len(line)
    return found


def _parts(lines: list[_Line], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    for part in _units(lines):
        signature = next((line for line in part if line.indent == _least(part) and _DEFINITION.match(line.text)), None)
        inner = path if signature is None else (*path, signature.text.rstrip(" {:")[:_SIGNATURE_CHARS])
        start, end = part[0].start, part[-1].end
        members = _members(part, signature)
        if end - start <= _LONG_CHARS or members is None:
            yield inner, start, end
            continue
        yield inner, start, members[0].start
        yield from _parts(members, inner)


def _members(part: list[_Line], signature: _Line | None) -> list[_Line] | None:
    """Return the lines inside a definition that holds others."""
    if signature is None:
        return None
    body = part[part.index(signature) + 1 :]
    least = min((line.indent for line in body if line.indent > signature.indent), default=-1)
    first = next((at for at, line in enumerate(body) if line.indent == least), None)
    if first is None or sum(line.indent == least and bool(_DEFINITION.match(line.text)) for line in body) < 1:
        return None
    return body[first:] if len(body) > first + 1 else None


def _least(lines: list[_Line]) -> int:
    return min((line.indent for line in lines if line.indent >= 0), default=0)


def _units(lines: list[_Line]) -> Iterator[list[_Line]]:
    """Yield what stands at the outermost indentation: a line opens a unit if a blank or an inner line is before it."""
    least = _least(lines)
    unit: list[_Line] = []
    for line in lines:
        outer = 0 <= line.indent <= least and line.text[0] not in ")]}"
        after_inner = bool(unit) and (unit[-1].indent != line.indent or unit[-1].text.startswith((")", "]", "}")))
        if outer and after_inner and any(one.text for one in unit):
            yield unit
            unit = []
        unit.append(line)
    if unit:
        yield unit


def _joined(parts: Iterator[tuple[tuple[str, ...], int, int]]) -> Iterator[Section]:
    """Join neighbours of the same path to one section of several blocks."""
    path: tuple[str, ...] = ()
    blocks: list[Block] = []
    for inner, start, end in parts:
        if blocks and inner != path:
            yield Section(path, tuple(blocks))
            blocks = []
        path = inner
        if end > start:
            blocks.append(Block(start, end, "lines"))
    if blocks:
        yield Section(path, tuple(blocks))
