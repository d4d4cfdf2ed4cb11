"""Finds a system prompt and its canaries in an answer, as they stand and under every disguise that is read (handbook F129)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sluice_guardrail.domain.ciphers import LETTERS, shifted
from sluice_guardrail.domain.disguises import readings
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.paraphrase import find_paraphrase
from sluice_guardrail.domain.skeleton import alike, lowered

LEAK_WORDS = 14
LEAK_LETTERS = 60
_STRIDE = 10
_WORD = re.compile(r"\w+")


def find_leaks(text: str, system_texts: Sequence[str], canaries: Sequence[str]) -> Iterator[Finding]:
    """Yield canaries, and runs of a system prompt, in a folded answer.

    A run is `LEAK_WORDS` words in a row, or `LEAK_LETTERS` and `_STRIDE` letters and digits, whatever stands between them. A
    canary is compared by its letters and digits alone, so that spacing, dashes and capitals do not hide it, nor digits in place of letters.
    """
    if not system_texts and not canaries:
        return
    known = _Known(system_texts, canaries)
    yield from known.found_in(text)
    yield from find_paraphrase(text, system_texts)
    for reading in readings(text):
        for leak in known.found_in(reading.text):
            start, end = reading.span(leak.start, leak.end)
            yield replace(leak, start=start, end=end)


class _Known:
    """What must not leave, taken apart once for all readings of an answer."""

    def __init__(self, system_texts: Sequence[str], canaries: Sequence[str]) -> None:
        self._words: set[int] = set()
        self._letters: set[str] = set()
        for system_text in system_texts:
            words = _WORD.findall(lowered(system_text))
            self._words.update(hash(tuple(words[at : at + LEAK_WORDS])) for at in range(len(words) - LEAK_WORDS + 1))
            bare = _bare(system_text)[0]
            self._letters.update(bare[at : at + LEAK_LETTERS] for at in range(0, len(bare) - LEAK_LETTERS + 1, _STRIDE))
        # A canary has no words by which a shifted alphabet could be told, so that it is looked for in all of them.
        moved = (shifted(canary, by) for canary in canaries for by in range(LETTERS))
        self._canaries = list(dict.fromkeys(_bare(one)[0] for one in moved))

    def found_in(self, text: str) -> Iterator[Finding]:
        """Yield what of it stands in a text."""
        if self._words:
            matches = list(_WORD.finditer(lowered(text)))
            words = [match.group() for match in matches]
            hits = (
                at
                for at in range(len(words) - LEAK_WORDS + 1)
                if hash(tuple(words[at : at + LEAK_WORDS])) in self._words
            )
            for first, last in _runs(hits, LEAK_WORDS):
                yield _leak("verbatim_prompt", matches[first].start(), matches[last].end())
        bare, places = _bare(text)
        if self._letters:
            letters = self._letters
            hits = (at for at in range(len(bare) - LEAK_LETTERS + 1) if bare[at : at + LEAK_LETTERS] in letters)
            for first, last in _runs(hits, LEAK_LETTERS):
                yield _leak("verbatim_prompt", places[first], places[last] + 1)
        for canary in self._canaries:
            at = bare.find(canary)
            while at != -1:
                last = at + len(canary) - 1
                yield _leak("canary", places[at], places[last] + 1)
                at = bare.find(canary, last + 1)


def _bare(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of a text, in one form for those that look alike, with their places."""
    places = [at for at, char in enumerate(text) if char.isalnum()]
    return alike("".join(text[at] for at in places)), places


def _runs(hits: Iterator[int], size: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last unit of each run of windows of `size` units that begin at `hits` and overlap or touch."""
    first: int | None = None
    last = 0
    for at in hits:
        if first is not None and at > last + 1:
            yield first, last
            first = None
        first = at if first is None else first
        last = at + size - 1
    if first is not None:
        yield first, last


def _leak(kind: str, start: int, end: int) -> Finding:
    return Finding("output_filter", "output_filter", kind, start, end, 1.0)
