"""Finds national identity numbers of the United Kingdom and India by their shape and, where they have one, check digit."""

import re
from collections.abc import Iterator

from sluice_guardrail.domain.findings import Finding, stands_alone

_NHS = re.compile(r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}")
_NHS_CUE = re.compile(r"\bnhs\b[^\d\n]{0,24}\Z", re.IGNORECASE)
_CUE_REACH = 40
_NINO = re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]")
_NINO_UNUSED = frozenset({"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"})
_AADHAAR = re.compile(r"[2-9][0-9]{3}([ -]?)[0-9]{4}\1[0-9]{4}")
_PAN = re.compile(r"[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]")
_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def find_nhs_numbers(text: str) -> Iterator[Finding]:
    """Yield NHS numbers (modulo-11 check digit) that follow the word NHS: alone, one telephone number in eleven is one."""
    for match in _NHS.finditer(text):
        cued = _NHS_CUE.search(text, max(0, match.start() - _CUE_REACH), match.start())
        if cued and stands_alone(text, *match.span()) and _nhs_checks(_digits(match.group())):
            yield Finding("pii", "uk_nhs", "uk_nhs", match.start(), match.end(), 0.95)


def find_ninos(text: str) -> Iterator[Finding]:
    """Yield UK National Insurance numbers with a prefix that is given out."""
    for match in _NINO.finditer(text):
        if match.group()[:2] not in _NINO_UNUSED and stands_alone(text, *match.span()):
            yield Finding("pii", "uk_nino", "uk_nino", match.start(), match.end(), 0.9)


def find_aadhaar_numbers(text: str) -> Iterator[Finding]:
    """Yield Indian Aadhaar numbers with a right Verhoeff check digit."""
    for match in _AADHAAR.finditer(text):
        if stands_alone(text, *match.span()) and _verhoeff(_digits(match.group())):
            yield Finding("pii", "in_aadhaar", "in_aadhaar", match.start(), match.end(), 0.9)


def find_pans(text: str) -> Iterator[Finding]:
    """Yield Indian permanent account numbers, whose fourth letter names the kind of holder."""
    for match in _PAN.finditer(text):
        if stands_alone(text, *match.span()):
            yield Finding("pii", "in_pan", "in_pan", match.start(), match.end(), 0.85)


def _digits(written: str) -> list[int]:
    return [int(char) for char in written if char.isdigit()]


def _nhs_checks(digits: list[int]) -> bool:
    total = sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False))
    return (11 - total % 11) % 11 == digits[9]


def _verhoeff(digits: list[int]) -> bool:
    # J. Verhoeff, Error Detecting Decimal Codes (1969): the digits multiplied in the dihedral group of order ten.
    check = 0
    for place, digit in enumerate(reversed(digits)):
        for _ in range(place % 8):
            digit = _PERMUTATION[digit]
        check = _times(check, digit)
    return check == 0


def _times(one: int, other: int) -> int:
    if one < 5:
        return (one + other) % 5 if other < 5 else 5 + (one + other - 5) % 5
    return 5 + (one - 5 - other) % 5 if other < 5 else (one - other) % 5
