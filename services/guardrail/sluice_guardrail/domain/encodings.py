"""Undoes encodings of texts in letters and digits: each function returns what was written, or None for what was not written so."""

import re
from base64 import b32decode
from collections.abc import Iterator

_READABLE = 0.8
_GROUP = 5
_LEAST_GROUPS = 4  # of a text in base 85
_LEAST_REPEATED = 8  # letters
_LEAST_BYTES = 15  # of a text in groups of base32
_BASE32 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_ASCII85 = {chr(33 + value): value for value in range(85)}
_BASE85 = {
    char: value
    for value, char in enumerate(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    )
}
_PRINTABLE = re.compile("[ -~]+")
_CODE = re.compile("[0-7]+")
_LINE_NUMBER = re.compile(r"(?m)^[ \t>]*\(?[0-9]{1,5}[.:)\]|\t -]{1,3}")
_RUN = re.compile(r"([A-Za-z0-9])\1*")


def read(raw: bytes) -> str | None:
    """Return bytes as a text, in UTF-8 or, where nearly every other byte is 0, in UTF-16."""
    for name, high in (("utf-16-le", raw[1::2]), ("utf-16-be", raw[::2])):
        if b"\0" in raw[:4] and high.count(0) >= _READABLE * len(high):
            return raw.decode(name, errors="ignore").lstrip("\ufeff")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_readable(text: str) -> bool:
    """Say whether a text is letters, digits, spaces and dashes for the most part."""
    return sum(char.isalnum() or char in " -" for char in text) >= _READABLE * len(text)


def from_octal(written: str) -> str | None:
    """Read octal codes of bytes, three digits each, whatever stands between them."""
    codes = [int(code, 8) for code in _CODE.findall(written)]
    if any(code > 0xFF for code in codes):
        return None
    hidden = read(bytes(codes))
    return hidden if hidden is not None and is_readable(hidden) else None


def from_groups_of_base32(written: str) -> str | None:
    """Read base32 whose digits are in groups or lines; letters of the words before and after may have been taken along."""
    digits = "".join(char for char in written.upper() if char in _BASE32)
    whole = len(digits) // 8 * 8
    body = b32decode(digits[:whole]).decode("latin-1")
    for start in (0, 5, 10):
        run = _PRINTABLE.match(body, start)
        hidden = "" if run is None else run.group()
        if start + len(hidden) == len(body):
            hidden += _end_of_base32(digits[whole:])
        if len(hidden) >= _LEAST_BYTES and is_readable(hidden):
            return hidden
    return None


def _end_of_base32(digits: str) -> str:
    for size in (7, 5, 4, 2):
        end = b32decode(digits[:size] + "=" * (8 - size)).decode("latin-1") if len(digits) >= size else ""
        if _PRINTABLE.fullmatch(end):
            return end
    return ""


def from_base85(written: str) -> str | None:
    """Read base 85, as Adobe writes it or as git does, as far as it is a text; what stands before it may look like a part of it."""
    digits = "".join(written.split())
    for values, highest in ((_ASCII85, "u"), (_BASE85, "~")):
        for start in range(_GROUP):
            hidden = "".join(_groups_of_85(digits[start:], values, highest))
            if len(hidden) >= 4 * _LEAST_GROUPS:
                return hidden
    return None


def _groups_of_85(digits: str, values: dict[str, int], filler: str) -> Iterator[str]:
    for at in range(0, len(digits), _GROUP):
        group = digits[at : at + _GROUP]
        number = 0
        for char in group.ljust(_GROUP, filler):
            value = values.get(char)
            if value is None:
                return
            number = number * 85 + value
        if number >> 32:
            return
        raw = number.to_bytes(4, "big")[: len(group) - 1]
        text = raw.decode("ascii", errors="replace")
        if not all(" " <= char <= "~" or char in "\n\r\t" for char in text):
            return
        yield text


def without_line_numbers(written: str) -> str:
    """Return numbered lines without their numbers, in one."""
    return "".join(_LINE_NUMBER.sub("", written).split())


def from_repeated(written: str) -> str | None:
    """Read letters that are each written as often."""
    runs = [len(run.group()) for run in _RUN.finditer(written)]
    times = min(runs, default=0)
    if times < 2 or any(run % times for run in runs):
        return None
    text = " ".join(_RUN.sub(lambda run: run.group()[::times], written).split())
    return text if sum(map(str.isalnum, text)) >= _LEAST_REPEATED else None
