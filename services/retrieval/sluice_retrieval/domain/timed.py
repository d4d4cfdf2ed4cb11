"""Timed text: what is said and seen in a recording, in sections under headings that say from when to when."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_SECTION_S, _LONGEST_S = 30, 60  # a section ends with the first sentence after the one, and at the other all the same
_SENTENCE_END = re.compile(r"[.!?…。！？]['\"”’)]*$")
_MOMENT = r"(\d{1,3}):([0-5]\d):([0-5]\d)"
_SPAN = re.compile(rf"{_MOMENT}(?: – {_MOMENT})?", re.ASCII)


class Line(NamedTuple):
    """Words from a second on, until another one where that is known (else the same); `seen`: what the picture shows then."""

    start_s: float
    end_s: float
    text: str
    seen: bool = False


class Stretch(NamedTuple):
    """About half a minute of lines, in the order of time."""

    start_s: float
    end_s: float
    lines: tuple[Line, ...]

    @property
    def heading(self) -> str:
        """Say from when to when, in whole seconds around it: `0:01:30 – 0:02:02`; the beginning alone where the end is not known."""
        if self.end_s <= self.start_s:
            return moment(self.start_s)
        return f"{moment(self.start_s)} – {moment(math.ceil(self.end_s))}"


class Span(NamedTuple):
    """Whole seconds of a recording; the end is None where it is not known."""

    start_s: int
    end_s: int | None


def stretches(lines: Iterable[Line]) -> Iterator[Stretch]:
    """Yield lines, which come in the order of time, in sections of at least half a minute that end with a sentence, and of a minute at most.

    A line is never cut, so that a longer one makes a longer section.
    """
    held: list[Line] = []
    for line in lines:
        over = line.start_s - held[0].start_s if held else 0.0
        if over >= _LONGEST_S or (over >= _SECTION_S and _SENTENCE_END.search(held[-1].text)):
            yield _joined(held)
            held = []
        held.append(line)
    if held:
        yield _joined(held)


def _joined(lines: list[Line]) -> Stretch:
    return Stretch(lines[0].start_s, max(line.end_s for line in lines), tuple(lines))


def moment(second: float) -> str:
    """Return a moment as hours, minutes and seconds: `1:02:03`."""
    whole = int(second)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def span_of(heading: str | None) -> Span | None:
    """Return the seconds that a heading of a timed text names, None if it is another heading."""
    found = None if heading is None else _SPAN.fullmatch(heading.rpartition(" > ")[2])
    if found is None:
        return None
    numbers = [None if part is None else int(part) for part in found.groups()]
    start, end = _seconds(*numbers[:3]), _seconds(*numbers[3:])
    return None if start is None else Span(start, end)


def _seconds(hours: int | None, minutes: int | None, seconds: int | None) -> int | None:
    if hours is None or minutes is None or seconds is None:
        return None
    return 3600 * hours + 60 * minutes + seconds
