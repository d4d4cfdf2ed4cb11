"""Finds characters that a reader does not see and a model does: tags, zero-width runs, direction overrides, variation selectors."""

import re
from collections.abc import Iterator

from sluice_guardrail.domain.findings import Finding

_TAGS = re.compile("[\U000e0020-\U000e007f]+")
_FLAG = "\U0001f3f4"  # the flags of England, Scotland and Wales are written with tags
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_NO_WIDTH = "\u200b\u2060-\u2064\ufeff\u00ad\u180e"
_ZERO_WIDTH = re.compile(f"[{_NO_WIDTH}\u200c\u200d]{{2,}}|[{_NO_WIDTH}]")
_JOINER_IN_WORD = re.compile("(?<=[A-Za-z])[\u200c\u200d](?=[A-Za-z])")
_OVERRIDE = re.compile("[\u202a-\u202e\u2066-\u2069]+")
_NOTHING_SEEN = re.compile(
    f"{_TAGS.pattern}|{_SELECTORS.pattern}|{_ZERO_WIDTH.pattern}|{_OVERRIDE.pattern}|[\u200c\u200d]"
)
_MANY = 8


def find_invisible_text(text: str) -> Iterator[Finding]:
    """Yield runs of invisible characters of an original (not folded) text.

    What ordinary texts hold scores low: one soft hyphen, a byte order mark at the start, an emoji's joiner. Hidden text scores 1.
    """
    if text.isascii() or _NOTHING_SEEN.search(text) is None:
        return
    for match in _TAGS.finditer(text):
        if not (match.start() and text[match.start() - 1] == _FLAG):
            yield _finding("tag_characters", match, 1.0, "letters of the Unicode tag block, which no reader sees")
    for match in _SELECTORS.finditer(text):
        yield _finding("variation_selectors", match, 1.0, "several variation selectors in a row can carry bytes")
    for match in (*_ZERO_WIDTH.finditer(text), *_JOINER_IN_WORD.finditer(text)):
        if match.start() == 0 and match.group() == "\ufeff":
            continue
        yield _finding("zero_width", match, _zero_width_score(text, match), "characters without width between letters")
    for match in _OVERRIDE.finditer(text):
        yield _finding("direction_override", match, 0.8, "the order in which text is shown is changed")


def _zero_width_score(text: str, match: re.Match[str]) -> float:
    if match.end() - match.start() >= _MANY:
        return 1.0
    if set(match.group()) == {"\u00ad"}:
        return 0.3
    inside = match.start() > 0 and match.end() < len(text)
    return 0.7 if inside and text[match.start() - 1].isalnum() and text[match.end()].isalnum() else 0.4


def _finding(kind: str, match: re.Match[str], score: float, reason: str) -> Finding:
    return Finding("invisible_text", "invisible_text", kind, match.start(), match.end(), score, reason)
