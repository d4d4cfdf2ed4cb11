"""Takes single passages out of the evidence that retrieval found."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from sluice.contracts.guard import IssueDetail
from sluice.contracts.retrieval import Citation


class Passages(NamedTuple):
    """The text that goes before a question, and what its `[n]` stand for."""

    text: str
    citations: tuple[Citation, ...]


def without_blocked(found: Passages, details: Sequence[IssueDetail]) -> Passages:
    """Return the evidence without the passages in which something is blocked; nothing is left where what is blocked lies in no passage.

    A passage begins with its number at the beginning of a line. What a document writes there itself can only cost other passages their place: what
    is left has to be checked again.
    """
    starts = list(_starts(found))
    spans = list(pairwise((*starts, len(found.text))))
    wrong: set[int] = set()
    for detail in details:
        if detail.action == "block":
            inside = {at for at, (start, end) in enumerate(spans) if detail.start < end and start < detail.end}
            if not inside or detail.start < starts[0]:
                return Passages("", ())
            wrong |= inside
    if not wrong or len(wrong) == len(spans):
        return Passages("", ())
    before = found.text[: starts[0]]
    kept = [found.text[start:end] for at, (start, end) in enumerate(spans) if at not in wrong]
    return Passages(
        (before + "".join(kept)).rstrip(), tuple(one for at, one in enumerate(found.citations) if at not in wrong)
    )


def _starts(found: Passages) -> list[int]:
    starts: list[int] = []
    for citation in found.citations:
        begin = re.compile(rf"^\[{citation.index}\] ", re.MULTILINE).search(found.text, starts[-1] + 1 if starts else 0)
        if begin is None:
            return []
        starts.append(begin.start())
    return starts
