"""Identity numbers of the United Kingdom and India: right ones are found, a wrong digit is left alone."""

import pytest

from sluice_guardrail.domain.detectors import DETECTORS, find_personal_data


def _kinds(text: str) -> list[str]:
    return [found.kind for found in find_personal_data(text, frozenset(DETECTORS), ("US", "GB"), lambda: None)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("My NHS number is 943 476 5919.", "uk_nhs"),
        ("NINO: AB 12 34 56 C", "uk_nino"),
        ("Aadhaar 2345 6789 0124 please", "in_aadhaar"),
        ("PAN ABCPE1234F", "in_pan"),
    ],
)
def test_a_right_number_is_found(text: str, kind: str) -> None:
    assert _kinds(text) == [kind]


@pytest.mark.parametrize(
    "text", ["NHS order 943 476 5918-77", "NINO: GB 12 34 56 C", "Aadhaar 2345 6789 0123 please", "PAN ABCDE1234F"]
)
def test_a_wrong_number_is_left_alone(text: str) -> None:
    assert not {"uk_nhs", "uk_nino", "in_aadhaar", "in_pan"} & set(_kinds(text))
