"""Each detector finds what it names and leaves look-alikes alone."""

import base64
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_guardrail.domain.contact import find_phones
from sluice_guardrail.domain.detectors import DETECTORS, find_personal_data
from sluice_guardrail.domain.financial import base58check_valid, bech32_valid, iban_valid, luhn_valid
from sluice_guardrail.domain.findings import Finding, merge_overlaps

REGIONS = ("US", "GB", "DE")
KINDS = frozenset(DETECTORS)


def found(text: str) -> list[tuple[str, str]]:
    return [
        (finding.kind, text[finding.start : finding.end])
        for finding in find_personal_data(text, KINDS, REGIONS, lambda: None)
    ]


def _jwt() -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890"})
    ]
    return ".".join([*parts, "c2lnbmF0dXJl" * 3])


FINDS = [
    ("write to bob@example.com.", "email", "bob@example.com"),
    ("<first.last+tag@mail.example.co.uk>", "email", "first.last+tag@mail.example.co.uk"),
    ("邮箱test@example.com谢谢", "email", "test@example.com"),
    ("jürgen@müller.de schreibt", "email", "jürgen@müller.de"),
    ("call +49 30 901820 now", "phone", "+49 30 901820"),
    ("(212) 555-0187", "phone", "(212) 555-0187"),
    ("电话+8613912345678号", "phone", "+8613912345678"),
    ("phone: 2125550187", "phone", "2125550187"),
    ("020 7946 0958 is the desk", "phone", "020 7946 0958"),
    ("card 4111 1111 1111 1111 exp", "credit_card", "4111 1111 1111 1111"),
    ("378282246310005", "credit_card", "378282246310005"),
    ("5555-5555-5555-4444,", "credit_card", "5555-5555-5555-4444"),
    ("4111 1111 1111 1111 123", "credit_card", "4111 1111 1111 1111"),
    ("IBAN DE89 3704 0044 0532 0130 00.", "iban", "DE89 3704 0044 0532 0130 00"),
    ("gb82west12345698765432", "iban", "gb82west12345698765432"),
    ("ssn 123-45-6789", "us_ssn", "123-45-6789"),
    ("my SSN is 123456789", "us_ssn", "123456789"),
    ("host 10.2.3.4:8080", "ip_address", "10.2.3.4"),
    ("at 2001:db8::8a2e:370:7334, yes", "ip_address", "2001:db8::8a2e:370:7334"),
    ("fe80::1 is up", "ip_address", "fe80::1"),
    ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "ip_address", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ("00:1A:2b:3c:4d:5e", "mac_address", "00:1A:2b:3c:4d:5e"),
    ("001a.2b3c.4d5e", "mac_address", "001a.2b3c.4d5e"),
    ("pay 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "crypto_address", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "crypto_address", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("key AKIAIOSFODNN7EXAMPLE!", "aws_access_key", "AKIAIOSFODNN7EXAMPLE"),
    (f"aws_secret_access_key = {'wJalrXUtnF' * 4}", "aws_secret_key", "wJalrXUtnF" * 4),
    ("token ghp_" + "a1B2" * 9, "github_token", "ghp_" + "a1B2" * 9),
    ("OPENAI=sk-proj-abc123DEF456ghi789JKL0", "api_key", "sk-proj-abc123DEF456ghi789JKL0"),
    (f"jwt {_jwt()} end", "jwt", _jwt()),
    ("Authorization: Bearer abcdefghijklmnopqrstuvwx", "bearer_token", "abcdefghijklmnopqrstuvwx"),
    ("SG." + "a1" * 11 + "." + "b2c" * 14 + "d", "sendgrid_key", "SG." + "a1" * 11 + "." + "b2c" * 14 + "d"),
    ("id SK" + "0a1b2c3d" * 4, "twilio_key", "SK" + "0a1b2c3d" * 4),
    ("bot 123456789:AAF" + "a1B2" * 8, "telegram_token", "123456789:AAF" + "a1B2" * 8),
    ('{"password": "hunter2hunter2!"}', "assigned_secret", "hunter2hunter2!"),
    ("STRIPE_API_KEY=9f8e7d6c5b4a39281706", "assigned_secret", "9f8e7d6c5b4a39281706"),
    ("postgres://app:hunter2@db.example.com/x", "url_password", "hunter2@db.example.com"),
]


@pytest.mark.parametrize(("text", "kind", "value"), FINDS, ids=[value for _, _, value in FINDS])
def test_a_value_is_found_with_its_exact_span(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "the @mention and a @ b, user@localhost",
        "on 2024-11-23 at 10:30:15, room 101, order 12345678",
        "version 1.2.3.4 of chrome, 1.2.3.4.5, 999.1.1.1, 127.0.0.1, 0.0.0.0, 255.255.255.0",
        "std::vector and face::bed and 12:30::",
        "4111 1111 1111 1112 has a wrong check digit",
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01",
        "ssn 000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000",
        "the hash 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3 and bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "ask-me-anything-about-the-weather sk-learn-is-a-python-library eyJhbGciOiJub3Bl",
        "password: string, token=abc, max_tokens=4096, api_key=your-api-key-123, client_secret: ${SECRET_2}",
        'api_key = os.environ["OPENAI_API_KEY2"]; password = get_password2(user); access_token: str | None = None',
        "3.14159265358979 and 1,000,000,000 and 100200300400500600700",
        "https://example.com:8080/a@b",
        "ISBN 978-3-16-148410-0, 1st-2nd-3rd",
    ],
)
def test_look_alikes_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_private_key_is_found_even_when_it_was_cut_off() -> None:
    whole = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
    assert found(f"a {whole} b") == [("private_key", whole)]
    assert found("x -----BEGIN PRIVATE KEY-----\nMIIE") == [("private_key", "-----BEGIN PRIVATE KEY-----\nMIIE")]


