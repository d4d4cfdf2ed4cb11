"""Names of people: what finds them is a model, so that a policy has to ask for it (`kinds: {person: mask}`)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from sluice_guardrail.domain.findings import Finding

PERSON: Final = "person"
_SCORE = 0.8


class NoNames(Exception):
    """A policy asks for names and no model of names is set up."""


class Names(Protocol):
    """A model that finds names of people.

    Degraded mode: where none is set up, or it breaks, what a policy asks of it counts as its rules' `on_error` says.
    """

    def people(self, text: str) -> Iterable[tuple[int, int]]:
        """Return the spans of people's names, in characters."""
        ...


def find_people(text: str, taken: Sequence[Finding], names: Names | None) -> Iterator[Finding]:
    """Yield the names in a folded text that no other finding covers.

    Raises:
        NoNames: there is no model.
    """
    if names is None:
        raise NoNames("A policy asks for names of people. Set SLUICE_GUARDRAIL_NAMES_MODEL to a spaCy model.")
    for start, end in names.people(text):
        if not any(found.start < end and start < found.end for found in taken):
            yield Finding("pii", PERSON, PERSON, start, end, _SCORE)
