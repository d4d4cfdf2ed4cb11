"""The key ring: every API key in memory, found by the header that proves it."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from sluice_gateway.domain.keys import StoredKey, bearer_token, digest_of
from sluice_gateway.domain.ports import KeyRecord

_REMEMBERED = 4096
_TOKEN_START = b"eyJ"  # `{"` in base64url, as every JWT begins and no API key does
_LONGEST_TOKEN = 4096


class Delegation(NamedTuple):
    """What a service's token says: for which API key of which tenant it asks, and until when (unix seconds)."""

    tenant: str
    key_id: str
    expires_at: float


class Delegations(Protocol):
    """Checks the tokens with which Sluice's own services ask on behalf of an API key; it needs nothing that may be away."""

    def check(self, token: bytes) -> Delegation | None:
        """Return what a token says, None when it is not valid here or its holder may not ask for others."""
        ...


class MemoryKeyRing:
    """Keys by digest, and in front of them the headers that were last seen, so that a known caller costs one dict hit.

    Remembered headers hold secrets: they live in memory only and are dropped when any key changes. Checked tokens of
    services are remembered until they expire; the key that they name is looked up each time. Without `delegations` no
    token is a credential.
    """

    def __init__(self, pepper: bytes, delegations: Delegations | None = None, *, remembered: int = _REMEMBERED) -> None:
        self._pepper = pepper
        self._delegations = delegations
        self._limit = remembered
        self._by_digest: dict[bytes, KeyRecord] = {}
        self._digest_by_id: dict[str, bytes] = {}
        self._seen: OrderedDict[bytes, KeyRecord] = OrderedDict()
        self._checked: OrderedDict[bytes, Delegation] = OrderedDict()
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

    def on_behalf(self, authorization: bytes, now: float) -> KeyRecord | None:
        """Return the key for which a service asks with a token, or None; also a disabled or expired one."""
        token = bearer_token(authorization)
        if token is None or not token.startswith(_TOKEN_START) or len(token) > _LONGEST_TOKEN:
            return None
        said = self._delegation(token, now)
        if said is None:
            return None
        digest = self._digest_by_id.get(said.key_id)
        record = None if digest is None else self._by_digest.get(digest)
        return record if record is not None and record.tenant == said.tenant else None

    def _delegation(self, token: bytes, now: float) -> Delegation | None:
        known = self._checked.get(token)
        if known is not None and now < known.expires_at:
            self._checked.move_to_end(token)
            return known
        self._checked.pop(token, None)
        said = None if self._delegations is None else self._delegations.check(token)
        if said is not None:
            if len(self._checked) >= self._limit:
                self._checked.popitem(last=False)
            self._checked[token] = said
        return said

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