def test_a_kind_that_is_not_asked_for_is_not_looked_for() -> None:
    assert find_personal_data("bob@example.com", frozenset({"phone"}), REGIONS, lambda: None) == []


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
def test_luhn_accepts_exactly_one_last_digit(payload: str) -> None:
    accepted = [digit for digit in "0123456789" if luhn_valid(payload + digit)]
    assert len(accepted) == (1 if payload.strip("0") else 0)


@given(st.sampled_from(["DE", "GB", "FR", "NL"]), st.text(alphabet="0123456789ABCDEF", min_size=10, max_size=20))
def test_an_iban_with_one_changed_character_is_refused(country: str, account: str) -> None:
    moved = "".join(str(int(char, 36)) for char in account + country + "00")
    iban = f"{country}{98 - int(moved) % 97:02}{account}"
    assert iban_valid(iban)
    other = "1" if iban[4] != "1" else "2"
    assert not iban_valid(iban[:4] + other + iban[5:])


def test_address_checksums_refuse_a_changed_character() -> None:
    assert base58check_valid("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2")
    assert not base58check_valid("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3")
    assert bech32_valid("bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr")
    assert not bech32_valid("bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcq")


_spans = st.builds(
    lambda start, length, score: Finding("pii", "email", "email", start, start + length, score),
    st.integers(0, 40),
    st.integers(1, 12),
    st.sampled_from([0.5, 0.8, 0.9]),
)


@given(st.lists(_spans, max_size=12))
def test_joined_findings_cover_the_same_characters_and_never_overlap(findings: list[Finding]) -> None:
    merged = merge_overlaps(findings)
    covered = {at for finding in findings for at in range(finding.start, finding.end)}
    assert {at for finding in merged for at in range(finding.start, finding.end)} == covered
    assert all(left.end <= right.start for left, right in itertools.pairwise(merged))


_PIECES = st.sampled_from(
    [value for _, _, value in FINDS] + ["a", " ", "@", ".", ":", "-", "1", "é", "汉", "\u200b", "sk-", "://", "+"]
)


@given(st.lists(_PIECES, max_size=8))
def test_spans_are_inside_the_text_and_in_order_for_any_mixture(pieces: list[str]) -> None:
    text = "".join(pieces)
    findings = find_personal_data(text, KINDS, REGIONS, lambda: None)
    end = 0
    for finding in findings:
        assert end <= finding.start < finding.end <= len(text)
        end = finding.end


@given(st.lists(_PIECES, max_size=8))
def test_no_gate_is_shut_before_a_detector_that_would_find_something(pieces: list[str]) -> None:
    text = "".join(pieces)
    for kind, detect in DETECTORS.items():
        assert find_personal_data(text, {kind}, REGIONS, lambda: None) == merge_overlaps(detect(text, REGIONS))


@pytest.mark.parametrize("between", [" ", ", ", "\n", "; "])
def test_neighbours_are_told_apart(between: str) -> None:
    values = [
        "+49 30 901820",
        "4111 1111 1111 1111",
        "(212) 555-0187",
        "10.2.3.4",
        "123-45-6789",
        "5500 0000 0000 0004",
    ]
    assert [value for _, value in found(between.join(values))] == values


def test_a_card_written_digit_by_digit_is_found() -> None:
    assert found("x 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 y") == [("credit_card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("phone 805-484-2980x561.", "805-484-2980x561"),
        ("call +1 610-544-6835 ext. 232 now", "+1 610-544-6835 ext. 232"),
        ("phone 805-484-2980xyz", None),
    ],
)
def test_a_number_is_found_with_its_extension(text: str, found: str | None) -> None:
    (span,) = [text[one.start : one.end] for one in find_phones(text, ["US"])] or [None]
    assert span == found
