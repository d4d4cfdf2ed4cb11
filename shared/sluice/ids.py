"""Identifiers: a readable prefix, then 24 characters that sort by time of making."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_TIME_CHARS = 9
_RANDOM_CHARS = 15


def new_id(prefix: str) -> str:
    """Return a new identifier such as `vs_0k3v9w…`: 45 bits of milliseconds, then 75 random bits.

    Two ids made in different milliseconds sort in the order in which they were made.
    """
    return f"{prefix}_{_encode(time.time_ns() // 1_000_000, _TIME_CHARS)}{_encode(secrets.randbits(5 * _RANDOM_CHARS), _RANDOM_CHARS)}"


def _encode(value: int, length: int) -> str:
    out = []
    for _ in range(length):
        out.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(out))


def time_of(identity: str) -> float | None:
    """Return when an identifier of this form was made (unix seconds), None for any other text."""
    value = 0
    prefix, _, rest = identity.rpartition("_")
    if not prefix or len(rest) != _TIME_CHARS + _RANDOM_CHARS:
        return None
    for char in rest[:_TIME_CHARS]:
        place = _ALPHABET.find(char)
        if place < 0:
            return None
        value = value << 5 | place
    return value / 1000
