"""How records stand in a journal segment: a header, then frames of length, checksum and payload.

A segment is `SLJ1` followed by frames; a frame is two little-endian 32-bit numbers (payload length, CRC-32 of the payload)
and the payload. A process that dies while it writes leaves a torn frame at the end, which the reader recognises.
"""

import struct
import zlib
from typing import NamedTuple

MAGIC = b"SLJ1"
MAX_PAYLOAD = 1024 * 1024

_HEADER = struct.Struct("<II")
HEADER_SIZE = _HEADER.size


class Decoded(NamedTuple):
    """What a stretch of bytes holds.

    `consumed` is how many bytes the whole frames take; `corrupt` says that what follows them can never become a
    frame. Bytes that are left over and not corrupt are a frame of which the rest is missing.
    """

    payloads: list[bytes]
    consumed: int
    corrupt: bool


def frame(payload: bytes) -> bytes:
    """Return the bytes to append for one record.

    Raises:
        ValueError: the payload is empty or over 1 MiB. (A length of zero is what a hole of zero bytes looks like, so
            it never counts as a record.)
    """
    size = len(payload)
    if not 0 < size <= MAX_PAYLOAD:
        raise ValueError(f"a journal record has 1 to {MAX_PAYLOAD} bytes, not {size}")
    return _HEADER.pack(size, zlib.crc32(payload)) + payload


def decode(data: bytes, *, limit: int) -> Decoded:
    """Return at most `limit` payloads from the beginning of `data`, which starts at a frame."""
    payloads: list[bytes] = []
    position, end = 0, len(data)
    while len(payloads) < limit and end - position >= HEADER_SIZE:
        size, checksum = _HEADER.unpack_from(data, position)
        if not 0 < size <= MAX_PAYLOAD:
            return Decoded(payloads, position, corrupt=True)
        start = position + HEADER_SIZE
        if end - start < size:
            break
        payload = data[start : start + size]
        if zlib.crc32(payload) != checksum:
            return Decoded(payloads, position, corrupt=True)
        payloads.append(payload)
        position = start + size
    return Decoded(payloads, position, corrupt=False)
