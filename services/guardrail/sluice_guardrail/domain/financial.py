"""Finds payment card numbers, IBANs and Bitcoin addresses, each proved by its checksum."""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

from sluice_guardrail.domain.findings import Finding, ascii_word, stands_alone

_CARD_RUN = re.compile(r"[0-9](?:[ \-.]?[0-9]){12,}")
_GROUP = re.compile(r"[0-9]+")
_CARD_GROUP_MIN = 3
_ROW = 8  # more groups of four digits in a row than that are a row of numbers
_UNEVEN = 6
_GAP = r"[ \t]{0,3}(?:[-_/.\u2022]|\n[>#*| ]{0,6})?[ \t]{0,3}"
_SPREAD = re.compile(
    rf"[0-9]{{4}}(?:(?:{_GAP}[0-9]{{4}}){{3}}|{_GAP}[0-9]{{6}}{_GAP}[0-9]{{5}})"
)  # a card whose groups stand apart
_GROUP_BEFORE, _GROUP_AFTER = re.compile(rf"[0-9]{_GAP}\Z"), re.compile(rf"{_GAP}[0-9]{{4}}(?![0-9])")
_CARD_DIGITS = (13, 19)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_IBAN_CHECK = re.compile(r"[0-9]{2}(?=[ .-]{0,2}[A-Za-z0-9]{2})")  # the two letters stand before: digits are rarer
# Length of an IBAN by country: the SWIFT IBAN registry.
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL FK SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC",
        "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUE = {char: value for value, char in enumerate(_BASE58)}
_LEGACY = re.compile(rf"[13][{_BASE58}]{{25,34}}")
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_VALUE = {char: value for value, char in enumerate(_BECH32)}
_SEGWIT = re.compile(rf"(?:bc1[{_BECH32}]{{11,71}}|BC1[{_BECH32.upper()}]{{11,71}})")
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_SUMS = (1, 0x2BC830A3)


def find_cards(text: str) -> Iterator[Finding]:
    """Yield payment card numbers: a prefix and length of a known network, and the Luhn check digit (ISO/IEC 7812)."""
    for run in _CARD_RUN.finditer(text):
        if not _free(text, run.start(), run.end()):
            continue
        units = _units(text, run.start(), run.end())
        if len(units) <= _ROW or any(len(digits) != 4 for _, _, digits in units):
            yield from (card for card in _cards_in(units) if _is_even(text, card))
        elif len(units) % 4 == 0:
            cards = [card for first in range(0, len(units), 4) for card in _cards_in(units[first : first + 4])]
            yield from cards if len(cards) * 8 >= len(units) else ()
    yield from _spread_cards(text)


def _is_even(text: str, card: Finding) -> bool:
    # Many groups of different lengths are a row of small numbers, and no card.
    lengths = [found.end() - found.start() for found in _GROUP.finditer(text, card.start, card.end)]
    return len(lengths) < _UNEVEN or len(set(lengths[:-1])) == 1


def _spread_cards(text: str) -> Iterator[Finding]:
    # Groups with wide spaces or signs between them, or wrapped at the end of a line; a table of such numbers goes on before or behind them.
    for match in _SPREAD.finditer(text):
        start, end = match.span()
        written = match.group()
        if not _free(text, start, end) or written.count("\n") > 1 or _CARD_RUN.fullmatch(written):
            continue
        if _GROUP_BEFORE.search(text, max(0, start - 14), start) or _GROUP_AFTER.match(text, end):
            continue
        digits = "".join(_GROUP.findall(written))
        if len(digits) in _network_lengths(digits) and luhn_valid(digits):
            yield Finding("pii", "credit_card", "credit_card", start, end, 0.95)


def _units(text: str, start: int, stop: int) -> list[tuple[int, int, str]]:
    """Return the groups of digits at which a card may begin; neighbours of one or two digits belong together."""
    units: list[tuple[int, int, str]] = []
    joined = False
    for found in _GROUP.finditer(text, start, stop):
        short = found.end() - found.start() < _CARD_GROUP_MIN
        if short and joined:
            begin, _, digits = units[-1]
            # Longer than any card is long enough: the digits are not needed any more.
            units[-1] = (begin, found.end(), digits + found.group() if len(digits) <= _CARD_DIGITS[1] else digits)
        else:
            units.append((found.start(), found.end(), found.group()))
        joined = short
    return units


