"""The tellings of one transcript: the same words as one text, in segments, word by word, or as the lines of subtitles.

What is taken out of one of them is taken out of all, and a value that several pieces share is taken out of each of them.
"""

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from sluice.contracts.guard import IssueDetail

REMOVED = "[REMOVED]"
_TELLING = 4  # letters and digits; a shorter value says nothing where it stands elsewhere


class Taken(NamedTuple):
    """A place of a telling that may not be shown, in characters, and what stands there instead."""

    start: int
    end: int
    label: str


class Telling:
    """One telling: its pieces in order, and the text that they come to."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = pieces
        self.starts: list[int] = []
        text: list[str] = []
        size = 0
        for piece in pieces:
            if size and not (text[-1][-1:].isspace() or piece[:1].isspace()):
                text.append(" ")
                size += 1
            self.starts.append(size)
            text.append(piece)
            size += len(piece)
        self.text = "".join(text)

    def without(self, taken: Sequence[Taken]) -> list[str]:
        """Return the pieces with these places replaced; they are in order and do not overlap.

        What stands instead is told in the first piece that a place touches, and in those of which else nothing would be left.
        """
        out: list[str] = []
        first, before = 0, 0
        for start, piece in zip(self.starts, self.pieces, strict=True):
            end = start + len(piece)
            while first < len(taken) and taken[first].end <= start:
                first += 1
            shown, at, label = "", start, ""
            for one in islice(taken, first, None):
                if one.start >= end:
                    break
                shown += self.text[at : one.start] + (one.label if one.start >= before else "")
                at, label = min(one.end, end), label or one.label
            shown += self.text[at:end]
            out.append(shown if shown.strip() or not piece.strip() else label or REMOVED)
            before = end
        return out


def taken_from(text: str, shown: str, details: Sequence[IssueDetail]) -> list[Taken] | None:
    """Return what a guard took out of a text, given what it would show; None where that does not tell it."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted((one.start, one.end) for one in details if one.action != "flag"):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((start, end))
    if not spans or shown[: spans[0][0]] != text[: spans[0][0]]:
        return [] if shown == text else None
    out: list[Taken] = []
    here = spans[0][0]
    for (start, end), following in zip(spans, [*(one[0] for one in spans[1:]), len(text)], strict=True):
        kept = text[end:following]
        there = len(shown) - len(kept) if following == len(text) else shown.find(kept, here)
        if there < here or shown[there : there + len(kept)] != kept:
            return None
        out.append(Taken(start, end, shown[here:there]))
        here = there + len(kept)
    return out


def agreed(tellings: Sequence[Telling], found: Sequence[Sequence[Taken]]) -> list[list[Taken]]:
    """Return what is taken out of each telling when all of them shall say the same.

    Tellings with the same letters and digits are held against each other place by place; in others the same values are looked for.
    """
    if not any(found):
        return [[] for _ in tellings]
    known = [_letters(one.text) for one in tellings]
    out = [list(own) for own in found]
    for mine, own in zip(known, found, strict=True):
        for others, all_of_it in zip(out, known, strict=True):
            if all_of_it is not mine:
                others += [place for one in own for place in _places(mine, all_of_it, one)]
    return [_merged(one) for one in out]


class _Letters(NamedTuple):
    text: str
    at: list[int]


def _letters(text: str) -> _Letters:
    at = [place for place, char in enumerate(text) if char.isalnum() or unicodedata.category(char)[0] == "M"]
    return _Letters("".join(text[place].lower()[0] for place in at), at)


def _places(mine: _Letters, others: _Letters, one: Taken) -> list[Taken]:
    first, last = bisect_left(mine.at, one.start), bisect_left(mine.at, one.end)
    if first == last:
        return []
    if mine.text == others.text:
        return [Taken(others.at[first], others.at[last - 1] + 1, one.label)]
    value, places = mine.text[first:last], []
    start = others.text.find(value) if len(value) >= _TELLING else -1
    while start >= 0:
        end = start + len(value)
        places.append(Taken(others.at[start], others.at[end - 1] + 1, one.label))
        start = others.text.find(value, end)
    return places


def _merged(taken: Sequence[Taken]) -> list[Taken]:
    out: list[Taken] = []
    for one in sorted(taken, key=lambda one: (one.start, -one.end)):
        if out and one.start < out[-1].end:
            out[-1] = out[-1]._replace(end=max(out[-1].end, one.end))
        else:
            out.append(one)
    return out
