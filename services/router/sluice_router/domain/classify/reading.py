"""What a classifier says of one text."""

from typing import Literal, NamedTuple

from sluice.contracts.questions import Modality as EvidenceKind

Outcome = Literal["recognised", "out_of_scope", "not_confident", "broken"]


class Reading(NamedTuple):
    """What a classifier says of one text.

    `label` is the likeliest class, and counts only when it was `recognised`. `confidence` is its calibrated probability,
    None when the classifier is broken: that is another thing than not being confident. `why` says what is the matter with one that is broken.
    """

    outcome: Outcome
    label: str | None = None
    confidence: float | None = None
    why: str = "the text could not be embedded: the retrieval service is away or late"

    @property
    def recognised(self) -> str | None:
        """The class, if it may be acted on."""
        return self.label if self.outcome == "recognised" else None

    @property
    def said(self) -> str:
        """A sentence for whoever asks why."""
        if self.outcome == "broken":
            return f"the classifier gave no answer ({self.why}), so the candidates answer"
        sure = f"{self.label} with a confidence of {self.confidence or 0:.2f}"
        if self.outcome == "recognised":
            return sure
        why = "out of scope" if self.outcome == "out_of_scope" else "not confident"
        return f"{why} (nearest: {sure}), so the candidates answer"


BROKEN = Reading("broken")
UNTRAINED = Reading("broken", why="none can be read: `sluice router train` makes one")


class Difficulty(NamedTuple):
    """How much better the stronger model is expected to answer (the difference of both qualities, -1 to 1), and what follows from it.

    `strong` says whether the request is among those that the stronger model gets. Both are None when the classifier is broken.
    """

    gain: float | None = None
    strong: bool | None = None
    why: str = BROKEN.why

    @property
    def outcome(self) -> Literal["strong", "weak", "broken"]:
        """What follows, in a word."""
        return "broken" if self.strong is None else "strong" if self.strong else "weak"

    @property
    def said(self) -> str:
        """A sentence for whoever asks why."""
        if self.strong is None or self.gain is None:
            return f"the classifier gave no answer ({self.why}), so all candidates may answer"
        what = "a stronger model answers" if self.strong else "a weaker model is enough"
        return f"{what} (expected gain {self.gain:+.3f})"


class Signs(NamedTuple):
    """What was read of a request; None where the route does not ask for it. `asks_for` is what kind of evidence the question needs (F149)."""

    intent: Reading | None = None
    domain: Reading | None = None
    language: Reading | None = None
    difficulty: Difficulty | None = None
    asks_for: EvidenceKind | None = None


NO_SIGNS = Signs()
