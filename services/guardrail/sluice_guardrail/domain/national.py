"""Finds the numbers by which states know people and firms: by shape, check digit, and for plain rows of digits by the word before.

One row in ten has a right check digit, so a number that is nothing but digits needs its name before it; one with letters, or with a date and
its own signs, does not. Whose check digit is what stands in `check_digits`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from sluice_guardrail.domain import check_digits
from sluice_guardrail.domain.findings import Finding, number_alone
from sluice_guardrail.domain.headings import heading_of

_CUE_REACH = 48
_SIGNS = re.compile(r"[ ./\-]")
# The words of a name may be joined as programs do it: `date_of_birth`, `date-of-birth`, `dateOfBirth`.
_SPACE = re.compile(r"(?<!\[) ")
_HUMP = "(?<=(?-i:[a-z]))(?=(?-i:[A-Z]))"
_ROW_BEFORE, _ROW_AFTER = re.compile(r"(?<![0-9])[0-9]{4} \Z"), re.compile(r" [0-9]{4}(?![0-9])")
_JOINED = f"(?:[ _-]|{_HUMP})"


@dataclass(frozen=True)
class NumberFormat:
    """A kind of number: how it is written (a pattern that RE2 knows too), whether its digits fit, and the words of which one must stand at most `between` characters before it.

    With `any_case` small letters count too; one that may not stand `in_a_row` is none between other groups of four digits.
    `part` is what at least occurs in such a number, for RE2, where the whole pattern has so many states that it would be slow.
    """

    kind: str
    pattern: str
    check: Callable[[str], bool] | None = None
    cue: str = ""
    score: float = 0.9
    between: int = 24
    any_case: bool = False
    in_a_row: bool = True
    part: str = ""

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, compiled."""
        return re.compile(self.pattern, re.IGNORECASE if self.any_case else 0)

    @cached_property
    def cued(self) -> re.Pattern[str]:
        """What must stand before the number, if anything must."""
        return re.compile(rf"{self._name}[^\d\n]{{0,{self.between}}}(?:\n[^\w\n]{{0,6}})?\Z", re.IGNORECASE)

    @cached_property
    def heading(self) -> re.Pattern[str]:
        """What the heading of its column must say instead."""
        return re.compile(self._name, re.IGNORECASE)

    @property
    def _name(self) -> str:
        return rf"(?:(?<![^\W_])|{_HUMP})(?:{_SPACE.sub(_JOINED, self.cue)})"

    @property
    def gate(self) -> str:
        """What must occur in a text that holds such a number, for RE2."""
        if self.part:
            return self.part
        pattern = _SPACE.sub("[ _-]?", self.cue) if self.cue else self.pattern
        return f"(?i:{pattern})" if self.cue or self.any_case else pattern


_VAT_BODIES = {
    "AT": r"U[0-9]{8}", "BE": r"[01][0-9]{9}", "BG": r"[0-9]{9,10}", "CY": r"[0-9]{8}[A-Z]", "CZ": r"[0-9]{8,10}", "DE": r"[0-9]{9}", "DK": r"[0-9]{8}",
    "EE": r"[0-9]{9}", "EL": r"[0-9]{9}", "ES": r"[A-Z0-9][0-9]{7}[A-Z0-9]", "FI": r"[0-9]{8}", "FR": r"[A-Z0-9]{2}[0-9]{9}", "GB": r"[0-9]{9}", "HR": r"[0-9]{11}",
    "HU": r"[0-9]{8}", "IE": r"[0-9][A-Z0-9][0-9]{5}[A-Z]{1,2}", "IT": r"[0-9]{11}", "LT": r"(?:[0-9]{12}|[0-9]{9})", "LU": r"[0-9]{8}", "LV": r"[0-9]{11}", "MT": r"[0-9]{8}",
    "NL": r"[0-9]{9}B[0-9]{2}", "PL": r"[0-9]{10}", "PT": r"[0-9]{9}", "RO": r"[0-9]{6,10}", "SE": r"[0-9]{12}", "SI": r"[0-9]{8}", "SK": r"[0-9]{10}", "XI": r"[0-9]{9}",
}  # fmt: skip
"""The VAT number's form by country: European Commission, VIES, frequently asked questions, question 11."""


def _loose(body: str) -> str:
    # Between the digits of a long row one space or point may stand.
    return re.sub(r"\[0-9\]\{(\d+)(,\d+)?\}", lambda found: rf"(?:[ .]?[0-9]){{{found.group(1)}{found.group(2) or ''}}}", body)  # fmt: skip


