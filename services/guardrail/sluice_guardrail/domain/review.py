"""Sends critical answers to people (handbook F046): says which answers those are, and whether one waits until somebody has looked at it."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sluice.contracts.guard import IssueDetail, OutputVerdict, Segment
from sluice_guardrail.domain.issues import UNANSWERED_ROLES, Issue

WAITING = "This answer waits for a person to look at it."


class ReviewRules(BaseModel):
    """Which answers a person should look at: any condition that is given is enough.

    With `action: flag` the answer is shown and looked at later; with `block` `message` stands in its place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["flag", "block"] = "flag"
    issues: frozenset[Issue] = Field(frozenset(), description="answers with one of these issues")
    from_score: float | None = Field(
        None, ge=0, le=1, description="answers with a finding or a category of harm of this score up to `to_score`"
    )
    to_score: float = Field(1.0, ge=0, le=1)
    groundedness_below: float | None = Field(
        None, ge=0, le=1, description="answers of which the context supports less than this"
    )
    message: str = Field(WAITING, min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _some_condition(self) -> "ReviewRules":
        if not self.issues and self.from_score is None and self.groundedness_below is None:
            raise ValueError("give at least one of `issues`, `from_score` and `groundedness_below`")
        if self.from_score is not None and self.from_score > self.to_score:
            raise ValueError("`from_score` must not be above `to_score`")
        if "review_required" in self.issues:
            raise ValueError("`review_required` is the issue that a review makes; name what leads to it")
        return self


def with_review(verdict: OutputVerdict, rules: ReviewRules | None, *, enforced: bool) -> OutputVerdict:
    """Return the verdict with `review_required` where the answer is critical, and without the answer where it has to wait."""
    found = None if rules is None else next(_reasons(verdict, rules), None)
    if rules is None or found is None:
        return verdict
    held = rules.action == "block" and enforced
    detail = IssueDetail(
        code="review_required",
        detector="review",
        kind=found[0],
        category="review",
        reason=found[1],
        action="block" if held else "flag",
        score=found[2],
        start=0,
        end=0,
    )
    marked = {"issues": (*verdict.issues, "review_required"), "details": (*verdict.details, detail)}
    if not held:
        return verdict.model_copy(update=marked)
    segments = verdict.filtered_segments
    judged = None if segments is None else tuple(_held(one, rules.message) for one in segments)
    shown = None if verdict.filtered_response is None else rules.message
    return verdict.model_copy(update={**marked, "safe": False, "filtered_response": shown, "filtered_segments": judged})


def _held(segment: Segment, message: str) -> Segment:
    return segment if segment.role in UNANSWERED_ROLES else segment.model_copy(update={"text": message})


def _reasons(verdict: OutputVerdict, rules: ReviewRules) -> Iterator[tuple[str, str, float]]:
    for issue in verdict.issues:
        if issue in rules.issues:
            score = max((one.score for one in verdict.details if one.code == issue), default=1.0)
            yield "issue", f"the answer has the issue {issue}", score
    if (low := rules.from_score) is not None:
        scores = [*(one.score for one in verdict.details), *(one.score for one in verdict.category_scores)]
        for score in sorted(scores, reverse=True):
            if low <= score <= rules.to_score:
                yield "score", "a score lies where a person decides", score
    grounds, least = verdict.groundedness, rules.groundedness_below
    if grounds is not None and least is not None and grounds.score < least:
        yield "groundedness", "the context supports too little of it", round(1 - grounds.score, 4)
