"""Names in a conversation that a model reads as well: of who speaks, and of the functions that were called.

A program goes by them, so they are checked and never changed, as the names in definitions are. One that reads as a sentence is words besides, of whoever's message it is.
"""

import re
from typing import Any

from sluice_gateway.dataplane.body import Fields
from sluice_gateway.dataplane.definitions import ROLE
from sluice_gateway.dataplane.texts import Piece

_SPEAKERS = frozenset({"user", "system", "developer", "assistant"})
_A_SENTENCE = 3  # words
_BETWEEN = re.compile(r"[\s_.:/-]+|(?<=[a-z0-9])(?=[A-Z])")


def names(fields: Fields) -> list[Piece]:
    """Return the names in the messages of a chat, each once and all together, and each also with its words apart: agents call the same few functions again and again."""
    found: list[Piece] = []
    called: dict[str, None] = {}
    spoken: set[tuple[str, str]] = set()
    for index, message in enumerate(fields.get("messages") or ()):
        if len(message) <= 2:  # a role and a text
            continue
        for name in _called(message):
            called[name] = None
        speaker = message.get("name")
        if isinstance(speaker, str) and speaker and (message["role"], speaker) not in spoken:
            called[speaker] = None
            spoken.add((message["role"], speaker))
            said = _words(speaker)
            if message["role"] in _SPEAKERS and len(said) >= _A_SENTENCE:
                found.append(Piece(("messages", index, "name"), message["role"], " ".join(said)))
    if called:
        apart = (" ".join(_words(name)) for name in called)
        found.append(Piece(("messages",), ROLE, "\n".join(dict.fromkeys((*called, *apart)))))
    return found


def _words(name: str) -> list[str]:
    return [word for word in _BETWEEN.split(name) if word]


def _called(message: dict[str, Any]) -> list[str]:
    calls = message.get("tool_calls")
    holders: list[Any] = [message.get("function_call")]
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            holders += (call.get("function"), call.get("custom"))
    return [
        one["name"] for one in holders if isinstance(one, dict) and isinstance(one.get("name"), str) and one["name"]
    ]
