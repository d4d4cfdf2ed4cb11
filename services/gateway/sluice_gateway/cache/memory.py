"""The first level: answers in the memory of this process, bounded in bytes; the least recently used goes first."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Literal

from sluice_gateway.domain.cached import Entry, is_invalidated

Reason = Literal["size", "expired", "invalidated"]


class MemoryCache:
    """Entries by key, no more than `most_bytes` in all; used on the event loop only."""

    def __init__(
        self, most_bytes: int, on_eviction: Callable[[Reason, int], None] = lambda _reason, _count: None
    ) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.on_eviction = on_eviction
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float) -> Entry | None:
        """Return the entry of this key if it has not expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry.ends:
            self._drop(key, "expired")
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry; others leave for it when there is too little room."""
        size = entry.size
        if size > self._most_bytes:
            return
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old.size
        self._entries[key] = entry
        self.bytes += size
        while self.bytes > self._most_bytes:
            self._drop(next(iter(self._entries)), "size")

    def purge(self, invalidated: Mapping[str, float]) -> int:
        """Drop what is older than an invalidation that names it, and return how many that were."""
        gone = [key for key, entry in self._entries.items() if is_invalidated(entry, invalidated)]
        for key in gone:
            self._drop(key, "invalidated")
        return len(gone)

    def _drop(self, key: bytes, reason: Reason) -> None:
        self.bytes -= self._entries.pop(key).size
        self.on_eviction(reason, 1)
