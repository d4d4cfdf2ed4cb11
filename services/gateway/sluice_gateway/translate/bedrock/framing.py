"""The binary frames of AWS event streams, read by botocore's own parser.

Frame format: https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html; botocore comes with the extra `bedrock`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from sluice_gateway import nesting
from sluice_gateway.translate.shapes import Json


class BrokenFrame(Exception):
    """Bytes that are no frame, or a frame whose checksum does not fit."""


class Frame(NamedTuple):
    """One event or exception with its payload."""

    name: str
    failed: bool
    payload: Json


class FrameReader:
    """Collects bytes and gives back frames as they become complete."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer, ParserError  # noqa: PLC0415 an optional extra

        self._buffer: Any = EventStreamBuffer()
        self._broken: type[Exception] = ParserError

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Give the frames that are complete now.

        Raises:
            BrokenFrame: the bytes cannot be understood; what came before them has been given.
        """
        self._buffer.add_data(data)
        while True:
            try:
                message = next(self._buffer)
                frame = _frame(message.headers, message.payload)
            except StopIteration:
                return
            except (self._broken, orjson.JSONDecodeError, UnicodeDecodeError) as exc:
                raise BrokenFrame from exc
            yield frame


def _frame(headers: dict[str, Any], payload: bytes) -> Frame:
    kind = headers.get(":message-type")
    if kind == "error":
        return Frame(str(headers.get(":error-code")), failed=True, payload={"message": headers.get(":error-message")})
    body = nesting.loads(payload) if payload else {}
    if type(body) is not dict:
        raise BrokenFrame
    name = headers.get(":exception-type" if kind == "exception" else ":event-type")
    return Frame(str(name), failed=kind == "exception", payload=body)
