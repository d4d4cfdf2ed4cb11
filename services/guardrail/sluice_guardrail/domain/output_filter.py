"""Scores an answer for what should not leave: a leaked system prompt and the marks of chat templates (handbook F128)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sluice_guardrail.domain.disguises import readings
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.folding import lowered

_S = r"[^\w]{1,4}"
_W = r"(?:\w{1,20}[^\w]{1,4})"
_PROMPT = (
    r"(?:(?:system|initial|hidden|secret|original|internal|developer) (?:prompt|instructions?|message|directives?))"
)

MarkKind = Literal["prompt_leak", "instruction_ignored", "template_token", "delimiter", "verbatim_prompt", "canary"]
UNSAFE_KINDS: frozenset[str] = frozenset({"prompt_leak", "instruction_ignored", "verbatim_prompt", "canary"})


@dataclass(frozen=True, slots=True)
class _Mark:
    kind: MarkKind
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    score: float


_MARKS = (
    _Mark(
        "prompt_leak",
        ("prompt", "instruction", "message", "directive"),
        re.compile(
            rf"\b(?:my|here (?:is|are) (?:my|the|your)|the following (?:is|are) my){_S}(?:{_W}){{0,2}}?{_PROMPT}"
            rf"(?:{_S}(?:{_W}){{0,4}}?(?:is|are|says?|reads?|states?|was|were|begins?|follows?)\b|{_S}?[:\n])"
        ),
        0.9,
    ),
    _Mark(
        "prompt_leak",
        ("instruct", "system prompt", "told"),
        re.compile(
            rf"\b(?:my instructions are(?: as follows|:| to)|i (?:was|have been|am) (?:instructed|told|programmed|configured) (?:to|by (?:my|the) (?:system|developer))"
            rf"{_S}(?:{_W}){{0,8}}?(?:not (?:reveal|disclose|share|tell)|never (?:reveal|disclose|share|tell)|system prompt|secret|confidential))"
        ),
        0.8,
    ),
    _Mark(
        "instruction_ignored",
        ("ignor", "disregard", "bypass", "overrid"),
        re.compile(
            r"\b(?:i will|i'll|i am|i'm|i have|i've|as (?:requested|instructed),? i(?: will|'ll)?)[^\w]{1,3}(?:now |hereby |happily )?"
            r"(?:ignor(?:e|ed|ing)|disregard(?:ed|ing)?|bypass(?:ed|ing)?|overrid(?:e|den|ing))[^\w]{1,3}(?:\w{1,14}[^\w]{1,3}){0,4}?"
            r"(?:instructions?|guidelines?|rules|restrictions|safety|policies|polic(?:y|ies)|programming|system prompt)\b"
        ),
        0.85,
    ),
    _Mark("template_token", ("<|",), re.compile(r"<\|[a-z_0-9 ]{1,40}\|>"), 0.9),
    _Mark("template_token", ("[inst]", "[/inst]", "<<sys>>"), re.compile(r"\[/?inst\]|<</?sys>>"), 0.85),
    _Mark(
        "delimiter",
        ("###",),
        re.compile(
            r"#{3,6} ?(?:\w{1,14} ){0,2}?(?:system|instructions?|prompt|assistant|user|human|developer|context|end|begin|start)\b[^\n#]{0,40}#{3,6}"
        ),
        0.8,
    ),
)

LEAK_WORDS = 14
_WORD = re.compile(r"\w+")


def find_output_marks(text: str) -> Iterator[Finding]:
    """Yield marks in a folded answer; headings and talk about system prompts in general are none."""
    low = lowered(text)
    for mark in _MARKS:
        if any(needle in low for needle in mark.needles):
            for match in mark.pattern.finditer(low):
                yield Finding("output_filter", "output_filter", mark.kind, match.start(), match.end(), mark.score)


def find_verbatim_leaks(text: str, system_texts: Sequence[str]) -> Iterator[Finding]:
    """Yield runs of at least `LEAK_WORDS` words that the answer shares with a system prompt, word for word."""
    known: set[int] = set()
    for system_text in system_texts:
        words = _WORD.findall(lowered(system_text))
        known.update(hash(tuple(words[at : at + LEAK_WORDS])) for at in range(len(words) - LEAK_WORDS + 1))
    if not known:
        return
    matches = list(_WORD.finditer(lowered(text)))
    words = [match.group() for match in matches]
    first: int | None = None
    last = 0
    for at in range(len(words) - LEAK_WORDS + 1):
        if hash(tuple(words[at : at + LEAK_WORDS])) not in known:
            continue
        if first is not None and at > last:
            yield _leak(matches[first].start(), matches[last - 1].end())
            first = None
        first = at if first is None else first
        last = at + LEAK_WORDS
    if first is not None:
        yield _leak(matches[first].start(), matches[last - 1].end())


def find_hidden_leaks(text: str, system_texts: Sequence[str], canaries: Sequence[str]) -> Iterator[Finding]:
    """Yield canaries, and runs of a system prompt, in a folded answer as it stands and under every disguise that is read.

    A canary is compared by its letters and digits alone, so that spacing, dashes and capitals do not hide it.
    """
    yield from find_verbatim_leaks(text, system_texts)
    yield from _canaries(text, canaries)
    if not system_texts and not canaries:
        return
    for reading in readings(text):
        for leak in (*find_verbatim_leaks(reading.text, system_texts), *_canaries(reading.text, canaries)):
            start, end = reading.span(leak.start, leak.end)
            yield replace(leak, start=start, end=end)


def _canaries(text: str, canaries: Sequence[str]) -> Iterator[Finding]:
    if not canaries:
        return
    places = [at for at, char in enumerate(text) if char.isalnum()]
    bare = lowered("".join(text[at] for at in places))
    for canary in canaries:
        wanted = lowered("".join(char for char in canary if char.isalnum()))
        at = bare.find(wanted)
        while at != -1:
            last = at + len(wanted) - 1
            yield Finding("output_filter", "output_filter", "canary", places[at], places[last] + 1, 1.0)
            at = bare.find(wanted, last + 1)


def _leak(start: int, end: int) -> Finding:
    return Finding("output_filter", "output_filter", "verbatim_prompt", start, end, 1.0)
