"""The version of what a search can find: a token that changes with it."""

import hashlib
from collections.abc import Mapping

_BYTES = 12


def version_of(stores: Mapping[str, int], searched_by: str) -> str:
    """Return an opaque token of stores by their counters; `searched_by` names models and settings that rank in all of them."""
    said = "\n".join((searched_by, *(f"{store_id} {counter}" for store_id, counter in sorted(stores.items()))))
    return hashlib.blake2b(said.encode(), digest_size=_BYTES).hexdigest()
