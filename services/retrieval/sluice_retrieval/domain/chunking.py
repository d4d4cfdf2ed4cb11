"""Cutting documents into chunks: windows (F140), sentences (F141), paragraphs (F142), topics (F143), code and rows.

All keep the headings of Markdown as a breadcrumb, never mix two sections in one chunk, hold every word of the
text in at least one chunk, and never exceed the maximum number of tokens.
"""

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from sluice.contracts.retrieval import ChunkingOptions, ChunkingStrategy
from sluice_retrieval.domain.code import code_sections
from sluice_retrieval.domain.sections import Block, Section, markdown_sections, plain_sections
from sluice_retrieval.domain.sentences import sentence_starts
from sluice_retrieval.domain.tokens import TokenCounter, Words, count_tokens, small_words

MARKDOWN = "text/markdown"
_OVERLAP_SENTENCES = 2
_LEAST_TOPIC = 8
_WHOLE_WORD_CHARS = 100
_ROW = re.compile(r"^[ \t]{0,3}(?:[-*+][ \t]|\d{1,9}[.)][ \t]|\|(?![ \t]*:?-+:?[ \t]*\|))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `text` is exactly the document's characters `start` to `end`, exclusive."""

    index: int
    start: int
    end: int
    text: str
    heading: str | None
    tokens: int

    def embedded_text(self) -> str:
        """Return what is embedded and indexed."""
        return embedded_text(self.heading, self.text)


def embedded_text(heading: str | None, text: str) -> str:
    """Return what is embedded and indexed of a chunk: the breadcrumb of headings, then the text."""
    return f"{heading}\n{text}" if heading else text


def effective(options: ChunkingOptions) -> ChunkingOptions:
    """Return the options with an overlap of at most half a chunk, so that each chunk brings something new."""
    return options.model_copy(update={"overlap_tokens": min(options.overlap_tokens, options.max_tokens // 2)})


def document_sections(text: str, media_type: str, strategy: ChunkingStrategy) -> tuple[Section, ...]:
    """Return a document's sections: of Markdown by its headings, of code by its definitions."""
    if media_type == MARKDOWN:
        return markdown_sections(text)
    return code_sections(text) if strategy == "code" else plain_sections(text)


def chunk_document(
    text: str, media_type: str, options: ChunkingOptions, counter: TokenCounter, breaks: Sequence[int] = ()
) -> Iterator[Chunk]:
    """Yield the chunks of a document in order; none if it holds no word.

    `breaks` are the characters at which a new topic begins, for the strategy `semantic`.
    """
    sections = document_sections(text, media_type, options.strategy)
    options = effective(options)
    index = 0
    for section in sections:
        for start, end, tokens in _section_chunks(text, section, options, counter, breaks):
            yield Chunk(index, start, end, text[start:end], " > ".join(section.path) or None, tokens)
            index += 1


class _Range(NamedTuple):
    """Words `first` to `last`, exclusive, of a section."""

    first: int
    last: int


def _section_chunks(
    text: str, section: Section, options: ChunkingOptions, counter: TokenCounter, breaks: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    start, end = section.blocks[0].start, section.blocks[-1].end
    found = Words.of(counter.words(text[start:end])).moved(start)
    if not found:
        return
    words = small_words(text, found, counter, options.max_tokens)
    halved = words is not found or found.longest() > _WHOLE_WORD_CHARS
    cutter = _Cutter(text, words, options, breaks)
    for piece in cutter.cut(section):
        if halved:
            yield from _checked(text, words, piece, options.max_tokens, counter)
        else:
            yield words.starts[piece.first], words.ends[piece.last - 1], cutter.tokens(piece)


def _checked(
    text: str, words: Words, piece: _Range, max_tokens: int, counter: TokenCounter
) -> Iterator[tuple[int, int, int]]:
    # A word that was halved can count differently beside its other half; what is too much is cut in two.
    start, end = words.starts[piece.first], words.ends[piece.last - 1]
    tokens = count_tokens(text[start:end], counter)
    if tokens <= max_tokens or piece.last - piece.first == 1:
        yield start, end, tokens
        return
    middle = (piece.first + piece.last) // 2
    for half in (_Range(piece.first, middle), _Range(middle, piece.last)):
        yield from _checked(text, words, half, max_tokens, counter)


class _Cutter:
    """Cuts the words of one section into ranges."""

    def __init__(self, text: str, words: Words, options: ChunkingOptions, breaks: Sequence[int]) -> None:
        self._text = text
        self._breaks = frozenset(breaks)
        self._starts = words.starts
        self._sums = [0, *accumulate(words.tokens)]
        self._max = options.max_tokens
        self._overlap = options.overlap_tokens
        self._strategy = options.strategy

    def cut(self, section: Section) -> Iterator[_Range]:
        if self._strategy == "fixed":
            return self._windows(_Range(0, len(self._starts)), self._overlap)
        if self._strategy == "sentence":
            return self._merged([unit for block in section.blocks for unit in self._units(block)], _OVERLAP_SENTENCES)
        if self._strategy == "recursive":
            pieces = [piece for block in section.blocks for piece in self._pieces(block.start, block.end, 0)]
            return self._merged(pieces, len(pieces))
        if self._strategy == "semantic":
            return self._by_topic(section.blocks)
        if self._strategy == "rows":
            return self._by_row(section.blocks)
        return self._by_paragraph(section.blocks)

    def tokens(self, piece: _Range) -> int:
        return self._sums[piece.last] - self._sums[piece.first]

    def _words_of(self, start: int, end: int) -> _Range:
        return _Range(bisect.bisect_left(self._starts, start), bisect.bisect_left(self._starts, end))

    def _windows(self, whole: _Range, overlap: int) -> Iterator[_Range]:
        first = whole.first
        while first < whole.last:
            last = bisect.bisect_right(self._sums, self._sums[first] + self._max) - 1
            last = min(max(last, first + 1), whole.last)
            yield _Range(first, last)
            if last == whole.last:
                return
            first = max(first + 1, bisect.bisect_left(self._sums, self._sums[last] - overlap))

    def _units(self, block: Block) -> Iterator[_Range]:
        # Sentences of a text; a block of lines whole if it fits, else line by line; windows of what is still too long.
        if block.kind == "text":
            starts = list(sentence_starts(self._text, block.start, block.end))
        elif self.tokens(self._words_of(block.start, block.end)) <= self._max:
            starts = [block.start]
        else:
            starts = list(_line_starts(self._text, block.start, block.end))
        for start, end in zip(starts, [*starts[1:], block.end], strict=True):
            piece = self._words_of(start, end)
            if piece.first < piece.last:
                yield from self._windows(piece, 0)

    def _pieces(self, start: int, end: int, level: int) -> Iterator[_Range]:
        # What is too long is split at lines, then at sentences, then into windows.
        whole = self._words_of(start, end)
        if whole.first == whole.last:
            return
        if self.tokens(whole) <= self._max:
            yield whole
            return
        if level == len(_SPLITTERS):
            yield from self._windows(whole, 0)
            return
        starts = list(_SPLITTERS[level](self._text, start, end))
        for first, last in zip(starts, [*starts[1:], end], strict=True):
            yield from self._pieces(first, last, level + 1)

    def _by_topic(self, blocks: Sequence[Block]) -> Iterator[_Range]:
        held: _Range | None = None
        for block in blocks:
            for unit in self._units(block):
                begins = not self._breaks.isdisjoint(range(block.start, self._starts[unit.first] + 1)) and (
                    held is None
                    or not self._breaks.isdisjoint(range(self._starts[held.last - 1] + 1, self._starts[unit.first] + 1))
                )
                full = held is not None and self.tokens(_Range(held.first, unit.last)) > self._max
                if held is not None and (full or (begins and self.tokens(held) >= self._max // _LEAST_TOPIC)):
                    yield held
                    held = None
                held = _Range(held.first if held else unit.first, unit.last)
        if held is not None:
            yield held

    def _by_row(self, blocks: Sequence[Block]) -> Iterator[_Range]:
        others: list[Block] = []
        for block in blocks:
            rows = [at.start() for at in _ROW.finditer(self._text, block.start, block.end)]
            if not rows:
                others.append(block)
                continue
            head = Block(block.start, rows[0], "text")
            yield from self._by_paragraph([*others, head] if head.end > head.start else others)
            others = []
            for start, end in zip(rows, [*rows[1:], block.end], strict=True):
                yield from self._pieces(start, end, 0)
        yield from self._by_paragraph(others)

    def _merged(self, units: Sequence[_Range], repeated: int) -> Iterator[_Range]:
        held: list[_Range] = []
        fresh = False  # whether `held` has more than the overlap with the chunk before
        for unit in units:
            if held and self.tokens(_Range(held[0].first, unit.last)) > self._max:
                if fresh:
                    yield _Range(held[0].first, held[-1].last)
                held = self._tail(held[-repeated:], unit)
            held.append(unit)
            fresh = True
        if held and fresh:
            yield _Range(held[0].first, held[-1].last)

    def _tail(self, held: Sequence[_Range], following: _Range) -> list[_Range]:
        # As much is repeated as the overlap and the room beside the next unit allow.
        kept: list[_Range] = []
        for unit in reversed(held):
            longer = _Range(unit.first, held[-1].last)
            if self.tokens(longer) > self._overlap or self.tokens(_Range(unit.first, following.last)) > self._max:
                break
            kept.insert(0, unit)
        return kept

    def _by_paragraph(self, blocks: Sequence[Block]) -> Iterator[_Range]:
        held: _Range | None = None
        bare = False  # whether `held` has nothing but headings
        for block in blocks:
            whole = self._words_of(block.start, block.end)
            if whole.first == whole.last:
                continue
            fits = held is not None and self.tokens(_Range(held.first, whole.last)) <= self._max
            broken = not fits and (bare or self.tokens(whole) > self._max)
            for unit in self._units(block) if broken else (whole,):
                if held is not None and self.tokens(_Range(held.first, unit.last)) > self._max:
                    yield held
                    held = None
                held = _Range(held.first if held else unit.first, unit.last)
            bare = block.kind == "heading" and (bare or held == whole)
        if held is not None:
            yield held


def _line_starts(text: str, start: int, end: int) -> Iterator[int]:
    yield start
    position = text.find("\n", start, end)
    while position >= 0 and position + 1 < end:
        yield position + 1
        position = text.find("\n", position + 1, end)


_SPLITTERS: tuple[Callable[[str, int, int], Iterator[int]], ...] = (_line_starts, sentence_starts)
