"""The structure of a document: sections under headings, and the blocks in them, as character ranges."""

import bisect
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

BlockKind = Literal["text", "heading", "lines"]

_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n\s*|\f")
_LINE_END = re.compile(r"\r\n?|\n")  # what CommonMark calls a line ending
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n.*?\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LINE_BLOCKS = frozenset({"fence", "code_block", "table_open", "html_block"})


class Block(NamedTuple):
    """A paragraph, list, heading, or a block whose lines belong together (code, table): `start` to `end`, exclusive."""

    start: int
    end: int
    kind: BlockKind


class Section(NamedTuple):
    """What stands under one heading; `path` is the breadcrumb of headings from the outermost."""

    path: tuple[str, ...]
    blocks: tuple[Block, ...]


def plain_sections(text: str) -> tuple[Section, ...]:
    """Return plain text as one section with a block for each paragraph; a blank line or form feed ends a paragraph."""
    if not text:
        return ()
    ends = [match.end() for match in _PARAGRAPH_END.finditer(text)]
    return (Section((), tuple(_partition([0, *ends], len(text), ["text"] * (len(ends) + 1)))),)


def markdown_sections(text: str) -> tuple[Section, ...]:
    """Return the sections of a CommonMark text (with tables); together their blocks hold every character.

    Headings inside quotes and lists do not open sections. A section that has nothing but its heading is joined to the
    one that follows, so that no chunk is a bare heading.
    """
    if not text:
        return ()
    lines = [0, *(match.end() for match in _LINE_END.finditer(text))]
    front = _FRONT_MATTER.match(text)
    body_line = bisect.bisect_left(lines, front.end()) if front else 0
    body_start = front.end() if front else 0
    found: list[_Found] = []
    for block in _top_blocks(text[body_start:]):
        line = body_line + block.start
        found.append(block._replace(start=lines[line] if line < len(lines) else len(text)))
    blocks = list(_partition([block.start for block in found], len(text), [block.kind for block in found]))
    if not blocks or blocks[0].start > 0:
        blocks.insert(0, Block(0, blocks[0].start if blocks else len(text), "text"))
        found.insert(0, _Found(0, "text", 0, ""))
    return _with_headings_joined(_grouped(found, blocks))


class _Found(NamedTuple):
    start: int
    kind: BlockKind
    level: int
    heading: str


def _top_blocks(text: str) -> Iterator[_Found]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for position, token in enumerate(tokens):
        if token.level or token.map is None or token.nesting < 0:
            continue
        if token.type == "heading_open":
            yield _Found(token.map[0], "heading", int(token.tag[1]), _plain(tokens[position + 1]))
        else:
            yield _Found(token.map[0], "lines" if token.type in _LINE_BLOCKS else "text", 0, "")


def _plain(inline: Token) -> str:
    parts = [child.content if child.content else " " for child in inline.children or ()]
    return " ".join("".join(parts).split())


def _partition(starts: Sequence[int], end: int, kinds: Sequence[BlockKind]) -> Iterator[Block]:
    stops = [*starts[1:], end] if starts else []
    for start, stop, kind in zip(starts, stops, kinds, strict=True):
        if stop > start:
            yield Block(start, stop, kind)


def _grouped(found: Sequence[_Found], blocks: Sequence[Block]) -> list[Section]:
    headings = {item.start: item for item in found if item.kind == "heading"}
    sections: list[Section] = []
    stack: list[tuple[int, str]] = []
    current: list[Block] = []
    path: tuple[str, ...] = ()
    for block in blocks:
        heading = headings.get(block.start)
        if heading is not None:
            if current:
                sections.append(Section(path, tuple(current)))
            current = []
            stack = [item for item in stack if item[0] < heading.level] + [(heading.level, heading.heading)]
            path = tuple(name for _, name in stack if name)
        current.append(block)
    if current:
        sections.append(Section(path, tuple(current)))
    return sections


def _with_headings_joined(sections: Sequence[Section]) -> tuple[Section, ...]:
    joined: list[Section] = []
    waiting: tuple[Block, ...] = ()
    last = Section((), ())
    for section in sections:
        blocks = waiting + section.blocks
        if all(block.kind == "heading" for block in blocks):
            waiting = blocks
            last = section
            continue
        joined.append(Section(section.path, blocks))
        waiting = ()
    if waiting:
        joined.append(Section(last.path, waiting))
    return tuple(joined)
