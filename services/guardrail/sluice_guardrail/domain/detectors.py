"""The list of all detectors of personal data and secrets, and one scan with those that a policy asks for."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from sluice_guardrail.domain.contact import find_emails, find_phones
from sluice_guardrail.domain.credentials import ASSIGNED, find_secrets
from sluice_guardrail.domain.financial import find_cards, find_crypto_addresses, find_ibans
from sluice_guardrail.domain.findings import Finding, merge_overlaps
from sluice_guardrail.domain.gates import Gates
from sluice_guardrail.domain.identifiers import find_ip_addresses, find_mac_addresses, find_ssns
from sluice_guardrail.domain.national import FORMATS as NUMBERS
from sluice_guardrail.domain.national import NumberFormat, find_numbers
from sluice_guardrail.domain.token_formats import TOKEN_FORMATS

PiiKind = Literal[
    "email",
    "phone",
    "credit_card",
    "iban",
    "us_ssn",
    "us_itin",
    "us_ein",
    "us_bank_routing",
    "us_medicare",
    "uk_nhs",
    "uk_nino",
    "uk_utr",
    "uk_driving_licence",
    "in_aadhaar",
    "in_pan",
    "in_gstin",
    "in_voter_id",
    "in_upi",
    "de_tax_id",
    "fr_nir",
    "es_nif",
    "it_fiscal_code",
    "nl_bsn",
    "pl_pesel",
    "be_national_number",
    "se_personal_number",
    "dk_cpr",
    "fi_hetu",
    "pt_nif",
    "ie_pps",
    "at_social_security",
    "eu_vat",
    "passport",
    "date_of_birth",
    "ip_address",
    "mac_address",
    "crypto_address",
    "person",
    "secret",
]
Detector = Callable[[str, Sequence[str]], Iterator[Finding]]
Checkpoint = Callable[[], None]

_NATIONAL: tuple[PiiKind, ...] = tuple(
    kind for kind in get_args(PiiKind) if kind in {number.kind for number in NUMBERS}
)


def _numbers(kind: PiiKind) -> Detector:
    formats: Sequence[NumberFormat] = [number for number in NUMBERS if number.kind == kind]
    return lambda text, regions: (found for number in formats for found in find_numbers(number, text))


DETECTORS: Mapping[PiiKind, Detector] = {
    "secret": lambda text, regions: find_secrets(text),
    "email": lambda text, regions: find_emails(text),
    "credit_card": lambda text, regions: find_cards(text),
    "iban": lambda text, regions: find_ibans(text),
    "us_ssn": lambda text, regions: find_ssns(text),
    **{kind: _numbers(kind) for kind in _NATIONAL},
    "ip_address": lambda text, regions: find_ip_addresses(text),
    "mac_address": lambda text, regions: find_mac_addresses(text),
    "crypto_address": lambda text, regions: find_crypto_addresses(text),
    "phone": find_phones,
}

# Programs name things by UUIDs, in which all kinds of numbers occur by chance.
_UUIDS = "uuids"
_UUID = re.compile(r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b")
_HEX_PAIR = "[0-9A-Fa-f]{2}"
# What must occur for a detector to find anything; each is a plain over-estimate of the detector's own patterns.
_GATES = Gates(
    {
        "secret": "|".join(sorted({token.gate for token in TOKEN_FORMATS}))
        + r"|eyJ|PRIVATE KEY|PuTTY-User-Key|://[^\s/]*@|(?i:bearer|aws|basic\s|curl\s)|"
        + ASSIGNED,
        "email": "@|%40|&#64;|&#[xX]40;",
        "credit_card": r"[0-9](?:[ \-.]?[0-9]){12}|[0-9]{4}[ \t\n\-_/.>#*|\x{2022}]{1,14}[0-9]{4}",
        "iban": r"[A-Za-z]{2}[0-9]{2}[ .-]{0,2}[A-Za-z0-9]{2}",
        "us_ssn": r"[0-9]{3}[-. ][0-9]{2}[-. ][0-9]{4}|[0-9]{9}",
        **{kind: "|".join(one.gate for one in NUMBERS if one.kind == kind) for kind in _NATIONAL},
        "ip_address": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|::|(?::[0-9A-Fa-f]{1,4}){7}",
        "mac_address": rf"(?:{_HEX_PAIR}[:-]){{5}}|(?:[0-9A-Fa-f]{{4}}\.){{2}}[0-9A-Fa-f]{{4}}",
        "crypto_address": r"[13][1-9A-HJ-NP-Za-km-z]{25}|bc1|BC1",
        "phone": r"[0-9](?:[ .\-/()]{0,4}[0-9]){6}",
        _UUIDS: "-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-",
    }
)


def find_personal_data(
    text: str, kinds: Collection[PiiKind], regions: Sequence[str], checkpoint: Checkpoint
) -> list[Finding]:
    """Return what the detectors of `kinds` find in a folded text, overlaps joined, in order of place.

    `checkpoint` is called before each detector and may raise when the caller's time is over.
    """
    found: list[Finding] = []
    opened = _GATES.opened_by(text)
    plain = _blanked(text, (match.span() for match in _UUID.finditer(text))) if _UUIDS in opened else text
    for kind in DETECTORS:
        if kind in kinds and kind in opened:
            checkpoint()
            readable = text if kind == "secret" else plain
            # Numbers of other kinds look like telephone numbers, so phones (last) see the text without them.
            if kind == "phone" and found:
                readable = _blanked(plain, [(finding.start, finding.end) for finding in merge_overlaps(found)])
            found.extend(DETECTORS[kind](readable, regions))
    return merge_overlaps(found)


def _blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts: list[str] = []
    end = 0
    for start, stop in spans:
        parts += (text[end:start], "\0" * (stop - start))
        end = stop
    return "".join((*parts, text[end:]))
