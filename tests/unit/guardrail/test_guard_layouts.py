"""Personal data as people and programs lay it out: scripts, tables, names of fields, links; and what looks like it by chance."""

import random
import uuid

import pytest

from sluice_guardrail.domain.detectors import DETECTORS, find_personal_data
from sluice_guardrail.domain.folding import fold, unescaped
from sluice_guardrail.domain.headings import heading_of


def found(text: str) -> list[tuple[str, str]]:
    folded = fold(text)
    findings = find_personal_data(folded.text, frozenset(DETECTORS), ("US", "GB", "DE"), lambda: None)
    spans = [(finding.kind, *folded.original_span(finding.start, finding.end)) for finding in findings]
    return [(kind, text[start:end]) for kind, start, end in spans]


FINDS = [
    # digits of other scripts
    ("٤١١١١١١١١١١١١١١١", "credit_card", "٤١١١١١١١١١١١١١١١"),
    ("कार्ड ४१११ ११११ ११११ ११११", "credit_card", "४१११ ११११ ११११ ११११"),
    ("+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", "phone", "+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧"),
    # cards and accounts whose groups stand apart or are wrapped
    ("4111  1111  1111  1111", "credit_card", "4111  1111  1111  1111"),
    ("4111 - 1111 - 1111 - 1111", "credit_card", "4111 - 1111 - 1111 - 1111"),
    ("4111_1111_1111_1111", "credit_card", "4111_1111_1111_1111"),
    ("> 4111 1111\n> 1111 1111", "credit_card", "4111 1111\n> 1111 1111"),
    ("3782  822463  10005", "credit_card", "3782  822463  10005"),
    ("card_4111111111111111.pdf", "credit_card", "4111111111111111"),
    ("DE89.3704.0044.0532.0130.00", "iban", "DE89.3704.0044.0532.0130.00"),
    ("DE89 3704 0044\n0532 0130 00", "iban", "DE89 3704 0044\n0532 0130 00"),
    # addresses in links and settings
    ("https://x.example/?email=bob%40example.com&x=1", "email", "bob%40example.com"),
    ("bob&#64;example.com", "email", "bob&#64;example.com"),
    ("née le 1er août 1987", "date_of_birth", "1er août 1987"),
    ("né le 4 décembre 1987", "date_of_birth", "4 décembre 1987"),
    ("INSERT INTO users (id, name, nhs_number) VALUES (766, 'Ann', '943 476 5919');", "uk_nhs", "943 476 5919"),
    ("insert into t (id, bsn, x)\nvalues\n(1, '111222334', 2),\n(2, '123456782', 3)", "nl_bsn", "123456782"),
    ("https://x.example/users/bob@example.com", "email", "bob@example.com"),
    ("EMAIL=bob@example.com", "email", "bob@example.com"),
    ("bounces-bob=example.com@list.example", "email", "bounces-bob=example.com@list.example"),
    ("git@example.com is our address", "email", "git@example.com"),
    # names of fields
    ('{"social_security_number": "123456789"}', "us_ssn", "123456789"),
    ('{"socialSecurityNumber": 123456789}', "us_ssn", "123456789"),
    ('{"userSSN": 123456789}', "us_ssn", "123456789"),
    ("SSN: 123.45.6789", "us_ssn", "123.45.6789"),
    ("SSN-123-45-6789", "us_ssn", "123-45-6789"),
    ('{"date_of_birth": "1980-02-01"}', "date_of_birth", "1980-02-01"),
    ('{"dateOfBirth": "1980-02-01"}', "date_of_birth", "1980-02-01"),
    ('{"patientNhsNumber": "9434765919"}', "uk_nhs", "9434765919"),
    ('{"employer_id": "12-3456789"}', "us_ein", "12-3456789"),
    # a label, and the value on the next line
    ("Date of birth:\n01/02/1980", "date_of_birth", "01/02/1980"),
    ("NHS No\n943 476 5919", "uk_nhs", "943 476 5919"),
    # small letters
    ("mi dni es 12345678z", "es_nif", "12345678z"),
    ("rssmra85t10a562s", "it_fiscal_code", "rssmra85t10a562s"),
    ("RSS MRA 85T10 A562S", "it_fiscal_code", "RSS MRA 85T10 A562S"),
    ("my pan is abcpe1234f", "in_pan", "abcpe1234f"),
    ("my national insurance no is ab 12 34 56 c", "uk_nino", "ab 12 34 56 c"),
    ("AB-12-34-56-C", "uk_nino", "AB-12-34-56-C"),
    # headings of columns
    ("Here:\nname,ssn,city\nAda,123456789,Bonn", "us_ssn", "123456789"),
    ("| Name | Passport |\n|---|---|\n| Ada | C01X00T47 |", "passport", "C01X00T47"),
    ("name\tdob\nAda\t1980-02-01", "date_of_birth", "1980-02-01"),
    ("id;Phone\n1;2127365000\n2;x", "phone", "2127365000"),
    # Aadhaar numbers among other groups, where their name stands before
    ("Aadhaar 2341 2341 2346 2024", "in_aadhaar", "2341 2341 2346"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "value"), FINDS, ids=[text[:40] for text, _, _ in FINDS])
