"""What a caller wishes for each attempt of one request: the header `x-sluice-attempt`.

    x-sluice-attempt: first-byte-ms=2000, idle-ms=500

It is a dictionary of whole numbers in the sense of RFC 9651 (structured fields), without parameters.
"""

import re
from typing import NamedTuple

_PAIR = re.compile(r"[ \t]*(first-byte-ms|idle-ms|timeout-ms|hedge-ms)=([0-9]{1,7})[ \t]*")
_LONGEST_MS = 3_600_000


class Wishes(NamedTuple):
    """Times in seconds, None where nothing was said.

    `timeout_s` bounds a whole answer, `first_byte_s` the wait for the first event of a stream, `idle_s` each pause inside one;
    after `hedge_s` without either a second deployment is asked as well.
    """

    timeout_s: float | None = None
    first_byte_s: float | None = None
    idle_s: float | None = None
    hedge_s: float | None = None


def shorter(one: Wishes | None, other: Wishes | None) -> Wishes | None:
    """Return the shorter of each time that two say."""
    if one is None or other is None:
        return one or other
    pairs = zip(one, other, strict=True)
    return Wishes(*(min((time for time in pair if time is not None), default=None) for pair in pairs))


def wishes_of(header: bytes) -> Wishes:
    """Return what a header says.

    Raises:
        ValueError: it is not of that form; the message says what is.
    """
    found: dict[str, float] = {}
    for part in header.decode("latin-1").split(","):
        match = _PAIR.fullmatch(part)
        if match is None or not 1 <= int(match[2]) <= _LONGEST_MS or match[1] in found:
            raise ValueError(
                "must be a list such as `first-byte-ms=2000, idle-ms=500`: the names timeout-ms, first-byte-ms, idle-ms and "
                f"hedge-ms, each at most once, with a whole number from 1 to {_LONGEST_MS}."
            )
        found[match[1]] = int(match[2]) / 1000
    names = ("timeout-ms", "first-byte-ms", "idle-ms", "hedge-ms")
    return Wishes(*(found.get(name) for name in names))
