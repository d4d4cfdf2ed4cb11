"""When stores were last used: noted in memory, written now and then, so that no search waits for it."""

from collections.abc import Sequence

_KNOWN = 10_000


class Activity:
    """The stores that were used since the last `take`, with the latest time."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._known: set[tuple[str, str]] = set()

    def touch(self, store_id: str, now: float) -> None:
        """Note that a store was used."""
        self._seen[store_id] = now

    def take(self) -> dict[str, float]:
        """Return what was noted, and forget it."""
        seen, self._seen = self._seen, {}
        return seen

    def knows(self, tenant: str, store_ids: Sequence[str]) -> bool:
        """Tell whether all these stores were there for the tenant when they were last searched."""
        return all((tenant, one) in self._known for one in store_ids)

    def found(self, tenant: str, store_ids: Sequence[str]) -> None:
        """Note that a tenant's stores are there."""
        if len(self._known) + len(store_ids) > _KNOWN:
            self._known.clear()
        self._known.update((tenant, one) for one in store_ids)

    def missed(self, tenant: str, store_ids: Sequence[str]) -> None:
        """Note that one of these is not there any more."""
        self._known.difference_update((tenant, one) for one in store_ids)
