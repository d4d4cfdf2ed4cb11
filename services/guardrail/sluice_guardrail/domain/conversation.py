"""Reads the last turns of a user as one text: an attack may be cut into turns of which none is one (handbook F124).

Only what reaches over a border between turns counts: what stands in one turn was judged there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.folding import Folded
from sluice_guardrail.domain.injection import score_injection
from sluice_guardrail.domain.second import Cascade

OVER_TURNS = "over_turns"
MAX_CHARACTERS = 4000
_BETWEEN = " "


class Part(NamedTuple):
    """What a turn holds of a finding: the number of the turn, counted from the first that was given."""

    turn: int
    finding: Finding


def find_over_turns(turns: Sequence[str], threshold: float, head: Cascade | None) -> Iterator[Part]:
    """Yield the parts of an attack that reaches over several of the folded `turns`, of which the last `MAX_CHARACTERS` are read."""
    read = _last(turns)
    if len(read) < 2:
        return
    ends = list(accumulate(len(text) + len(_BETWEEN) for text in read))
    starts = [0, *ends[:-1]]
    result = score_injection(Folded(_BETWEEN.join(read)), head)
    if result.score <= threshold:
        return
    for finding in result.findings:
        touched = [
            at for at in range(len(read)) if finding.start < ends[at] - len(_BETWEEN) and finding.end > starts[at]
        ]
        if len(touched) < 2:
            continue
        for at in touched:
            span = max(finding.start - starts[at], 0), min(finding.end - starts[at], len(read[at]))
            reason = f"together with {len(touched) - 1} other turns"
            part = replace(finding, kind=OVER_TURNS, start=span[0], end=span[1], score=result.score, reason=reason)
            yield Part(len(turns) - len(read) + at, part)


def _last(turns: Sequence[str]) -> list[str]:
    kept: list[str] = []
    room = MAX_CHARACTERS
    for text in reversed(turns):
        room -= len(text) + len(_BETWEEN)
        if room < 0:
            break
        kept.insert(0, text)
    return kept
