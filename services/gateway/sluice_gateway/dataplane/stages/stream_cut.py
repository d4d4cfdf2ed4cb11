"""Where a guarded stream is cut: what lies before may go out, what lies behind waits for more."""

import re
from collections.abc import Sequence

from sluice.contracts.guard import IssueDetail

_MAX_WITHOUT_SPACE = 400  # characters
_LONGEST_KEY = 40
# A number that might be somebody's goes with the key before it: without it, it looks like one in a text, and what takes its place in JSON has to be a string.
_KEY = re.compile(r'"[^"\\\s]{1,30}":\s*\Z')
_LONG_NUMBER = re.compile(r"-?\d{8}")


def cut_before(text: str, limit: int, details: Sequence[IssueDetail]) -> int:
    """Return how much of `text` may be released when nothing after `limit` is settled yet: up to a space, outside all findings."""
    if limit <= 0:
        return 0
    cut = max(text.rfind(" ", 0, limit), text.rfind("\n", 0, limit)) + 1
    if cut == 0 and limit > _MAX_WITHOUT_SPACE:
        cut = limit  # a script without spaces
    moved = True
    while moved:
        moved = False
        for detail in details:
            if detail.start < cut < detail.end:
                cut, moved = detail.start, True
        key = _KEY.search(text, max(0, cut - _LONGEST_KEY), cut) if _LONG_NUMBER.match(text, cut) else None
        if key is not None:
            cut, moved = key.start(), True
    return cut
