"""What a classifier says of one text."""

from typing import Literal, NamedTuple

Outcome = Literal["recognised", "out_of_scope", "not_confident", "broken"]


class Reading(NamedTuple):
    """What a classifier says of one text.

    `label` is the likeliest class, and counts only when it was `recognised`. `confidence` is its calibrated probability,
    None when the classifier is broken: that is another thing than not being confident.
    """

    outcome: Outcome
    label: str | None = None
    confidence: float | None = None

    @property
    def recognised(self) -> str | None:
        """The class, if it may be acted on."""
        return self.label if self.outcome == "recognised" else None

    @property
    def said(self) -> str:
        """A sentence for whoever asks why."""
        if self.outcome == "broken":
            return "the classifier gave no answer, so the candidates answer"
        sure = f"{self.label} with a confidence of {self.confidence or 0:.2f}"
        if self.outcome == "recognised":
            return sure
        why = "out of scope" if self.outcome == "out_of_scope" else "not confident"
        return f"{why} (nearest: {sure}), so the candidates answer"


BROKEN = Reading("broken")
