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
    """Return the names in the messages of a chat, those of one message together; each also with its words apart."""
    found: list[Piece] = []
    for index, message in enumerate(fields.get("messages") or ()):
        if len(message) <= 2:  # a role and a text
            continue
        called = dict.fromkeys(_called(message))
        speaker = message.get("name")
        if isinstance(speaker, str) and speaker:
            called[speaker] = None
            said = _words(speaker)
            if message["role"] in _SPEAKERS and len(said) >= _A_SENTENCE:
                found.append(Piece(("messages", index, "name"), message["role"], " ".join(said)))
        if called:
            apart = (" ".join(_words(name)) for name in called)
            found.append(Piece(("messages", index), ROLE, "\n".join(dict.fromkeys((*called, *apart)))))
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
