"""Finds US social security numbers, IP addresses and MAC addresses."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from sluice_guardrail.domain.findings import Finding, ascii_word, number_alone, stands_alone
from sluice_guardrail.domain.headings import heading_of

_SSN = re.compile(r"([0-9]{3})([-. ])([0-9]{2})\2([0-9]{4})")
_SSN_PLAIN = re.compile(r"[0-9]{9}")
_SSN_NAME = r"(?:(?<![^\W_])ssn(?![^\W_])|(?<=(?-i:[a-z]))(?-i:SSN|Ssn)|social[ _-]?security)"
_SSN_HEADING = re.compile(_SSN_NAME, re.IGNORECASE)
_SSN_CUE = re.compile(rf"{_SSN_NAME}[^\d\n]{{0,24}}(?:\n[^\w\n]{{0,6}})?\Z", re.IGNORECASE)
_SSN_CUE_REACH = 48
_SSN_WORDS = re.compile(r"[sS](?:[sS][nN]|[oO][cC][iI][aA][lL][ _-]?[sS][eE][cC])")
_PART_OF_A_NAME = re.compile(r"[^\W\d_]-\Z")

_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6_RUN = re.compile(r":[0-9A-Fa-f:.]{1,64}")  # from the first colon on; the first group stands before it
_IPV6_MAX = 45
_NET_SIZE = re.compile(r"/([0-9]{1,2})(?![0-9])")
_HEX = frozenset("0123456789abcdefABCDEF")
_VERSION_CUE = re.compile(
    r"\b(?:version|release|build|ver|v|section|chapter|clause|paragraph|annex|appendix|oid)[ .:]{0,2}\Z|\u00a7 ?\Z",
    re.IGNORECASE,
)
_PRODUCT = re.compile(r"(?<![\w./-])[A-Z][A-Za-z]{1,30}/\Z")  # Chrome/120.0.0.0, as browsers call themselves

_MAC_CORE = re.compile(r"[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}")
_MAC_DOTTED = re.compile(r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}")


def find_ssns(text: str) -> Iterator[Finding]:
    """Yield US social security numbers in ranges that were ever issued (area not 000, 666 or 900–999)."""
    for match in _SSN.finditer(text):
        start, end = match.span()
        if not (_issued(match.group(1), match.group(3), match.group(4)) and number_alone(text, start, end)):
            continue
        # With points, or as the end of an identifier (`INV-123-45-6789`), it may as well be something else.
        doubtful = match.group(2) == "." or _PART_OF_A_NAME.search(text, max(0, start - 2), start)
        if not doubtful or _is_named_ssn(text, start):
            yield Finding("pii", "us_ssn", "us_ssn", start, end, 0.9)
    if _SSN_WORDS.search(text) is None:
        return
    for match in _SSN_PLAIN.finditer(text):
        digits = match.group()
        if (
            _is_named_ssn(text, match.start())
            and _issued(digits[:3], digits[3:5], digits[5:])
            and number_alone(text, match.start(), match.end())
        ):
            yield Finding("pii", "us_ssn", "us_ssn", match.start(), match.end(), 0.85)


def _is_named_ssn(text: str, start: int) -> bool:
    cue = _SSN_CUE.search(text, max(0, start - _SSN_CUE_REACH), start)
    return cue is not None or _SSN_HEADING.search(heading_of(text, start)) is not None


def _issued(area: str, group: str, serial: str) -> bool:
    return 0 < int(area) < 900 and int(area) != 666 and int(group) != 0 and int(serial) != 0


def find_ip_addresses(text: str) -> Iterator[Finding]:
    """Yield IPv4 and IPv6 addresses, except those that name no machine: loopback, unspecified, netmasks."""
    if text.count(".") >= 3:
        yield from _ipv4(text)
    if "::" in text or text.count(":") >= 7:
        yield from _ipv6(text)


def _ipv4(text: str) -> Iterator[Finding]:
    for match in _IPV4.finditer(text):
        if not number_alone(text, match.start(), match.end()):
            continue
        if _VERSION_CUE.search(text, max(0, match.start() - 12), match.start()):
            continue
        if match.group().endswith(".0.0") and _PRODUCT.search(text, max(0, match.start() - 33), match.start()):
            continue
        try:
            address = IPv4Address(match.group())
        except AddressValueError:
            continue
        if _is_a_net(text, match.end(), address):
            continue
        if not (address.is_loopback or address.is_unspecified or int(address) >> 24 == 255):
            yield Finding("pii", "ip_address", "ip_address", match.start(), match.end(), 0.85)


def _is_a_net(text: str, end: int, address: IPv4Address) -> bool:
    # `10.0.0.0/8` is a range, and no machine's address.
    size = _NET_SIZE.match(text, end)
    return size is not None and int(size.group(1)) <= 30 and int(address) & ((1 << 32 - int(size.group(1))) - 1) == 0


def _ipv6(text: str) -> Iterator[Finding]:
    for match in _IPV6_RUN.finditer(text):
        if "::" not in match.group() and match.group().count(":") < 7:
            continue
        start, end = match.span()
        while start and match.start() - start < 5 and text[start - 1] in _HEX:
            start -= 1
        while end > start and text[end - 1] == ".":
            end -= 1
        if end > start + 1 and text[end - 1] == ":" and text[end - 2] != ":":
            end -= 1  # a colon of the sentence
        if not 3 <= end - start <= _IPV6_MAX or (start and ascii_word(text[start - 1])):
            continue
        if end < len(text) and ascii_word(text[end]):
            continue
        if _telling_ipv6(text[start:end]):
            yield Finding("pii", "ip_address", "ip_address", start, end, 0.85)


def _telling_ipv6(written: str) -> bool:
    try:
        address = IPv6Address(written)
    except AddressValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    groups = [group for group in written.split(":") if group]
    # `face::bed` may as well be two names of a program: a short form must hold digits and look like an address.
    has_digit = any(char.isdigit() for char in written)
    return has_digit and (len(groups) >= 3 or (len(groups[0]) == 4 and any(char.isdigit() for char in groups[0])))


def find_mac_addresses(text: str) -> Iterator[Finding]:
    """Yield hardware addresses written as six pairs (`:` or `-`) or three dotted groups of four."""
    if _MAC_CORE.search(text) is not None:
        for match in _MAC.finditer(text):
            after = text[match.end() : match.end() + 2]
            longer = len(after) == 2 and after[0] == match.group(1) and ascii_word(after[1])
            if stands_alone(text, *match.span()) and not longer and _not_joined(text, match.start(), match.group(1)):
                yield Finding("pii", "mac_address", "mac_address", match.start(), match.end(), 0.9)
    if text.count(".") >= 2:
        for match in _MAC_DOTTED.finditer(text):
            if number_alone(text, match.start(), match.end()) and not match.group().replace(".", "").isdigit():
                yield Finding("pii", "mac_address", "mac_address", match.start(), match.end(), 0.8)


def _not_joined(text: str, start: int, separator: str) -> bool:
    return start < 2 or text[start - 1] != separator or not ascii_word(text[start - 2])
