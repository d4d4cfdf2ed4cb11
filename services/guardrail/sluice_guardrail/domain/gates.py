"""Cheap first looks: which of many patterns can occur in a text at all, answered in one linear pass (RE2).

A gate may open for nothing; it never stays shut where its pattern occurs. What an open gate lets through is then read by
the exact pattern. A 2 kB text passes all gates in a few microseconds.
"""

import re
from collections.abc import Mapping

import re2  # type: ignore[import-untyped]

_LOOKS = frozenset({"(?=", "(?!", "(?<=", "(?<!"})
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?<?[=!]|.", re.DOTALL)  # an escape, a class, a look, a character


class Gates:
    """A set of named patterns in RE2's syntax that are looked for together."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._names = tuple(patterns)
        self._set = re2.Set.SearchSet()
        for pattern in patterns.values():
            self._set.Add(pattern)
        self._set.Compile()

    def opened_by(self, text: str) -> frozenset[str]:
        """Return the names whose pattern occurs."""
        return frozenset(self._names[index] for index in self._set.Match(text) or ())


class NeedleGates(Gates):
    """Plain words that are looked for together."""

    def __init__(self, needles: frozenset[str]) -> None:
        super().__init__({needle: re.escape(needle) for needle in sorted(needles)})


def without_looks(pattern: str) -> str:
    """Return a pattern without its looks ahead and behind."""
    kept: list[str] = []
    depth = 0  # of parentheses inside a look
    for part in _PART.findall(pattern):
        if depth:
            depth += part.startswith("(") - (part == ")")
        elif part in _LOOKS:
            depth = 1
        else:
            kept.append(part)
    return "".join(kept)


class PatternGate:
    """One pattern whose absence is proved fast.

    RE2 looks neither ahead nor behind, so the gate is that of the pattern without such looks, which occurs wherever the pattern
    does. RE2 knows ASCII words only, where Python's `re` knows all scripts: for other texts, and for patterns that RE2 does not know,
    the gate is open.
    """

    def __init__(self, pattern: str) -> None:
        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(without_looks(pattern), options)
        except re2.error:
            self._compiled = None

    def open_for(self, text: str) -> bool:
        """Say whether the pattern may occur."""
        return self._compiled is None or not text.isascii() or self._compiled.search(text) is not None
