"""Finds texts in languages that a policy does not want."""

from collections.abc import Iterator
from typing import Protocol

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.scanners.rules import LanguageRules

_FEWEST_LETTERS = 24
_LONGEST = 4000
_NONE = "zxx"  # ISO 639-2: no linguistic content, such as identifiers and a row of letters


class Languages(Protocol):
    """Tells the language of a text.

    Degraded mode: none is needed, as the model is part of the installation.
    """

    def best(self, text: str) -> tuple[str, float]:
        """Return the likeliest language (ISO 639-1) and how sure that is, 0 to 1."""
        ...


def find_languages(text: str, rules: LanguageRules, languages: Languages) -> Iterator[Finding]:
    """Yield one finding over the whole text if its language is denied or not allowed; too short a text has none."""
    sample = text[:_LONGEST]
    if sum(char.isalpha() for char in sample) < _FEWEST_LETTERS:
        return
    language, sure = languages.best(sample)
    if language == _NONE:
        return
    if language in rules.deny:
        yield Finding("language", "language", language, 0, len(text), sure, "the policy denies this language")
    elif rules.allow and language not in rules.allow:
        yield Finding("language", "language", language, 0, len(text), sure, "the policy does not list this language")
