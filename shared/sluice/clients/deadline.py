"""Deadlines: a call inherits what is left of its caller's time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sluice.errors import DeadlineExceeded

DEADLINE_HEADER = "x-sluice-deadline-ms"
"""Remaining time in milliseconds, relative, so that clocks need not agree."""

_MAX_MS = 3_600_000
_deadline: ContextVar[float | None] = ContextVar("sluice_deadline", default=None)


@contextmanager
def deadline_after(header: str | None) -> Iterator[None]:
    """Take over the deadline of an incoming request; a missing or senseless header sets none."""
    milliseconds = _parse(header)
    token = _deadline.set(time.monotonic() + milliseconds / 1000 if milliseconds is not None else None)
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Allow at most so many seconds from now, and never more than the caller allowed."""
    end = time.monotonic() + seconds
    current = _deadline.get()
    token = _deadline.set(end if current is None else min(end, current))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(limit: float) -> float:
    """Return the seconds that a call may take: `limit`, or what is left of the caller's time if that is less.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    end = _deadline.get()
    if end is None:
        return limit
    left = end - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("The time that the caller allowed has run out.")
    return min(limit, left)


def _parse(header: str | None) -> int | None:
    if header is None or not header.isascii() or not header.isdigit():
        return None
    return min(int(header), _MAX_MS) if len(header) < 12 else _MAX_MS
