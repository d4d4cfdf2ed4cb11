"""Where a guarded stream is cut: what lies before may go out, what lies behind waits for more."""

from collections.abc import Sequence

from sluice.contracts.guard import IssueDetail

_MAX_WITHOUT_SPACE = 400  # characters


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
    return cut
