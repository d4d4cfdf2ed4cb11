"""Check digits of numbers that states give out; each function takes a number without its spaces and signs, in capitals."""

from collections import Counter
from collections.abc import Sequence

_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_SPANISH = "TRWAGMYFPDXBNJZSQVHLCKE"
_FINNISH = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_IRISH = "WABCDEFGHIJKLMNOPQRSTUV"
_BRITISH_TAX = "21987654321"
_BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Agenzia delle Entrate, decreto ministeriale 12 marzo 1974: what the characters at odd places are worth.
_ITALIAN_ODD = dict(zip(_BASE36, (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip
_EIN_UNUSED = frozenset(
    ["00", "07", "08", "09", "17", "18", "19", "28", "29", "49", "69", "70", "78", "79", "89", "96", "97"]
)


def digits_of(number: str) -> list[int]:
    """Return the digits of a number."""
    return [int(char) for char in number if char.isdigit()]


def weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    """Return the sum of the first digits, each times its weight."""
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(number: str) -> bool:
    """Say whether the last digit is the Luhn check digit (ISO/IEC 7812-1, annex B)."""
    digits = digits_of(number)[::-1]
    return sum(digits[::2]) % 10 == -sum(2 * digit - 9 * (digit > 4) for digit in digits[1::2]) % 10


def verhoeff(number: str) -> bool:
    """Say whether the last digit is right (J. Verhoeff, Error Detecting Decimal Codes, 1969): Aadhaar."""
    check = 0
    for place, digit in enumerate(reversed(digits_of(number))):
        for _ in range(place % 8):
            digit = _PERMUTATION[digit]
        check = _times(check, digit)
    return check == 0


def _times(one: int, other: int) -> int:
    # Multiplication in the dihedral group of order ten.
    if one < 5:
        return (one + other) % 5 if other < 5 else 5 + (one + other - 5) % 5
    return 5 + (one - 5 - other) % 5 if other < 5 else (one - other) % 5


def nhs(number: str) -> bool:
    """Say whether the modulo-11 digit of an NHS number is right."""
    digits = digits_of(number)
    return (11 - weighted(digits[:9], range(10, 1, -1)) % 11) % 11 == digits[9]


def british_tax(number: str) -> bool:
    """Say whether the first digit of a Unique Taxpayer Reference checks the others."""
    return _BRITISH_TAX[weighted(digits_of(number)[1:], (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11] == number[0]


def british_driver(number: str) -> bool:
    """Say whether the birthday within a driving licence's number is one; a woman's month is 50 more."""
    month = int(number[6:8])
    return number[0].isalpha() and (1 <= month <= 12 or 51 <= month <= 62) and 1 <= int(number[8:10]) <= 31


def british_insured(number: str) -> bool:
    """Say whether a National Insurance number begins with letters that are given out (HMRC, NIM39110)."""
    return number[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


def us_itin(number: str) -> bool:
    """Say whether the middle of an Individual Taxpayer Identification Number is one that the IRS gives out."""
    group = int(digits_text(number)[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99


def us_ein(number: str) -> bool:
    """Say whether an Employer Identification Number has a prefix that the IRS gives out."""
    return number[:2] not in _EIN_UNUSED


def us_routing(number: str) -> bool:
    """Say whether a bank's routing number has a known district and the right check digit (ABA)."""
    district = int(number[:2])
    known = district <= 12 or 21 <= district <= 32 or 61 <= district <= 72 or district == 80
    return known and weighted(digits_of(number), (3, 7, 1) * 3) % 10 == 0 and int(number) > 0


def german_tax(number: str) -> bool:
    """Say whether a Steuer-Identifikationsnummer is right: one digit comes twice or three times, and ISO 7064 MOD 11,10 holds."""
    digits = digits_of(number)
    repeated = [count for count in Counter(digits[:10]).values() if count > 1]
    if digits[0] == 0 or len(repeated) != 1 or repeated[0] > 3:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == digits[10]


def french(number: str) -> bool:
    """Say whether the key of a numéro de sécurité sociale is 97 less the rest of the number (INSEE); Corsica counts as 19 and 18."""
    body = number[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(body) % 97 == int(number[13:])


def spanish(number: str) -> bool:
    """Say whether the letter of a DNI or NIE is right."""
    plain = number.replace("X", "0", 1) if number[0] == "X" else number
    if number[0] in "YZ":
        plain = str("YZ".index(number[0]) + 1) + number[1:]
    return _SPANISH[int(plain[:-1]) % 23] == plain[-1]


def italian(number: str) -> bool:
    """Say whether the last letter of a codice fiscale is right."""
    even = sum(_BASE36.index(char) if char.isdigit() else ord(char) - 65 for char in number[1:15:2])
    return (even + sum(_ITALIAN_ODD[char] for char in number[0:15:2])) % 26 == ord(number[15]) - 65


def dutch(number: str) -> bool:
    """Say whether a burgerservicenummer holds the test of eleven."""
    digits = digits_of(number)
    return any(digits) and (weighted(digits[:8], range(9, 1, -1)) - digits[8]) % 11 == 0


def polish(number: str) -> bool:
    """Say whether a PESEL holds a date and the right check digit."""
    digits = digits_of(number)
    month, day = int(number[2:4]) % 20, int(number[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and -weighted(digits[:10], (1, 3, 7, 9) * 3) % 10 == digits[10]


def belgian(number: str) -> bool:
    """Say whether a Belgian national number holds a date and 97 less the rest; who was born since 2000 has a 2 before."""
    body, check = int(number[:9]), int(number[9:])
    dated = int(number[2:4]) % 20 <= 12 and int(number[4:6]) <= 31
    return dated and check in (97 - body % 97, 97 - (2_000_000_000 + body) % 97)


def swedish(number: str) -> bool:
    """Say whether a personnummer holds a date and a right Luhn digit; a samordningsnummer's day is 60 more."""
    short = digits_text(number)[-10:]
    return 1 <= int(short[2:4]) <= 12 and 1 <= int(short[4:6]) % 60 <= 31 and luhn(short)


def danish(number: str) -> bool:
    """Say whether a CPR number begins with a date: since 2007 it has no check digit."""
    return 1 <= int(number[:2]) <= 31 and 1 <= int(number[2:4]) <= 12


def finnish(number: str) -> bool:
    """Say whether the last character of a henkilötunnus is right."""
    return _FINNISH[int(number[:6] + number[-4:-1]) % 31] == number[-1]


def portuguese(number: str) -> bool:
    """Say whether the modulo-11 digit of a NIF is right."""
    digits = digits_of(number)
    return (11 - weighted(digits[:8], range(9, 1, -1)) % 11) % 11 % 10 == digits[8]


def irish(number: str) -> bool:
    """Say whether the check letter of a PPS number is right; a second letter counts nine times."""
    second = _IRISH.index(number[8]) if len(number) > 8 else 0
    return _IRISH[(weighted(digits_of(number[:7]), range(8, 1, -1)) + second * 9) % 23] == number[7]


def austrian(number: str) -> bool:
    """Say whether the fourth digit of a Versicherungsnummer checks the others."""
    digits = digits_of(number)
    return weighted(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == digits[3]


def indian_gst(number: str) -> bool:
    """Say whether the last character of a GSTIN is right (Luhn's sum in base 36)."""
    total = 0
    for place, char in enumerate(number[:14]):
        total += sum(divmod(_BASE36.index(char) * (1 + place % 2), 36))
    return _BASE36[-total % 36] == number[14]


def indian_voter(number: str) -> bool:
    """Say whether the last digit of a voter's number is the Luhn digit of the others."""
    return luhn(number[3:])


def passport(number: str) -> bool:
    """Say whether at least four characters of a passport's number are digits."""
    return len(digits_of(number)) >= 4


def digits_text(number: str) -> str:
    """Return the digits of a number as text."""
    return "".join(char for char in number if char.isdigit())
