"""When stores were last used: noted in memory, written now and then, so that no search waits for it."""


class Activity:
    """The stores that were used since the last `take`, with the latest time."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def touch(self, store_id: str, now: float) -> None:
        """Note that a store was used."""
        self._seen[store_id] = now

    def take(self) -> dict[str, float]:
        """Return what was noted, and forget it."""
        seen, self._seen = self._seen, {}
        return seen
