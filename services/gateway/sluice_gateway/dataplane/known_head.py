"""Heads that were parsed before: a client or an engine says the same in nearly each of its messages, but for the length of the body.

A message whose head is byte for byte the one that the parser has taken, with another `content-length`, and whose body came with it,
means the same; nothing else is taken for known. Measured: a tenth of a request's processor time.
"""

import re
from typing import Generic, TypeVar

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_DIGITS = 12
_PATIENCE = 4  # heads that were remembered for nothing before it rests
_REST_S = 1.0

What = TypeVar("What")


class KnownHead(Generic[What]):
    """One head, and what it meant."""

    __slots__ = ("_after", "_after_size", "_at", "_before", "hits", "what")

    def __init__(self, before: bytes, after: bytes, what: What) -> None:
        self._before, self._after = before, after
        self._at, self._after_size = len(before), len(after)
        self.what = what
        self.hits = 0

    def fits(self, data: bytes) -> bool:
        """Tell whether `data` is one whole message with this head."""
        return self.body_of(data) is not None

    def body_of(self, data: bytes) -> bytes | None:
        """Return the body of a message that has this head and is all of `data`, None for any other."""
        if not data.startswith(self._before):
            return None
        at, size = self._at, self._after_size
        end = data.find(self._after, at, at + _DIGITS + size)
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or len(data) - end - size != int(digits):
            return None
        begin = end + size
        self.hits += 1
        return data[begin:]


class HeadMemory(Generic[What]):
    """The last head of a connection, or of all connections to one engine.

    Where each head is another one, remembering costs more than it saves: after some in vain it rests for a second.
    """

    __slots__ = ("_in_vain", "_met", "_rests_until", "known")

    def __init__(self) -> None:
        self.known: KnownHead[What] | None = None
        self._met = False
        self._in_vain = 0
        self._rests_until = 0.0

    def learn(self, data: bytes, what: What, now: float) -> None:
        """Remember the head of a message that is all of `data`, from the second on; `now` is the loop's time.

        `data` must have been understood by the parser, as a message that may be followed by another.
        """
        if now < self._rests_until or not self._met:
            self._met = True
            return
        known = self.known
        if known is not None:
            self._in_vain = 0 if known.hits > 1 else self._in_vain + 1
            if self._in_vain >= _PATIENCE:
                self.known, self._in_vain, self._rests_until = None, 0, now + _REST_S
                return
        end = data.find(_HEAD_END)
        found = _LENGTH.search(data, 0, end + 2) if end >= 0 else None
        if found is not None:
            head = KnownHead(data[: found.start(1)], data[found.end(1) : end + len(_HEAD_END)], what)
            self.known = head if head.fits(data) else None
