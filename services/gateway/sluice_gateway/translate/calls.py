"""Which tool call a piece of a stream belongs to.

OpenAI numbers the calls of an answer (`index`) and sends the id with the first piece of each. Other servers give all calls the
index 0, or none at all, and tell them apart by their ids alone.
"""

import orjson

from sluice_gateway.translate.hub import details, word
from sluice_gateway.translate.shapes import Json


class CallNumbers:
    """The calls of one choice, as they come; each gets a number of its own, the server's where that is one."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}  # by number; empty while it is not known
        self._latest: dict[int | None, int] = {}  # by the index that the server gave

    def of(self, piece: Json) -> int:
        """Return the number of the call that a piece belongs to."""
        given, identity = piece.get("index"), word(piece, "id")
        index = given if type(given) is int and given >= 0 else None
        number = self._latest.get(index)
        if number is not None and word(details(piece, "function"), "name"):
            number = self._named(number, index, identity)
        if number is None:
            number = max(self._ids, default=-1) + 1 if index is None or index in self._ids else index
        self._ids[number] = self._ids.get(number) or identity
        self._latest[index] = number
        return number

    def _named(self, latest: int, index: int | None, identity: str) -> int | None:
        # Another call begins with its name and its id. Some servers repeat both with each piece, and some make up an id for each.
        if not identity or not self._ids[latest]:
            return None if index is None else latest
        return next((number for number, known in self._ids.items() if known == identity), None)

    def numbered(self, piece: Json) -> Json:
        """Return a piece as OpenAI writes it: with the number of its call as `index`, and its arguments as a text."""
        number = self.of(piece)
        if piece.get("index") != number:
            piece = {**piece, "index": number}
        function = details(piece, "function")
        if type(function.get("arguments")) is dict:
            piece = {**piece, "function": {**function, "arguments": orjson.dumps(function["arguments"]).decode()}}
        return piece
