"""What spans of an answer that its context does not support say of its sentences."""

from collections.abc import Sequence
from typing import NamedTuple

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.grounding import sentences
from sluice_guardrail.domain.judging import Unclear

_REASON = "a model finds no support for it in the context"


class Unsupported(NamedTuple):
    """Characters `start` to `end` of an answer, and how likely (0 to 1) nothing supports them."""

    start: int
    end: int
    score: float


def by_sentence(answer: str, spans: Sequence[Unsupported]) -> list[Finding]:
    """Return a finding for each span, and one for each sentence, whose score is that of the worst span in it.

    Raises:
        Unclear: a span lies outside of the answer.
    """
    if any(not 0 <= one.start < one.end <= len(answer) for one in spans):
        raise Unclear
    found = [
        Finding(
            "unsupported_span", "groundedness_model", "unsupported", one.start, one.end, round(one.score, 4), _REASON
        )
        for one in spans
    ]
    for start, end in sentences(answer):
        score = max((one.score for one in spans if one.start < end and start < one.end), default=0.0)
        kind, reason = ("unsupported", _REASON) if score else ("supported", "")
        found.append(
            Finding(
                "support", "groundedness_model", kind, start, end, round(score, 4), reason,
                "undetermined" if score else None,
            )
        )  # fmt: skip
    return found
