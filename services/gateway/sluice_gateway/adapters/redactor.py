"""Masks the texts of a transcript with the guardrail's detectors."""

from collections.abc import Iterator, Sequence

from sluice.clients.guardrail import GuardrailClient
from sluice.contracts.guard import MAX_SEGMENTS, RedactRequest, Segment
from sluice.errors import DependencyUnavailable

_MOST_CHARACTERS = 100_000
_TIMEOUT_S = 30.0


class GuardrailRedactor:
    """Asks the guardrail, some texts at a time; equal values have the same placeholder within one question."""

    def __init__(self, guardrail: GuardrailClient) -> None:
        self._guardrail = guardrail

    async def masked(self, texts: Sequence[str], policy: str, tenant: str) -> list[str]:
        """Return the texts, masked, in their order.

        Raises:
            SluiceError: the guardrail is away, has no such policy, or refuses the texts.
        """
        found: list[str] = []
        for part in _parts(texts):
            segments = tuple(Segment(id=str(place), role="user", text=text) for place, text in enumerate(part))
            reply = await self._guardrail.redact(
                RedactRequest(segments=segments, policy=policy), tenant=tenant, timeout_s=_TIMEOUT_S
            )
            told = {segment.id: segment.text for segment in reply.segments or ()}
            if len(told) != len(part):
                raise DependencyUnavailable("The guardrail left texts out of its answer.")
            found += (told[str(place)] for place in range(len(part)))
        return found


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for text in texts:
        if part and (len(part) == MAX_SEGMENTS or size + len(text) > _MOST_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part
