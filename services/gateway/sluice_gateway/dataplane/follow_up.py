"""The question of a conversation as it can be searched for: a follow-up says nothing without what was asked before it."""

import re
from collections.abc import Sequence

from sluice_gateway.dataplane.texts import Piece

_SHORT_WORDS = 6
_WORD = re.compile(r"\w+")
_LEANS_BACK = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|she|him|his|her|hers|this|that|these|those|one|ones|there|same|former|latter|else)\b"
    r"|^\W*(?:and|but|so|or|also|then|why|how come|what about|how about|what else)\b",
    re.IGNORECASE,
)


def stands_alone(question: str) -> bool:
    """Tell whether a question can be understood by itself: it is long enough, and nothing in it points back."""
    return len(_WORD.findall(question)) >= _SHORT_WORDS and _LEANS_BACK.search(question) is None


def with_what_was_asked_before(question: str, pieces: Sequence[Piece]) -> str | None:
    """Return a follow-up together with the user's message before it; None for one that stands alone or is the first."""
    if stands_alone(question):
        return None
    asked = dict.fromkeys(piece.path[:2] for piece in pieces if piece.role == "user")
    if len(asked) < 2:
        return None
    before = list(asked)[-2]
    text = "\n".join(piece.text for piece in pieces if piece.path[:2] == before)
    return f"{text}\n{question}" if text.strip() else None
