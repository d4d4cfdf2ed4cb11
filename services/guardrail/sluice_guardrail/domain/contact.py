"""Finds e-mail addresses and telephone numbers."""

import re
from collections.abc import Generator, Iterator, Sequence

import phonenumbers

from sluice_guardrail.domain.findings import Finding, ascii_word
from sluice_guardrail.domain.headings import heading_of

_LETTERS = "A-Za-z\u00c0-\u024f\u0370-\u052f"  # Latin, Greek, Cyrillic; scripts without spaces would swallow prose
_LOCAL_MAX = 64  # RFC 5321, section 4.5.3.1.1
_LOCAL = re.compile(rf"[{_LETTERS}0-9.!#$%&'*+/=?^_`{{|}}~-]+")
_DOMAIN = re.compile(
    rf"(?:[{_LETTERS}0-9](?:[{_LETTERS}0-9-]{{0,61}}[{_LETTERS}0-9])?\.){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[{_LETTERS}]{{2,24}})",
)
_AT = re.compile(r"@|%40|&#(?:64|[xX]40);")
_PICTURE = re.compile(
    r"[0-9](?:\.[0-9])?x\.(?:png|jpe?g|gif|webp|svg|avif)\Z", re.IGNORECASE
)  # for finer screens: `icon@2x.png`
_LEADING_NOISE = ".'`*/=|{}!#$%&?^~"
# What stands before an address in a link or a setting, and is no part of it; of `bounce=ada=example.org@list.example` all is.
_NAMED = re.compile(
    r".*[?&][\w.-]{1,30}=(?=[^=]*\Z)"
    r"|(?:.*[/?&])?(?:(?:(?:user[_-]?)?e?-?mail(?:[_-]?address)?|user(?:name)?|login|to|from|cc|bcc|reply-?to)=(?=[^=]*\Z))?",
    re.IGNORECASE,
)

_PHONE = re.compile(r"[+(]{0,2}[0-9]{1,5}\)?(?:[ .\-/]{0,2}\(?[0-9]{1,5}\)?){1,7}")
_GROUP = re.compile(r"[0-9]+")
_DATE = re.compile(
    r"(?:\d{1,2}[./-]\d{1,2}[./-]\d{4}|\d{4}[./-]\d{1,2}[./-]\d{1,2}|(?:19|20)\d{2} ?[-/] ?(?:19|20)\d{2})"
)
_BOOK = re.compile(r"\bISBN[- ]?(?:1[03])?:? {0,2}\Z", re.IGNORECASE)
_CUE_WORD = r"(?:\btel|phone|mobile|\bcell|\bcall(?!_| ?(?:id|cent(?:er|re)|stack|sites?)\b)|\bfax|whatsapp|\bsms\b|\btext me|\bring\b(?! buffer)|telefon|\bhandy|m[oó]vil|tel[eé]fono|portable|\bcontact(?: (?:no|number|nr)\b)?)"
_CUE = re.compile(_CUE_WORD + r"[^\d\n]{0,20}(?:\n[^\w\n]{0,6})?\Z", re.IGNORECASE)
_HEADING = re.compile(_CUE_WORD, re.IGNORECASE)
_EXTENSION = re.compile(r"[ ,;]{0,2}(?:x|ext\.?|extension)[ .:]{0,2}[0-9]{1,6}(?![0-9A-Za-z_])", re.IGNORECASE)
_CUE_REACH = 44
_NATIONAL_DIGITS = (9, 12)
_CUED_DIGITS = (7, 15)
_INTERNATIONAL_DIGITS = (8, 15)
_MAX_GROUPS = 8  # as in _PHONE
MAX_PHONE_CHECKS = 300


def find_emails(text: str) -> Iterator[Finding]:
    """Yield e-mail addresses, also international ones and those in links (`%40`): work is bounded for each `@`."""
    floor = 0
    for sign in _AT.finditer(text):
        at = sign.start()
        if at < floor:
            continue
        local = _LOCAL.match(text[max(floor, at - _LOCAL_MAX) : at][::-1])  # read backwards from the sign
        domain = _DOMAIN.match(text, sign.end())
        if local is None or domain is None or text[at - 1] == "." or _PICTURE.match(domain.group()):
            continue
        written = local.group()[::-1].lstrip(_LEADING_NOISE)
        name = _NAMED.sub("", written, count=1).lstrip(_LEADING_NOISE)
        if name and not (
            name == "git" and text[domain.end() : domain.end() + 1] in (":", "/")
        ):  # where a repository is
            yield Finding("pii", "email", "email", at - len(name), domain.end(), 0.95)
            floor = domain.end()


