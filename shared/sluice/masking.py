"""Puts the values back that placeholders such as `<EMAIL_1>` stand for: whole, in streams, and inside JSON."""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Literal
from urllib.parse import quote

from sluice.contracts.guard import VaultEntry

_NAME = r"[A-Za-z](?:[A-Za-z0-9]|\\?_){1,47}"
_OPENING, _CLOSING = r"(?:<|\\u003[cC])", r"(?:>|\\u003[eE])"
# Models change the case, escape the underscore as Markdown wants it, and write the brackets as JSON may, and as HTML and links must.
PLACEHOLDER = re.compile(rf"{_OPENING}({_NAME}){_CLOSING}|&lt;({_NAME})&gt;|%3[cC]({_NAME})%3[eE]")
_WRITTEN: tuple[Callable[[str], str], ...] = (str, html.escape, partial(quote, safe="@"))
"""How a value is written in place of each form of a placeholder."""
_HALF_ESCAPE = r"\\(?:u(?:0(?:0(?:3)?)?)?)?"
_BEGUN = r"(?:[A-Za-z](?:[A-Za-z0-9]|\\?_){0,47}"
_UNFINISHED = re.compile(
    rf"{_OPENING}{_BEGUN}(?:{_HALF_ESCAPE})?)?\Z|{_HALF_ESCAPE}\Z"
    rf"|&(?:l(?:t(?:;{_BEGUN}\\?(?:&(?:g(?:t)?)?)?)?)?)?)?\Z|%(?:3(?:[cC]{_BEGUN}\\?(?:%3?)?)?)?)?\Z"
)
_BEGINNING = re.compile(r"[<\\&%]")
_LONGEST = 120
SPECIAL = re.compile(r'["\\\x00-\x1f]')
_FENCE, _JSON_FENCE = "```", "```json"


def name_of(written: str) -> str:
    """Return the name of a placeholder as the vault knows it, from how a model wrote it (without its brackets)."""
    return written.replace("\\", "").upper()


def names_in(texts: Iterable[str]) -> set[str]:
    """Return the names of everything that looks like a placeholder in some texts."""
    return {name_of(match[match.lastindex or 1]) for text in texts for match in PLACEHOLDER.finditer(text)}


class Vault:
    """The values of one request by placeholder; it lives as long as the request, and shows none of them when printed."""

    __slots__ = ("_values", "needs_escaping")

    def __init__(self, entries: Iterable[VaultEntry]) -> None:
        self._values: Mapping[str, VaultEntry] = {name_of(entry.placeholder[1:-1]): entry for entry in entries}
        self.needs_escaping = any(SPECIAL.search(entry.value) for entry in self._values.values())

    @property
    def entries(self) -> tuple[VaultEntry, ...]:
        """All placeholders with their values."""
        return tuple(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def entry(self, name: str) -> VaultEntry | None:
        """Return what a name stands for, None for one that is not in the vault."""
        return self._values.get(name)

    def restore(self, text: str) -> str:
        """Return a whole text with its values put back."""
        restorer = Restorer(self)
        return restorer.feed(text) + restorer.finish()


class Restorer:
    """Puts values back into a text that comes in pieces; what comes out together is the same however it was cut.

    At most the beginning of one placeholder is held back. A value that lands in a JSON string is escaped as JSON wants
    it, twice where that string is itself a JSON document. A text counts as JSON when it begins with a brace or a bracket,
    and within a fenced block that says so.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._held = ""
        self._place = Place() if vault.needs_escaping else None

    def feed(self, text: str) -> str:
        """Take the next piece and return what is settled."""
        if not self._held and self._place is None and _BEGINNING.search(text) is None:
            return text
        text = self._held + text
        beginning = max(0, len(text) - _LONGEST)
        unfinished = _UNFINISHED.search(text, beginning)
        cut = len(text) if unfinished is None else unfinished.start()
        self._held = text[cut:]
        return self._restored(text[:cut])

    def finish(self) -> str:
        """Return what was held back when no more comes."""
        rest, self._held = self._held, ""
        return self._restored(rest)

    def _restored(self, text: str) -> str:
        parts: list[str] = []
        end = 0
        for match in PLACEHOLDER.finditer(text):
            form = match.lastindex or 1
            entry = self._vault.entry(name_of(match[form]))
            if entry is None:
                continue
            before = text[end : match.start()]
            parts.append(before)
            value = _WRITTEN[form - 1](entry.value)
            if self._place is not None:
                self._place.pass_over(before)
                depth = self._place.pass_value()
                value = value if entry.verbatim else escaped(value, depth)
            parts.append(value)
            end = match.end()
        if self._place is not None:
            self._place.pass_over(text[end:])
        parts.append(text[end:])
        return "".join(parts)


class Place:
    """Follows a text to know whether its end lies in a JSON string."""

    def __init__(self) -> None:
        self._mode: Literal["unknown", "text", "json"] = "unknown"
        self._recent = ""
        self._in_string = False
        self._backslash = False
        self._begun = False
        self._document = False

    def pass_over(self, text: str) -> None:
        """Take the next piece of the text, without the values that were or will be masked."""
        for char in text:
            if self._mode == "json":
                self._in_json(char)
            else:
                self._in_text(char)

    def pass_value(self) -> int:
        """Take a value, and return in how many JSON strings it stands: 0 in plain text, 2 in a document inside a string."""
        if self._mode == "unknown":
            self._mode = "text"
        if self._mode == "text" or not self._in_string:
            return 0
        self._begun = True
        return 2 if self._document else 1

    def _in_text(self, char: str) -> None:
        if self._mode == "unknown" and not char.isspace():
            self._mode = "json" if char in "{[" else "text"
        self._recent = (self._recent + char)[-len(_JSON_FENCE) :]
        if self._recent.lower() == _JSON_FENCE:
            self._mode, self._recent = "json", ""

    def _in_json(self, char: str) -> None:
        if not self._in_string:
            self._in_string = char == '"'
            self._begun = self._document = False
            self._recent = (self._recent + char)[-len(_FENCE) :]
            if self._recent == _FENCE:
                self._mode, self._recent = "text", ""
        elif self._backslash:
            self._backslash = False
            self._begun = True
        elif char == "\\":
            self._backslash = True
        elif char == '"':
            self._in_string = False
        elif not self._begun and not char.isspace():
            self._begun, self._document = True, char in "{["


def escaped(value: str, depth: int) -> str:
    """Return a value as it stands inside `depth` JSON strings."""
    for _ in range(depth):
        value = json.dumps(value, ensure_ascii=False)[1:-1]
    return value


def unescaped(written: str, depth: int) -> str | None:
    """Return the value that is written so inside `depth` JSON strings, None where writing it again would not give the same."""
    value = written
    for _ in range(depth):
        try:
            value = json.loads(f'"{value}"')
        except ValueError:
            return None
    return value if escaped(value, depth) == written else None
