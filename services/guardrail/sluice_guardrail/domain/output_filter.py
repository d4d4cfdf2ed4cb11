"""Scores an answer for what should not leave: a leaked system prompt and the marks of chat templates (handbook F128)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.skeleton import lowered

_S = r"[^\w]{1,4}"
_W = r"(?:\w{1,20}[^\w]{1,4})"
_PROMPT = (
    r"(?:(?:system|initial|hidden|secret|original|internal|developer) (?:prompt|instructions?|message|directives?))"
)

MarkKind = Literal[
    "prompt_leak",
    "instruction_ignored",
    "template_token",
    "delimiter",
    "verbatim_prompt",
    "paraphrased_prompt",
    "canary",
]
UNSAFE_KINDS: frozenset[str] = frozenset(
    {"prompt_leak", "instruction_ignored", "verbatim_prompt", "paraphrased_prompt", "canary"}
)


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


def find_output_marks(text: str) -> Iterator[Finding]:
    """Yield marks in a folded answer; headings and talk about system prompts in general are none."""
    low = lowered(text)
    for mark in _MARKS:
        if any(needle in low for needle in mark.needles):
            for match in mark.pattern.finditer(low):
                yield Finding("output_filter", "output_filter", mark.kind, match.start(), match.end(), mark.score)
