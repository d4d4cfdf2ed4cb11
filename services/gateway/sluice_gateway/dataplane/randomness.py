"""Random names for requests, drawn from the system in large pieces: one system call serves 512 of them."""

import os
from collections.abc import Iterator

_BYTES = 12
_DRAWN = 512


def _pieces() -> Iterator[str]:
    while True:
        drawn = os.urandom(_BYTES * _DRAWN).hex()
        for start in range(0, len(drawn), 2 * _BYTES):
            yield drawn[start : start + 2 * _BYTES]


_source = _pieces()


def random_hex() -> str:
    """Return 24 random hexadecimal digits (96 bits)."""
    return next(_source)
