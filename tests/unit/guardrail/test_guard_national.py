"""Numbers by which states know people and firms: right ones are found, a wrong digit or a missing word leaves them alone."""

import pytest

from sluice_guardrail.domain.detectors import DETECTORS, find_personal_data
from sluice_guardrail.domain.national import FORMATS

# Examples that others made: Presidio's and python-stdnum's documentation, tax offices' own pages.
RIGHT = {
    "us_itin": "ITIN 912-70-1234",
    "us_ein": "EIN: 12-3456789",
    "us_bank_routing": "routing number 021000021",
    "us_medicare": "Medicare 1EG4-TE5-MK73",
    "uk_nhs": "My NHS number is 943 476 5919.",
    "uk_nino": "NINO: AB 12 34 56 C",
    "uk_utr": "UTR 1123456789",
    "uk_driving_licence": "licence MORGA657054SM9IJ",
    "in_aadhaar": "Aadhaar 2345 6789 0124 please",
    "in_pan": "PAN ABCPE1234F",
    "in_gstin": "GSTIN 27AAPFU0939F1ZV",
    "in_voter_id": "voter card WKH1186253",
    "in_upi": "pay to ada.l@okaxis now",
    "de_tax_id": "Steuer-ID: 36 574 261 809",
    "fr_nir": "NIR 2 95 10 99 126 111 93",
    "es_nif": "DNI 54362315-K",
    "it_fiscal_code": "codice fiscale RCCMNL83S18D969H",
    "nl_bsn": "BSN 1112.22.333",
    "pl_pesel": "PESEL: 44051401359",
    "be_national_number": "rijksregister 85.07.30-033 28",
    "se_personal_number": "880320-0016",
    "dk_cpr": "CPR-nummer 211062-5629",
    "fi_hetu": "131052-308T",
    "pt_nif": "NIF 501 964 843",
    "ie_pps": "PPS number 6433435F",
    "at_social_security": "SVNR 1237 010180",
    "eu_vat": "VAT number DE 136 695 976",
    "passport": "passport no. C01X00T47",
    "date_of_birth": "she was born on 12 March 1984",
}


def _kinds(text: str) -> list[str]:
    return [found.kind for found in find_personal_data(text, frozenset(DETECTORS), ("US", "GB"), lambda: None)]


def test_every_kind_has_an_example() -> None:
    assert set(RIGHT) == {number.kind for number in FORMATS}


@pytest.mark.parametrize(("kind", "text"), RIGHT.items())
def test_a_right_number_is_found(kind: str, text: str) -> None:
    assert _kinds(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "NHS order 943 476 5918-77",
        "NINO: GB 12 34 56 C",
        "Aadhaar 2345 6789 0123 please",
        "PAN ABCDE1234F",
        "ITIN 912-93-1234",
        "EIN: 07-3456789",
        "routing number 021000022",
        "UTR 1123456780",
        "licence MORGA693054SM9IJ",
        "GSTIN 27AAPFU0939F1ZO",
        "voter card WKH1186254",
        "Steuer-ID: 36 574 261 890",
        "NIR 2 95 10 99 126 111 94",
        "DNI 54362315-Z",
        "codice fiscale RCCMNL83S18D969I",
        "BSN 1112.22.334",
        "PESEL: 44051401358",
        "rijksregister 85.07.30-033 29",
        "880320-0017",
        "131052-308U",
        "NIF 501 964 842",
        "PPS number 6433435E",
        "SVNR 1238 010180",
        "VAT number XX 136 695 976",
        "the passport office opens at 08001234",
        "the meeting is on 12 March 1984",
        "order 44051401359",
        "total 021000021 of 111222333",
    ],
)
def test_a_wrong_number_and_one_without_its_name_are_left_alone(text: str) -> None:
    assert not set(RIGHT) & set(_kinds(text))
