"""Characters that a server cut in two: a sign outside of Unicode's first plane is two halves (surrogates) in UTF-16, and servers that count so end a chunk,
or an answer, between them. orjson reads no such JSON, and what cannot be read can be neither guarded nor translated.
"""

import json
import re
from collections.abc import Hashable
from typing import Any

import orjson

from sluice_gateway import nesting
from sluice_gateway.dataplane.sse import payload, split

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LOST = "\ufffd"
Place = tuple[Hashable, ...]


def mended(raw: bytes) -> Any:
    """Return what the JSON of a whole answer says that holds halves of characters: U+FFFD in their place, and nothing at the end of a text; None for what is no such JSON."""
    if _HALF.search(raw) is None:
        return None
    try:
        return nesting.loads(orjson.dumps(Halves().joined(json.loads(raw))))
    except (ValueError, RecursionError, TypeError):
        return None  # no JSON, or one that cannot be written again


class Halves:
    """Puts the halves together that come in two events of a stream, at the same place of their choices; all other events go on as they came."""

    def __init__(self) -> None:
        self._held: dict[Place, str] = {}

    def feed(self, events: bytes) -> bytes:
        """Return the events so that each of them can be read."""
        if not self._held and _HALF.search(events) is None:
            return events
        return b"".join(self._event(one) for one in split(events))

    def _event(self, one: bytes) -> bytes:
        data = payload(one)
        if not data.startswith(b"{"):
            return one
        try:
            chunk = json.loads(data)
            return b"data: " + orjson.dumps(self.joined(chunk)) + b"\n\n"
        except (ValueError, RecursionError, TypeError):
            return one  # no JSON, or one that cannot be written again

    def joined(self, value: Any, at: Place = ()) -> Any:
        """Return a value in which no text ends in half a character: that half waits for the next value at its place."""
        if isinstance(value, str):
            return self._text(value, at)
        if isinstance(value, list):
            return [self.joined(item, (*at, _name(item, place))) for place, item in enumerate(value)]
        if isinstance(value, dict):
            return {_SURROGATE.sub(_LOST, name): self.joined(item, (*at, name)) for name, item in value.items()}
        return value

    def _text(self, text: str, at: Place) -> str:
        if text and at in self._held:
            text = self._held.pop(at) + text
        if _SURROGATE.search(text) is None:
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            self._held[at] = text[-1]
            text = text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _name(item: Any, place: int) -> Hashable:
    # Choices and tool calls say which one they are.
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else place
