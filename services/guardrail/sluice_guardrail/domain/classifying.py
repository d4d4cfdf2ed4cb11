"""How a text is shown to a model that classifies texts for prompt injection, and how its answer is read.

Prompt Guard and its like read up to 512 tokens, so a longer text goes in windows that overlap; class 0 is what they call a harmless text.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import Unclear

HARMLESS = frozenset({"LABEL_0", "0", "BENIGN", "SAFE", "LEGIT", "LEGITIMATE", "HARMLESS", "NEGATIVE", "NO_INJECTION"})
"""What models call their harmless class; Prompt Guard 1 says BENIGN, Prompt Guard 2 LABEL_0, ProtectAI's SAFE."""

WINDOW = 1200
STEP = 1000
MAX_WINDOWS = 256
_PLAIN = 1.5  # bytes a character in UTF-8; from there on windows are cut `_DENSE` times smaller
_DENSE = 3


class Window(NamedTuple):
    """A part of a text: characters `start` to `end`."""

    start: int
    end: int


def windows(text: str) -> list[Window]:
    """Return the parts of a text that are classified, in order; what lies beyond the last of `MAX_WINDOWS` is not read.

    Raises:
        Unclear: the text has more, so that a part of it would go unread.
    """
    # A character of Chinese or Hindi is about a token, one of English a quarter.
    parts = 1 if len(text.encode(errors="replace")) < _PLAIN * len(text) else _DENSE
    window, step = WINDOW // parts, STEP // parts
    starts = range(0, max(1, len(text) - (window - step)), step)
    if len(starts) > MAX_WINDOWS * parts:
        raise Unclear
    return [Window(start, min(len(text), start + window)) for start in starts]


def harmless_first(scores: Mapping[str, float]) -> tuple[float, ...]:
    """Return the probabilities of named classes, the harmless one's first.

    Raises:
        Unclear: no class, or more than one, is known as the harmless one.
    """
    harmless = [label for label in scores if label.upper() in HARMLESS]
    if len(harmless) != 1:
        raise Unclear
    return (scores[harmless[0]], *(score for label, score in scores.items() if label != harmless[0]))


def classified(parts: Sequence[Window], probabilities: Sequence[Sequence[float]]) -> list[Finding]:
    """Return a finding for each part, whose score is the probability of all classes but the harmless one.

    Raises:
        Unclear: the model did not answer for every part, or with fewer than two classes.
    """
    if len(parts) != len(probabilities) or any(len(one) < 2 for one in probabilities):
        raise Unclear
    return [
        Finding(
            "injection", "injection_model", "classified", part.start, part.end, _share(one[0]),
            "a model takes it for an attack on an application's instructions",
        )
        for part, one in zip(parts, probabilities, strict=True)
    ]  # fmt: skip


def _share(harmless: float) -> float:
    return round(min(1.0, max(0.0, 1.0 - harmless)), 4)
