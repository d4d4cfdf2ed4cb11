"""Remembers what was found in definitions of tools: an application sends the same ones with every request."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


class Remembered:
    """The latest `size` findings by text, policy and tenant, each of which is known by its hash alone; texts are not kept. Safe among threads."""

    def __init__(self, size: int = 16_384) -> None:
        self._size = size
        self._found: OrderedDict[bytes, Any] = OrderedDict()
        self._lock = Lock()

    def once(self, key: bytes, find: Callable[[], T], is_sure: Callable[[T], bool]) -> T:
        """Return what is remembered under a key, else what `find` finds, which is remembered if it is sure; what was asked for least lately is forgotten."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                known: T = self._found[key]
                return known
        found = find()
        if is_sure(found):
            with self._lock:
                self._found[key] = found
                while len(self._found) > self._size:
                    self._found.popitem(last=False)
        return found


def key_of(*parts: str) -> bytes:
    """Return the key of some texts, such as tenant, policy's hash and definition."""
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()
