"""What a detector found, and how findings that overlap become one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from sluice.contracts.guard import HallucinationCause

Category = Literal[
    "pii",
    "secret",
    "injection",
    "output_filter",
    "invisible_text",
    "url",
    "language",
    "topic",
    "code",
    "length",
    "harm",
    "grounding",
    "support",
    "unsupported_span",
    "opinion",
    "scanner",
    "failure",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One span of a text: `start` and `end` count characters, `kind` names what it is, `score` is 0 to 1, `reason` says why, `cause` whence a sentence without support may come."""

    category: Category
    detector: str
    kind: str
    start: int
    end: int
    score: float
    reason: str = ""
    cause: HallucinationCause | None = None


def ascii_word(char: str) -> bool:
    """Say whether a character continues an identifier; letters of other scripts do not, as they need no space."""
    return (char.isascii() and char.isalnum()) or char == "_"


def stands_alone(text: str, start: int, end: int) -> bool:
    """Say whether text[start:end] is not a part of a longer ASCII word or number."""
    before = start == 0 or not ascii_word(text[start - 1])
    return before and (end >= len(text) or not ascii_word(text[end]))


def number_alone(text: str, start: int, end: int) -> bool:
    """Say whether text[start:end] stands alone and no sign joins it to digits, as in a longer number or a version."""
    if not stands_alone(text, start, end):
        return False
    joined_before = start > 1 and text[start - 1] in "-." and text[start - 2].isdigit()
    joined_after = end + 1 < len(text) and text[end] in "-." and text[end + 1].isdigit()
    return not joined_before and not joined_after


def merge_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Join findings that share characters into one, in order of place.

    The joined finding covers the union of the spans, so that nothing that any detector found stays visible; it takes
    its kind from the surest of them, and from the longest where two are equally sure.
    """
    merged: list[Finding] = []
    strongest: Finding | None = None
    for finding in sorted(findings, key=lambda found: (found.start, -found.end)):
        if strongest is None or finding.start >= merged[-1].end:
            merged.append(finding)
            strongest = finding
            continue
        last = merged[-1]
        if _strength(finding) > _strength(strongest):
            strongest = finding
        merged[-1] = replace(strongest, start=last.start, end=max(last.end, finding.end))
    return merged


def _strength(finding: Finding) -> tuple[float, int]:
    return finding.score, finding.end - finding.start
