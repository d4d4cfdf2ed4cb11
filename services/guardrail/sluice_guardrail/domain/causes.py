"""Names the likely cause of a sentence that the context does not support (handbook F042), as far as a text can show it.

What a sentence shares with the context tells whether the model had nothing to go by, or filled a gap between things that it had. How sure it
was comes from log-probabilities. That a model prefers what it was trained on to what it was given cannot be told from a text, and is never said.
"""

from sluice.contracts.guard import HallucinationCause

NEAR = 0.25
"""From this share of a sentence's words (by how rare they are) in one passage on, the sentence is about what the passage says."""

SURE = 0.8
"""From this probability of its tokens (geometric mean) on, a model was sure of an answer."""


def cause_of(kind: str | None, covered: float) -> HallucinationCause | None:
    """Return why a sentence of this kind, of which the best passage covers that share (0 to 1), may be unsupported; None if it is supported.

    A sentence that says what a passage says but for one number or name, or that joins pieces of several, fills a gap: interpolation.
    """
    if kind is None:
        return None
    if kind in ("negation", "opposite"):
        return "undetermined"  # the context was there and says otherwise
    return "interpolation" if covered >= NEAR else "missing_context"


def with_confidence(cause: HallucinationCause | None, confidence: float | None) -> tuple[HallucinationCause, ...]:
    """Return all causes of a sentence, given how sure the model was of the answer, if that is known."""
    if cause is None:
        return ()
    if confidence is None or confidence < SURE:
        return (cause,)
    return ("overconfidence",) if cause == "undetermined" else (cause, "overconfidence")
