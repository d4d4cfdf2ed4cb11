"""AWS event-stream frames, written by hand so that botocore's parser is tested against something else than itself.

Frame: total length, header length, CRC of both, headers (name length, name, type 7, value length, value), payload, CRC of all.
"""

import json
import struct
from binascii import crc32
from collections.abc import Mapping
from typing import Any


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame with string headers."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 12 + len(head) + len(payload) + 4, len(head))
    body = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return body + struct.pack("!I", crc32(body))


def event(name: str, payload: Mapping[str, Any]) -> bytes:
    """Return the frame of an event, padded as Bedrock pads it."""
    padded = {**payload, "p": "abcdefgh"}
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(padded).encode())


def exception(name: str, message: str) -> bytes:
    """Return the frame of an exception in the middle of a stream."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())
