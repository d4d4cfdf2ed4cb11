"""Hands out the placeholders of one request, and makes the vault that leads them back to their values."""

from collections.abc import Iterable, Sequence

from sluice.contracts.guard import VaultEntry
from sluice.masking import SPECIAL, Place, name_of, names_in, unescaped


class Masks:
    """Names values with placeholders such as `<EMAIL_1>`: the same value has the same one everywhere in a request.

    Names that stand in the texts already are left out, so that what the user wrote himself is never mistaken for one.
    """

    def __init__(self, texts: Iterable[str], known: Sequence[VaultEntry] = ()) -> None:
        self._entries = list(known)
        self._taken = names_in(texts) | {name_of(entry.placeholder[1:-1]) for entry in known}
        self._known = {(entry.value, entry.verbatim): entry.placeholder for entry in known}
        self._counts: dict[str, int] = {}

    @property
    def vault(self) -> tuple[VaultEntry, ...]:
        """What the placeholders stand for, those that were known before first."""
        return tuple(self._entries)

    def within(self, text: str) -> "MaskedText":
        """Return what masks the values of one text, which are asked for in the order of their places."""
        return MaskedText(self, text)

    def placeholder(self, kind: str, value: str, *, verbatim: bool) -> str:
        """Return the placeholder of a value."""
        known = self._known.get((value, verbatim))
        if known is not None:
            return known
        number = self._counts.get(kind, 0) + 1
        while f"{kind.upper()}_{number}" in self._taken:
            number += 1
        self._counts[kind] = number
        made = self._known[value, verbatim] = f"<{kind.upper()}_{number}>"
        self._entries.append(VaultEntry(placeholder=made, value=value, verbatim=verbatim))
        return made


class MaskedText:
    """Masks the values of one text; a value in a JSON string is kept as what the string says, not as it is written there."""

    def __init__(self, masks: Masks, text: str) -> None:
        self._masks = masks
        self._text = text
        self._place = Place()
        self._read = 0

    def placeholder(self, kind: str, start: int, end: int) -> str:
        """Return the placeholder for text[start:end]."""
        written = self._text[start:end]
        self._place.pass_over(self._text[self._read : start])
        depth = self._place.pass_value()
        self._read = end
        value = unescaped(written, depth) if SPECIAL.search(written) else written
        return self._masks.placeholder(kind, written if value is None else value, verbatim=value is None)
