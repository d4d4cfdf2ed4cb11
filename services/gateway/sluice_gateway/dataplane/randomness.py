"""Names for requests, drawn from the system in large pieces: one system call serves 512 of them."""

import os
import time
from collections.abc import Iterator

_BYTES = 8
_DRAWN = 512


def _pieces() -> Iterator[str]:
    while True:
        drawn = os.urandom(_BYTES * _DRAWN).hex()
        began = f"{int(time.time()):08x}"
        for start in range(0, len(drawn), 2 * _BYTES):
            yield began + drawn[start : start + 2 * _BYTES]


_source = _pieces()


def fresh_hex() -> str:
    """Return 24 hexadecimal digits that nobody had: the time when their piece was drawn (seconds), then 64 random bits.

    What begins with the time lies together in an index of the database: usage is written at a third of the price of wholly
    random names.
    """
    return next(_source)