_UPI_BANKS = (
    "okhdfcbank|okicici|oksbi|okaxis|ybl|ibl|axl|paytm|ptsbi|ptyes|ptaxis|pthdfc|upi|apl|yapl|rapl|waicici|wahdfcbank|waaxis|wasbi|jupiteraxis"
    "|freecharge|hdfcbank|icici|sbi|axisbank|kotak|barodampay|pnb|idfcbank|fbl|airtel|jio|cnrb|unionbank|indus|federal|aubank|yesbank|hsbc"
)
_DATED = r"[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01]|6[1-9]|[78][0-9]|9[01])"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_OTHER_MONTH = (
    "(?:Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
    "|(?:de )?(?:enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre)"
)
_NINO = r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]"
_PAN = r"[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]"
_AADHAAR = r"[2-9][0-9]{3}(?: [0-9]{4} |-[0-9]{4}-|[0-9]{4})[0-9]{4}"
_MBI = "[AC-HJKMNP-RT-Y]"

FORMATS: tuple[NumberFormat, ...] = (
    NumberFormat("us_itin", r"9[0-9]{2}[ -][0-9]{2}[ -][0-9]{4}", check_digits.us_itin),
    NumberFormat(
        "us_ein", r"[0-9]{2}-[0-9]{7}", check_digits.us_ein, r"f?ein|employer id(?:entification)?|federal tax id|tax id"
    ),
    NumberFormat("us_bank_routing", r"[0-9]{9}", check_digits.us_routing, r"routing|aba|rtn"),
    NumberFormat(
        "us_medicare", rf"[1-9]{_MBI}(?:{_MBI}|[0-9])[0-9]-?{_MBI}(?:{_MBI}|[0-9])[0-9]-?{_MBI}{{2}}[0-9]{{2}}"
    ),
    NumberFormat("uk_nhs", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", check_digits.nhs, r"nhs", 0.95),
    NumberFormat(
        "uk_nino",
        _NINO,
        check_digits.british_insured,
    ),
    NumberFormat(
        "uk_nino", _NINO, check_digits.british_insured, r"nino|national insurance|ni n(?:umber|o)", any_case=True
    ),
    NumberFormat("uk_utr", r"[0-9]{5} ?[0-9]{5}", check_digits.british_tax, r"utr|unique taxpayer"),
    NumberFormat(
        "uk_driving_licence",
        r"[A-Z9]{5}[0-9][0156][0-9][0-3][0-9][0-9][A-Z9]{2}[0-9A-Z][A-Z]{2}",
        check_digits.british_driver,
    ),
    NumberFormat("in_aadhaar", _AADHAAR, check_digits.verhoeff, in_a_row=False),
    NumberFormat("in_aadhaar", _AADHAAR, check_digits.verhoeff, r"aadh?aar?|uidai"),
    NumberFormat("in_pan", _PAN, score=0.85),
    NumberFormat("in_pan", _PAN, None, r"pan|permanent account", 0.85, any_case=True),
    NumberFormat(
        "in_gstin",
        r"[0-3][0-9][A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]",
        check_digits.indian_gst,
        score=0.95,
        any_case=True,
    ),
    NumberFormat("in_voter_id", r"[A-Z]{3}[0-9]{7}", check_digits.indian_voter, r"voter|epic|election"),
    NumberFormat(
        "in_upi", rf"[A-Za-z0-9][A-Za-z0-9._-]{{1,60}}@(?:{_UPI_BANKS})", score=0.85, part=f"@(?:{_UPI_BANKS})"
    ),
    NumberFormat(
        "de_tax_id",
        r"[1-9][0-9](?: ?[0-9]{3}){3}",
        check_digits.german_tax,
        r"steuer[ -]?(?:id|identifikations?nummer|nummer|nr)|identifikationsnummer|idnr|tax id|tin",
    ),
    NumberFormat(
        "fr_nir",
        r"[1-478] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        check_digits.french,
        score=0.95,
    ),
    NumberFormat(
        "es_nif",
        r"(?:[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}|[XYZ]-?[0-9]{7})-?[A-HJ-NP-TV-Z]",
        check_digits.spanish,
        any_case=True,
    ),
    NumberFormat(
        "it_fiscal_code",
        r"[A-Z]{3} ?[A-Z]{3} ?[0-9LMNP-V]{2}[A-EHLMPR-T][0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{3}[A-Z]",
        check_digits.italian,
        score=0.95,
        any_case=True,
    ),
    NumberFormat(
        "nl_bsn",
        r"[0-9]{4}[ .]?[0-9]{2}[ .]?[0-9]{3}|[0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{3}",
        check_digits.dutch,
        r"bsn|burgerservice(?:nummer)?|sofi(?:nummer)?",
    ),
    NumberFormat("pl_pesel", r"[0-9]{11}", check_digits.polish, r"pesel"),
    NumberFormat(
        "be_national_number",
        r"[0-9]{2}\.?[0-9]{2}\.?[0-9]{2}[- ]?[0-9]{3}[. -]?[0-9]{2}",
        check_digits.belgian,
        score=0.85,
    ),
    NumberFormat("se_personal_number", rf"(?:19|20)?{_DATED}[-+][0-9]{{4}}", check_digits.swedish),
    NumberFormat(
        "se_personal_number",
        rf"(?:19|20)?{_DATED}[0-9]{{4}}",
        check_digits.swedish,
        r"person(?:al )?(?:nummer|number|nr)|samordningsnummer",
    ),
    NumberFormat("dk_cpr", r"[0-9]{6}[- ]?[0-9]{4}", check_digits.danish, r"cpr|personnummer"),
    NumberFormat(
        "fi_hetu",
        r"(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])[0-9]{2}[-+A-FU-Y][0-9]{3}[0-9A-Y]",
        check_digits.finnish,
        score=0.95,
    ),
    NumberFormat("pt_nif", r"[1-9][0-9]{2} ?[0-9]{3} ?[0-9]{3}", check_digits.portuguese, r"nif|contribuinte"),
    NumberFormat("ie_pps", r"[0-9]{7}[A-W][A-IW]?", check_digits.irish, r"ppsn?|personal public service"),
    NumberFormat(
        "at_social_security",
        r"[1-9][0-9]{3} ?[0-9]{6}",
        check_digits.austrian,
        r"svnr|sv[ -]nummer|(?:sozial)?versicherungsnummer|e-card",
    ),
    NumberFormat(
        "eu_vat",
        "|".join(f"{country} ?{_loose(body)}" for country, body in _VAT_BODIES.items()),
        None,
        r"vat|ust|uid|mwst|tva|btw|iva|moms|dph|pdv|alv|nip|tax",
    ),
    NumberFormat(
        "passport",
        r"[A-Z0-9]{8,9}",
        check_digits.passport,
        r"passport|reisepass|passeport|pasaporte|passaporto|paspoort|paszport",
        0.85,
        14,
    ),
    NumberFormat(
        "date_of_birth",
        rf"[0-9]{{1,2}}[./-][0-9]{{1,2}}[./-](?:19|20)?[0-9]{{2}}|(?:19|20)[0-9]{{2}}[./-][0-9]{{1,2}}[./-][0-9]{{1,2}}"
        rf"|[0-9]{{1,2}}(?:st|nd|rd|th|\.)? {_MONTH} (?:19|20)[0-9]{{2}}|[0-9]{{1,2}}(?:er|\.)? {_OTHER_MONTH} (?:del? )?(?:19|20)[0-9]{{2}}|{_MONTH} [0-9]{{1,2}},? (?:19|20)[0-9]{{2}}",
        None,
        r"born|d\.?o\.?b|date of birth|birth ?da(?:y|te)|geboren|geburtsdatum|n[ée]e? le|date de naissance|nacid[oa]|fecha de nacimiento|nat[oa] il|data di nascita|geboortedatum",
        0.85,
        14,
    ),
)


def find_numbers(number: NumberFormat, text: str) -> Iterator[Finding]:
    """Yield the numbers of one format that stand in a text, each with its shape, check digit and cue."""
    for match in number.compiled.finditer(text):
        start, end = match.span()
        if number.cue and not _is_named(number, text, start):
            continue
        if not number.in_a_row and (_ROW_BEFORE.search(text, max(0, start - 6), start) or _ROW_AFTER.match(text, end)):
            continue
        plain = _SIGNS.sub("", match.group()).upper()
        if number_alone(text, start, end) and (number.check is None or number.check(plain)):
            yield Finding("pii", number.kind, number.kind, start, end, number.score)


def _is_named(number: NumberFormat, text: str, start: int) -> bool:
    if number.cued.search(text, max(0, start - _CUE_REACH), start) is not None:
        return True
    return number.heading.search(heading_of(text, start)) is not None
