"""Reading JSON that will be written again: how deep it may be nested.

orjson reads 1,024 levels and writes 254, so that what was read might not be written. What the gateway adds around a value (another API's
messages, the key of a cache, a batch's line) takes some levels more.
"""

from typing import Any

import orjson

MOST_LEVELS = (
    200  # of objects and lists inside each other; pydantic's own reader, on which many model servers stand, goes as far
)
_WRITABLE = 254
_FEW = 32


class TooDeep(orjson.JSONDecodeError):
    """JSON that is nested deeper than is read here."""

    def __init__(self) -> None:
        super().__init__(f"objects and lists are nested more than {MOST_LEVELS} levels deep", "", 0)


def loads(raw: bytes | str) -> Any:
    """Return what JSON says, if all of it can be written again.

    Raises:
        TooDeep: it is nested more than 200 levels deep.
        orjson.JSONDecodeError: it is no JSON.
    """
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        if "depth limit" in exc.msg:  # orjson's own, at 1,024 levels
            raise TooDeep from None
        raise
    if len(raw) > 2 * MOST_LEVELS and not _holds_little(found):
        inside = found
        for _ in range(_WRITABLE - MOST_LEVELS):
            inside = [inside]
        try:
            orjson.dumps(inside)  # which counts levels many times as fast as a walk
        except TypeError:
            raise TooDeep from None
    return found


def _holds_little(found: Any) -> bool:
    # Whether so few objects and lists are in it that they cannot stand so deep in each other, as in most long prompts.
    if type(found) is not dict:
        return False
    held: list[Any] = [found]
    for one in held:
        if len(one) > _FEW or len(held) > _FEW:
            return False
        for value in one.values() if type(one) is dict else one:
            kind = type(value)
            if kind is dict or kind is list:
                held.append(value)
    return True
