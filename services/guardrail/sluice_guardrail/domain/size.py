"""How much text a request may bring."""

from typing import Protocol

from sluice.contracts.guard import Segment
from sluice_guardrail.domain.errors import TooMuchText


class Texts(Protocol):
    """One text or many segments."""

    @property
    def text(self) -> str | None:
        """The one text."""
        ...

    @property
    def segments(self) -> tuple[Segment, ...] | None:
        """The segments."""
        ...


def require_size(request: Texts, max_characters: int) -> int:
    """Return the number of characters of a request.

    Raises:
        TooMuchText: it is over `max_characters`.
    """
    size = len(request.text or "") + sum(len(segment.text) for segment in request.segments or ())
    if size > max_characters:
        raise TooMuchText(
            f"The texts hold {size} characters together; at most {max_characters} are checked in one request. "
            "Send fewer segments, or raise SLUICE_GUARDRAIL_MAX_CHARACTERS."
        )
    return size
