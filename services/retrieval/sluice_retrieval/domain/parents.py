"""Parent–child expansion: a small chunk is found, and what surrounds it is given in its place.

A passage grows by whole paragraphs, list items and rows of tables, above and below in turn, then by sentences, as long as it
has room. Nothing is given twice: a chunk that lies in what a better one has grown to is told there as matched, and no passage grows
into another.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from sluice.contracts.searching import ParentExpansion
from sluice_retrieval.domain.search import Hit, Match
from sluice_retrieval.domain.sentences import sentence_starts
from sluice_retrieval.domain.tokens import TokenCounter, count_tokens

_BREAK: Final = re.compile(r"\n[^\S\n]*(?:\n\s*|(?=[-*+] ))")  # a blank line, or the next item of a list
_HEADING: Final = re.compile(r"(#{1,6})[ \t]")
_CHARACTERS: Final = 8  # of one token at most, on the whole: how much text is read around a chunk
_NO_LEVEL: Final = 7


class Around(NamedTuple):
    """A part of a document's text that begins at character `offset`; `whole_end` tells that nothing follows it."""

    text: str
    offset: int
    whole_end: bool


class TextReader(Protocol):
    """Reads parts of documents."""

    async def __call__(self, hit: Hit, start: int, length: int) -> Around | None:
        """Return `length` characters of the hit's document from `start` on, None if it is gone or is no text."""
        ...


@dataclass(slots=True)
class _Given:
    hit: Hit
    start: int
    end: int


async def expanded(
    hits: Sequence[Hit], wish: ParentExpansion, read: TextReader, counter: TokenCounter, headed: frozenset[str]
) -> list[Hit]:
    """Return the hits, best first, with the text around them; `headed` are the documents in which `#` begins a heading."""
    given: list[_Given] = []
    for hit in hits:
        passage = hit.passage
        match = Match(passage.chunk_id, passage.start, passage.end, hit.score)
        beside = [one for one in given if one.hit.passage.document_id == passage.document_id]
        holder = next((one for one in beside if one.start <= passage.start and passage.end <= one.end), None)
        if holder is not None:
            holder.hit = replace(holder.hit, matched=(*holder.hit.matched, match))
            continue
        low = max((one.end for one in beside if one.end <= passage.end and one.start <= passage.start), default=0)
        high = min((one.start for one in beside if one.start >= passage.start), default=None)
        start, end, text = passage.start, passage.end, passage.text
        room = wish.max_tokens - count_tokens(text, counter)
        if room > 0:
            reach = room * _CHARACTERS
            begin = max(0, min(start, max(low, start - reach)))
            stop = max(end, end + reach if high is None else min(high, end + reach))
            around = await read(hit, begin, stop - begin)
            if around is not None and around.text[start - begin : end - begin] == text:
                bounds = _Bounds(
                    begin in (0, low), stop == high or around.whole_end, wish.within, passage.document_id in headed
                )
                first, last = grown(around.text, start - begin, end - begin, room, bounds, counter)
                start, end, text = begin + first, begin + last, around.text[first:last]
        given.append(
            _Given(
                replace(hit, passage=passage._replace(text=text, start=start, end=end), matched=(match,)), start, end
            )
        )
    return [one.hit for one in given]


class _Bounds(NamedTuple):
    whole_start: bool  # the text begins where a paragraph does, not somewhere in the middle of one
    whole_end: bool
    within: str
    headed: bool


def grown(text: str, start: int, end: int, room: int, bounds: _Bounds, counter: TokenCounter) -> tuple[int, int]:
    """Return where `text[start:end]` begins and ends when it has grown by at most `room` tokens."""
    above, below = _beside(text, start, end, bounds)
    upward, downward = above[::-1], below
    ways, added = (upward, downward), list[tuple[int, int]]()
    while any(ways):
        for way in ways:
            if not way:
                continue
            block = way.pop(0)
            cost = count_tokens(text[block[0] : block[1]], counter)
            # Inside of one paragraph, what stands before the chunk leaves half of the room to what follows.
            halved = way is upward and downward and "\n" not in text[block[1] : start]
            share = room // 2 if halved else room
            if cost > share:
                block, cost = _nearest_sentences(text, block, share, counter, upward=way is upward)
                way.clear()
            if cost:
                start, room = min(start, block[0]), room - cost
                if way is downward:
                    added.append(block)
    while added and bounds.headed and _HEADING.match(text, added[-1][0]):
        added.pop()  # a heading of which nothing is given
    return start, added[-1][1] if added else end


def _beside(text: str, start: int, end: int, bounds: _Bounds) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the blocks above and below that may be added."""
    above = _blocks(text, 0, start)
    below = _blocks(text, end, len(text))
    if not bounds.whole_start and above:
        above[:1] = _from_second_sentence(text, above[0])
    if not bounds.whole_end and below:
        below[-1:] = _to_last_sentence(text, below[-1])
    if bounds.within == "section" and bounds.headed:
        return _in_section(text, start, above, below)
    return above, below


def _blocks(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the paragraphs and items of `text[start:end]`, without white space around them."""
    edges = [start, *(match.end() for match in _BREAK.finditer(text, start, end)), end]
    found = []
    for first, last in itertools.pairwise(edges):
        block = text[first:last]
        if block.strip():
            found.append((first + len(block) - len(block.lstrip()), first + len(block.rstrip())))
    return found


def _from_second_sentence(text: str, block: tuple[int, int]) -> list[tuple[int, int]]:
    starts = list(sentence_starts(text, *block))
    if len(starts) < 2:
        return []
    return [(block[1] - len(text[starts[1] : block[1]].lstrip()), block[1])]


def _to_last_sentence(text: str, block: tuple[int, int]) -> list[tuple[int, int]]:
    starts = list(sentence_starts(text, *block))
    return [(block[0], starts[-1])] if len(starts) > 1 else []


def _in_section(
    text: str, start: int, above: list[tuple[int, int]], below: list[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the blocks above up to the heading, and those below up to the next heading that is not under it."""
    own = _HEADING.match(text, start)
    level = _NO_LEVEL if own is None else len(own[1])
    if own is not None:
        above = []
    else:
        for at in range(len(above) - 1, -1, -1):
            heading = _HEADING.match(text, above[at][0])
            if heading is not None:
                level, above = len(heading[1]), above[at:]
                break
    for at, (first, _) in enumerate(below):
        heading = _HEADING.match(text, first)
        if heading is not None and len(heading[1]) <= level:
            return above, below[:at]
    return above, below


def _nearest_sentences(
    text: str, block: tuple[int, int], room: int, counter: TokenCounter, *, upward: bool
) -> tuple[tuple[int, int], int]:
    """Return as many whole sentences of a block as there is room for, from the end that is nearer to the chunk."""
    starts = list(sentence_starts(text, *block))
    spans = list(zip(starts, [*starts[1:], block[1]], strict=True))
    taken = 0
    chosen: list[tuple[int, int]] = []
    for span in reversed(spans) if upward else spans:
        cost = count_tokens(text[span[0] : span[1]], counter)
        if taken + cost > room:
            break
        taken += cost
        chosen.append(span)
    if not chosen:
        return block, 0
    first, last = min(span[0] for span in chosen), max(span[1] for span in chosen)
    part = text[first:last]
    return (first + len(part) - len(part.lstrip()), first + len(part.rstrip())), taken
