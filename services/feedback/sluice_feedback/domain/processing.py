"""What is computed from one piece of feedback: facts that hold in every language, and nothing else."""

import hashlib
import re
from dataclasses import dataclass

from sluice.contracts.feedback import FeedbackCreate, ReviewReason

LOWEST_RATING, HIGHEST_RATING = 1, 5
ESCALATE_BELOW = 3
"""A lower rating goes to a person (F312)."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Processed:
    """The facts of one entry; a field that has no meaning for the type of feedback is None.

    Attributes:
        score: 0 (worst) to 1 (best), of thumbs and ratings.
        negative: a thumbs-down, or a rating that escalates.
        escalate: a rating below 3.
        characters: Unicode code points of a text or correction.
        words: runs of letters and digits in it; languages written without spaces give one for each run.
        lines: lines in it.
    """

    score: float | None = None
    negative: bool | None = None
    escalate: bool | None = None
    characters: int | None = None
    words: int | None = None
    lines: int | None = None

    @property
    def review(self) -> ReviewReason | None:
        """Why a person should look at it, or None."""
        if self.escalate:
            return "low_rating"
        return "negative_thumbs" if self.negative else None


def process(given: FeedbackCreate) -> Processed:
    """Return the facts of one piece of feedback.

    Thumbs score 1 or 0 (F311). A rating's score is (rating - 1) / 4; below 3 it escalates (F312).
    """
    value = given.value
    if given.feedback_type == "thumbs":
        return Processed(score=1.0 if value == "up" else 0.0, negative=value == "down")
    if isinstance(value, int):
        low = value < ESCALATE_BELOW
        score = (value - LOWEST_RATING) / (HIGHEST_RATING - LOWEST_RATING)
        return Processed(score=score, negative=low, escalate=low)
    return Processed(characters=len(value), words=len(_WORD.findall(value)), lines=len(value.splitlines()))


def digest_of(given: FeedbackCreate) -> str:
    """Return what two equal requests share, to tell a repetition from another use of the same Idempotency-Key."""
    return hashlib.sha256(given.model_dump_json().encode()).hexdigest()