def _cards_in(groups: Sequence[tuple[int, int, str]]) -> Iterator[Finding]:
    first = 0
    while first < len(groups):
        digits = ""
        best = 0
        for last in range(first, min(first + 7, len(groups))):
            digits += groups[last][2]
            if len(digits) > _CARD_DIGITS[1]:
                break
            if len(digits) >= _CARD_DIGITS[0] and len(digits) in _network_lengths(digits) and luhn_valid(digits):
                best = last + 1
        if best:
            yield Finding("pii", "credit_card", "credit_card", groups[first][0], groups[best - 1][1], 0.99)
        first = best or first + 1


def _free(text: str, start: int, end: int) -> bool:
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    return not (before.isascii() and before.isalnum()) and not (after.isascii() and after.isalnum())


def _network_lengths(digits: str) -> tuple[int, ...]:
    one, two, three, four = int(digits[0]), int(digits[:2]), int(digits[:3]), int(digits[:4])
    if one == 4:  # Visa
        return 13, 16, 19
    if 51 <= two <= 55 or 2221 <= four <= 2720:  # Mastercard
        return (16,)
    if two in (34, 37):  # American Express
        return (15,)
    if two in (36, 38, 39) or 300 <= three <= 305:  # Diners Club
        return 14, 16
    if four == 6011 or two == 65 or 644 <= three <= 649 or two == 62 or 3528 <= four <= 3589:
        return 16, 17, 18, 19  # Discover, UnionPay, JCB
    if two == 50 or 56 <= two <= 69:  # Maestro
        return 13, 14, 15, 16, 17, 18, 19
    return ()


def luhn_valid(digits: str) -> bool:
    """Say whether the last digit is the Luhn check digit of the ones before it."""
    values = [int(char) for char in digits]
    total = sum(values[-1::-2]) + sum(_DOUBLED[value] for value in values[-2::-2])
    return total % 10 == 0 and any(values)


def find_ibans(text: str) -> Iterator[Finding]:
    """Yield IBANs, with or without spaces: the country's length, and the check digits modulo 97 (ISO 13616)."""
    free_from = 0
    for match in _IBAN_CHECK.finditer(text):
        start = match.start() - 2
        if start < max(free_from, 0) or (start and ascii_word(text[start - 1])):
            continue
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        end = None if length is None else _after_characters(text, start, length)
        if end is not None and iban_valid(text[start:end]):
            yield Finding("pii", "iban", "iban", start, end, 0.99)
            free_from = end


def _after_characters(text: str, start: int, count: int) -> int | None:
    position = start
    between = ""
    while position < len(text):
        char = text[position]
        if char.isascii() and char.isalnum():
            between = ""
            count -= 1
            if count == 0:
                end = position + 1
                return end if end == len(text) or not ascii_word(text[end]) else None
        elif char in " .-\n" and len(between) < 2:
            between += char
        else:
            return None
        position += 1
    return None


def iban_valid(written: str) -> bool:
    """Say whether an IBAN, as written, has the right check digits."""
    plain = "".join(char for char in written if char.isalnum()).upper()
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def find_crypto_addresses(text: str) -> Iterator[Finding]:
    """Yield Bitcoin addresses: Base58Check (legacy) and Bech32 or Bech32m (BIP 173, BIP 350)."""
    for match in _LEGACY.finditer(text):
        if stands_alone(text, *match.span()) and base58check_valid(match.group()):
            yield Finding("pii", "crypto_address", "crypto_address", match.start(), match.end(), 0.99)
    if "bc1" in text or "BC1" in text:
        for match in _SEGWIT.finditer(text):
            if stands_alone(text, *match.span()) and bech32_valid(match.group().lower()):
                yield Finding("pii", "crypto_address", "crypto_address", match.start(), match.end(), 0.99)


def base58check_valid(address: str) -> bool:
    """Say whether the last four bytes are the double SHA-256 checksum of the 21 before them."""
    value = 0
    for char in address:
        value = value * 58 + _BASE58_VALUE[char]
    if value.bit_length() > 200:
        return False
    raw = value.to_bytes(25, "big")
    return sha256(sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def bech32_valid(address: str) -> bool:
    """Say whether a lower-case `bc1…` address has a right Bech32 or Bech32m checksum."""
    values = [3, 3, 0, 2, 3]  # the expanded prefix "bc"
    values.extend(_BECH32_VALUE[char] for char in address[3:])
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                check ^= generator
    return check in _BECH32_SUMS