def find_phones(text: str, regions: Sequence[str]) -> Iterator[Finding]:
    """Yield telephone numbers: international ones, and national ones of `regions` (ISO codes, first = most likely).

    A national number must look like one (3-3-4 groups, or a leading 0 and groups) or follow a word such as `phone`;
    numbering plans are those of libphonenumber. After `MAX_PHONE_CHECKS` look-ups in one text the shape alone decides,
    so that the work is bounded and a flood of numbers hides none.
    """
    numbering = _NumberingPlans(regions)
    match = _PHONE.search(text)
    while match is not None:
        resume = match.end()
        long_enough = match.end() - match.start() >= _CUED_DIGITS[0] and not _DATE.fullmatch(match.group())
        if (
            long_enough
            and _BOOK.search(text, max(0, match.start() - 12), match.start()) is None
            and (match.start() == 0 or not ascii_word(text[match.start() - 1]))
        ):
            resume = yield from _phones_in(text, match.start(), match.end(), numbering)
        match = _PHONE.search(text, resume)


def _phones_in(text: str, floor: int, stop: int, numbering: "_NumberingPlans") -> Generator[Finding, None, int]:
    """Yield the numbers of a run of groups, and return where to read on."""
    groups = [(found.start(), found.end()) for found in _GROUP.finditer(text, floor, stop)]
    # A run that is as long as runs can be may end inside a number: its second half is read again.
    count = len(groups) if len(groups) < _MAX_GROUPS else _MAX_GROUPS // 2
    cued = _CUE.search(text, max(0, floor - _CUE_REACH), floor) is not None or _is_headed(text, floor)
    first = 0
    while first < count:
        taken = 0
        if (first == 0 and (cued or text[floor] == "+")) or _national_shape(text, groups[first : first + 4]):
            taken = _longest_number(text, groups[first:], floor, cued=cued and first == 0, numbering=numbering)
        if taken:
            start, end = _extent(text, groups[first][0], groups[first + taken - 1][1], floor)
            extension = _EXTENSION.match(text, end)
            yield Finding("pii", "phone", "phone", start, extension.end() if extension else end, numbering.certainty)
        elif first == 0 and text[floor] == "+":
            break  # an international number that is none is not a national one either
        first += taken or 1
    return groups[max(first, 1) - 1][1]


def _is_headed(text: str, at: int) -> bool:
    heading = heading_of(text, at)
    return bool(heading) and _HEADING.search(heading) is not None


def _national_shape(text: str, groups: Sequence[tuple[int, int]]) -> bool:
    if text[groups[0][0]] == "0":
        return True
    lengths = [end - start for start, end in groups]
    return lengths[:3] == [3, 3, 4] or lengths == [1, 3, 3, 4]


def _longest_number(
    text: str, groups: Sequence[tuple[int, int]], floor: int, *, cued: bool, numbering: "_NumberingPlans"
) -> int:
    for count in range(len(groups), 0, -1):
        start, end = _extent(text, groups[0][0], groups[count - 1][1], floor)
        if _shaped(text, start, end, groups[:count], cued=cued) and numbering.has(text[start:end]):
            return count
    return 0


class _NumberingPlans:
    """Looks numbers up, each once, and at most `MAX_PHONE_CHECKS` of them; after that every candidate passes."""

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = regions
        self._known: dict[str, bool] = {}

    @property
    def certainty(self) -> float:
        return 0.9 if len(self._known) < MAX_PHONE_CHECKS else 0.6

    def has(self, candidate: str) -> bool:
        if candidate not in self._known:
            if len(self._known) >= MAX_PHONE_CHECKS:
                return True
            self._known[candidate] = _is_number(candidate, self._regions)
        return self._known[candidate]


def _extent(text: str, start: int, end: int, floor: int) -> tuple[int, int]:
    while start > floor and text[start - 1] in "(+":
        start -= 1
    return start, end


def _shaped(text: str, start: int, end: int, groups: Sequence[tuple[int, int]], *, cued: bool) -> bool:
    if end < len(text) and ascii_word(text[end]) and not _EXTENSION.match(text, end):
        return False
    if start and (ascii_word(text[start - 1]) or (text[start - 1] in ".-/" and text[start - 2 : start - 1].isdigit())):
        return False
    lengths = [stop - begin for begin, stop in groups]
    digits = sum(lengths)
    if not cued and text[start - 1 : start] == "-" and text[max(0, start - 2) : start - 1].isalpha():
        return False  # the end of an identifier, such as `INV-050-12-3456`
    if text[start] == "+" or text[start : start + 2] == "00":
        return _INTERNATIONAL_DIGITS[0] <= digits <= _INTERNATIONAL_DIGITS[1] + 2
    if not _CUED_DIGITS[0] <= digits <= _CUED_DIGITS[1] or _DATE.match(text, start, end):
        return False
    if lengths[-3:] == [3, 3, 4] and lengths[:-3] in ([], [1]):
        return True
    zero_led = text[groups[0][0]] == "0" and len(groups) > 1
    if zero_led and _NATIONAL_DIGITS[0] <= digits <= _NATIONAL_DIGITS[1]:
        return True
    return cued


def _is_number(candidate: str, regions: Sequence[str]) -> bool:
    if candidate.startswith("00"):
        candidate = "+" + candidate[2:]
    for region in (None,) if candidate.startswith("+") else regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(candidate, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False
