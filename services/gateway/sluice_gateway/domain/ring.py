"""The key ring: every API key in memory, found by the header that proves it."""

from collections import OrderedDict
from collections.abc import Iterable

from sluice_gateway.domain.keys import StoredKey, bearer_token, digest_of
from sluice_gateway.domain.ports import KeyRecord

_REMEMBERED = 4096


class MemoryKeyRing:
    """Keys by digest, and in front of them the headers that were last seen, so that a known caller costs one dict hit.

    Remembered headers hold secrets: they live in memory only and are dropped when any key changes.
    """

    def __init__(self, pepper: bytes, *, remembered: int = _REMEMBERED) -> None:
        self._pepper = pepper
        self._limit = remembered
        self._by_digest: dict[bytes, KeyRecord] = {}
        self._digest_by_id: dict[str, bytes] = {}
        self._seen: OrderedDict[bytes, KeyRecord] = OrderedDict()
        self.loaded = False

    def __len__(self) -> int:
        return len(self._by_digest)

    def lookup(self, authorization: bytes) -> KeyRecord | None:
        """Return the key that a whole `Authorization` header value proves, or None; also a disabled or expired one."""
        record = self._seen.get(authorization)
        if record is not None:
            self._seen.move_to_end(authorization)
            return record
        token = bearer_token(authorization)
        if token is None:
            return None
        record = self._by_digest.get(digest_of(self._pepper, token))
        if record is None:
            return None
        if len(self._seen) >= self._limit:
            self._seen.popitem(last=False)
        self._seen[authorization] = record
        return record

    def replace(self, keys: Iterable[StoredKey]) -> None:
        """Take these keys instead of all earlier ones."""
        by_digest: dict[bytes, KeyRecord] = {}
        digest_by_id: dict[str, bytes] = {}
        for key in keys:
            by_digest[key.digest] = record_of(key)
            digest_by_id[key.id] = key.digest
        self._by_digest, self._digest_by_id = by_digest, digest_by_id
        self._seen.clear()
        self.loaded = True

    def put(self, key: StoredKey) -> None:
        """Take one key that is new or changed."""
        self._by_digest[key.digest] = record_of(key)
        self._digest_by_id[key.id] = key.digest
        self._seen.clear()

    def drop(self, key_id: str) -> None:
        """Forget one key."""
        digest = self._digest_by_id.pop(key_id, None)
        if digest is not None:
            self._by_digest.pop(digest, None)
            self._seen.clear()


def record_of(key: StoredKey) -> KeyRecord:
    """Return what the request path needs to know of a key."""
    return KeyRecord(
        key_id=key.id,
        tenant=key.tenant,
        name=key.name,
        models=frozenset(key.models) if key.models is not None else None,
        policy=key.policy,
        expires_at=key.expires_at,
        disabled=key.revoked_at is not None,
    )