def test_a_value_is_found_however_it_is_laid_out(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "git clone git@github.com:org/repo.git, ssh://git@gitlab.example.com/org/repo",
        "Chrome/120.0.0.0 Safari/537.36, section 4.2.1.3, \u00a7 1.2.3.4",
        "INV-123-45-6789, inv-050-12-3456, build 123.45.6789",
        "call_id: 1234567890, a ring buffer 4096 8192, ISBN-10 0-306-40615-2",
        "call center opened 2012-2015",
        "the parties 12345678a and abcpe1234f, ab123456c",
        "4111\n1111\n1111\n1111",
        "4111\t1111\t1111\t1111\t1111",
        "2341 2341 2346 2024",
        "name,id,city\nAda,123456789,Bonn",
        "INSERT INTO t (id, size) VALUES (943, '943 476 5919x'), (2, '111222333')",
        "icon@2x.png, photo@1.5x.webp",
        "10.0.0.0/8, 192.168.0.0/16 and 203.0.113.0/24",
        "name,ssn\n\n1,123456789",
        "name,ssn\nAda,Bonn,123456789",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("link", "kind", "value"),
    [
        ("https://a.example/?card=4111%201111%201111%201111&x=1", "credit_card", "4111%201111%201111%201111"),
        ("https://a.example/?iban=DE89%203704%200044%200532%200130%2000", "iban", "DE89%203704%200044%200532%200130%2000"),
        ("https://a.example/?phone=%2B49%2030%20901820", "phone", "%2B49%2030%20901820"),
        ("https://a.example/?nhs=943%20476%205919", "uk_nhs", "943%20476%205919"),
    ],
)  # fmt: skip
def test_a_value_in_a_link_is_taken_out_of_it(link: str, kind: str, value: str) -> None:
    read = unescaped(link)
    findings = find_personal_data(read.text, frozenset(DETECTORS), ("US", "GB", "DE"), lambda: None)
    spans = [(finding.kind, *read.original_span(finding.start, finding.end)) for finding in findings]
    assert [(each, link[start:end]) for each, start, end in spans] == [(kind, value)]


def test_names_that_programs_give_hold_no_numbers() -> None:
    draw = random.Random(5)
    names = "\n".join(str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(3_000))
    assert found(names) == []


def test_rows_of_numbers_are_no_cards() -> None:
    draw = random.Random(5)
    rows = [" ".join(str(draw.randrange(1_000, 10_000)) for _ in range(14)) for _ in range(300)]
    rows += [" ".join(str(draw.randrange(100, 256)) for _ in range(14)) for _ in range(300)]
    assert not any(kind in ("credit_card", "in_aadhaar") for row in rows for kind, _ in found(row))


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("a,b\n1,X", "b"),
        ("so:\n```csv\na,b\n1,X\n```", "b"),
        ("|a|b|\n|-|-|\n|1|X|", "b"),
        ("a,b\n\n1,X", ""),
        ("X", ""),
        ("a\nX", ""),
        ("a,b,c\n1,X", ""),
    ],
)
def test_the_heading_of_a_column(text: str, heading: str) -> None:
    assert heading_of(text, text.index("X")) == heading
