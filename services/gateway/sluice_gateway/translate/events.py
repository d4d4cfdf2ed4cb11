"""Server-sent events, read as the WHATWG standard says: any cut of the bytes, any line end, comments, several data lines.

The data plane's relay keeps an OpenAI stream as the bytes that came and needs only the cuts between events; a translator
needs their names and their data, which is what this reader gives.
Standard: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from typing import NamedTuple

import orjson

from sluice_gateway.translate.shapes import Json

MAX_EVENT = 32 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its name, empty when it has none, and its data with the lines joined."""

    name: bytes
    data: bytes


class EventTooLong(Exception):
    """A provider sent an event without an end."""


class EventReader:
    """Collects bytes and gives back events as they become complete."""

    __slots__ = ("_after_cr", "_data", "_first", "_name", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._first = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete now."""
        if not data:
            return []  # a carriage return before it may still be followed by its line feed
        if self._first:
            data = b"".join((*self._parts, data))
            self._parts = []
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._parts.append(data)
                return []
            data = data.removeprefix(_BOM)
            self._first = False
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        return self._lines(data)

    def finish(self) -> list[Event]:
        """Return the last event, when only its empty line is missing."""
        self._first = False
        return self._lines(b"\n\n")

    def _lines(self, data: bytes) -> list[Event]:
        found: list[Event] = []
        start = 0
        for end in _LINE_END.finditer(data):
            line = data[start : end.start()]
            if self._parts:
                line = b"".join((*self._parts, line))
                self._parts = []
            self._line(line, found)
            start = end.end()
        if start < len(data):
            self._parts.append(data[start:])
            self._size += len(data) - start
            if self._size > MAX_EVENT:
                raise EventTooLong
        self._after_cr = start == len(data) and data.endswith(b"\r")
        return found

    def _line(self, line: bytes, found: list[Event]) -> None:
        if not line:
            if self._data:
                found.append(Event(self._name, b"\n".join(self._data)))
            self._name, self._data, self._size = b"", [], 0
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value)
        elif field == b"event":
            self._name = value


def write(payload: Json) -> bytes:
    """Return one event with JSON data and no name."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def write_named(name: str, payload: Json) -> bytes:
    """Return one event with a name and JSON data."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(payload) + b"\n\n"
