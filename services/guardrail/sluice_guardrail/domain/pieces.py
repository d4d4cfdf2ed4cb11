"""The texts of a check with what was found in each, and what a verdict tells of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from sluice.contracts.guard import MAX_DETAILS, CategoryScore, IssueAction, IssueDetail, Segment
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.issues import ISSUES
from sluice_guardrail.domain.policy import InputRules
from sluice_guardrail.domain.reasons import reason_of
from sluice_guardrail.domain.scanning import Scanned


class Decided(NamedTuple):
    """A finding with its issue code and what the policy does about it."""

    finding: Finding
    code: str
    action: IssueAction


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment, checked: the spans in `decided` count characters of its text as it came."""

    segment: Segment
    decided: tuple[Decided | Scanned, ...]
    rules: InputRules | None = None
    harm: Mapping[str, float] = field(default_factory=dict)
    sentences: Sequence[Finding] = ()

    @property
    def blocked(self) -> bool:
        """Whether any finding blocks."""
        return any(item.action == "block" for item in self.decided)


def issues_of(pieces: Iterable[Piece]) -> tuple[str, ...]:
    """Return the issues that the findings come to, in the order of the list of issues."""
    codes = {item.code for piece in pieces for item in piece.decided}
    return tuple(code for code in ISSUES if code in codes)


def scores_of(pieces: Iterable[Piece], *, single: bool) -> tuple[CategoryScore, ...]:
    """Return the categories of harm that score above 0, by text."""
    return tuple(
        CategoryScore(category=category, score=score, segment_id=None if single else piece.segment.id)
        for piece in pieces
        for category, score in piece.harm.items()
    )


def details_of(pieces: Iterable[Piece], *, single: bool) -> tuple[IssueDetail, ...]:
    """Return what a verdict tells of the findings, never the matched text."""
    decided = ((piece, item) for piece in pieces for item in piece.decided)
    return tuple(
        IssueDetail(
            code=item.code,
            detector=item.finding.detector,
            kind=item.finding.kind,
            category=item.finding.category,
            reason=reason_of(item.finding),
            action=item.action,
            score=item.finding.score,
            segment_id=None if single else piece.segment.id,
            start=item.finding.start,
            end=item.finding.end,
        )
        for piece, item in islice(decided, MAX_DETAILS)
    )
