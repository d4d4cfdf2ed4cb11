"""The list of all detectors of personal data and secrets, and one scan with those that a policy asks for."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

from sluice_guardrail.domain.contact import find_emails, find_phones
from sluice_guardrail.domain.credentials import find_secrets
from sluice_guardrail.domain.financial import find_cards, find_crypto_addresses, find_ibans
from sluice_guardrail.domain.findings import Finding, merge_overlaps
from sluice_guardrail.domain.identifiers import find_ip_addresses, find_mac_addresses, find_ssns

PiiKind = Literal[
    "email",
    "phone",
    "credit_card",
    "iban",
    "us_ssn",
    "ip_address",
    "mac_address",
    "crypto_address",
    "secret",
]
_DIGIT = re.compile(r"[0-9]")
_NEED_DIGITS: frozenset[PiiKind] = frozenset(
    {"phone", "credit_card", "iban", "us_ssn", "mac_address", "crypto_address"}
)
Detector = Callable[[str, Sequence[str]], Iterator[Finding]]
Checkpoint = Callable[[], None]

DETECTORS: Mapping[PiiKind, Detector] = {
    "secret": lambda text, regions: find_secrets(text),
    "email": lambda text, regions: find_emails(text),
    "credit_card": lambda text, regions: find_cards(text),
    "iban": lambda text, regions: find_ibans(text),
    "us_ssn": lambda text, regions: find_ssns(text),
    "ip_address": lambda text, regions: find_ip_addresses(text),
    "mac_address": lambda text, regions: find_mac_addresses(text),
    "crypto_address": lambda text, regions: find_crypto_addresses(text),
    "phone": find_phones,
}


def find_personal_data(
    text: str, kinds: Collection[PiiKind], regions: Sequence[str], checkpoint: Checkpoint
) -> list[Finding]:
    """Return what the detectors of `kinds` find in a folded text, overlaps joined, in order of place.

    `checkpoint` is called before each detector and may raise when the caller's time is over.
    """
    found: list[Finding] = []
    no_digits = _DIGIT.search(text) is None
    for kind in DETECTORS:
        if kind in kinds and not (no_digits and kind in _NEED_DIGITS):
            checkpoint()
            found.extend(DETECTORS[kind](text, regions))
    return merge_overlaps(found)
