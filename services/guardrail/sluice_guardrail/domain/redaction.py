"""Writes the text that may go on: each span replaced by a label such as [EMAIL]."""

import json
import re
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.masking import Masks

REMOVED = "[REMOVED]"
_CUT_OUT = ("invisible_text", "length")
_STRING_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<number>-?\d[-+.eE\d]*)')
_FENCED = re.compile(r"```(?:json)?[ \t]{0,9}\n(.*?)```", re.DOTALL)
_KEY = re.compile(r'":\s{0,9}\Z')


@dataclass(slots=True)
class Labels:
    """Names the replacements of one request; numbered ones give the same value the same number everywhere in it."""

    numbered: bool
    masks: Masks | None = None
    masked: Collection[str] = ()
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def label(self, finding: Finding, value: str) -> str:
        """Return the replacement of `value`."""
        if finding.category in _CUT_OUT:
            return ""
        if not is_personal(finding):
            return REMOVED
        name = finding.kind.upper()
        if not self.numbered:
            return f"[{name}]"
        key = (finding.kind, _normal(value))
        if key not in self._numbers:
            self._counts[finding.kind] = self._numbers[key] = self._counts.get(finding.kind, 0) + 1
        return f"[{name}_{self._numbers[key]}]"


def is_personal(finding: Finding) -> bool:
    """Say whether a finding is personal data or a secret: what is masked or named by its kind."""
    return finding.category in ("pii", "secret")


def redact(text: str, findings: Sequence[Finding], labels: Labels) -> str:
    """Return the text with each finding replaced; findings are in order, do not overlap and count its characters."""
    if not findings:
        return text
    masked = labels.masks.within(text) if labels.masks is not None else None
    numbers = _numbers(text)
    parts: list[str] = []
    end = 0
    for finding in findings:
        number = _around(finding, numbers) or _after_key(text, finding)
        start, stop = number or (finding.start, finding.end)
        parts.append(text[end:start])
        if masked is not None and is_personal(finding) and finding.detector in labels.masked:
            label = masked.placeholder(finding.kind, start, stop)
        else:
            label = labels.label(finding, text[start:stop])
        parts.append(label if number is None else f'"{label}"')
        end = stop
    parts.append(text[end:])
    return "".join(parts)


def _numbers(text: str) -> list[tuple[int, int]]:
    # The numbers of a JSON document, or of those in fenced blocks: what takes the place of one has to be a string.
    if _is_document(text):
        documents = [(0, len(text))]
    else:
        documents = [block.span(1) for block in _FENCED.finditer(text) if _is_document(block[1])]
    return [
        match.span("number")
        for start, end in documents
        for match in _STRING_OR_NUMBER.finditer(text, start, end)
        if match["number"]
    ]


def _is_document(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _around(finding: Finding, numbers: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    at = bisect_right(numbers, finding.start, key=lambda number: number[0]) - 1
    return numbers[at] if at >= 0 and finding.end <= numbers[at][1] else None


def _after_key(text: str, finding: Finding) -> tuple[int, int] | None:
    # A part of a document, as the window of a stream is one, shows a number by the key before it and what ends it.
    start, end = finding.start, finding.end
    if not text[start:end].isdigit() or text[end : end + 20].lstrip()[:1] not in (",", "}"):
        return None
    start -= text[:start].endswith("-")
    return (start, end) if _KEY.search(text, max(0, start - 20), start) is not None else None


def _normal(value: str) -> str:
    # `+49 30 1234` and `+49-30-1234` are one number: only letters and digits tell values apart.
    return "".join(char for char in value.casefold() if char.isalnum() or char in "@+")
