"""Finds texts that are longer than a policy allows."""

import re
from collections.abc import Iterator

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.scanners.rules import LengthRules

_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\n]*\n?")


def find_length(text: str, rules: LengthRules) -> Iterator[Finding]:
    """Yield what stands beyond a limit, so that cutting it off leaves the longest text that may pass."""
    if rules.max_characters is not None and len(text) > rules.max_characters:
        yield _beyond("characters", rules.max_characters, text)
    for kind, limit, pattern in (("words", rules.max_words, _WORD), ("lines", rules.max_lines, _LINE)):
        if limit is None:
            continue
        for number, match in enumerate(pattern.finditer(text)):
            if number == limit and match.group():
                yield _beyond(kind, match.start(), text)
                break


def _beyond(kind: str, start: int, text: str) -> Finding:
    return Finding("length", "length", f"too_many_{kind}", start, len(text), 1.0, "longer than the policy allows")
