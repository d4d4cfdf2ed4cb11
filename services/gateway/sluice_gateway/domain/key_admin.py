"""Making, changing and revoking API keys."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice.clock import Clock
from sluice.contracts.gateway import CreateApiKey, UpdateApiKey
from sluice.contracts.paging import Order
from sluice_gateway.domain.errors import PolicyUnknown
from sluice_gateway.domain.keys import (
    KEY_ENTROPY_BYTES,
    KeyChange,
    StoredKey,
    digest_of,
    idempotency_digest,
    make_key,
    repeatable_entropy,
    request_digest,
    visible_prefix,
)


@dataclass(frozen=True, slots=True)
class Creation:
    """A creation that may be repeated: what to find it by, and what makes its secret again."""

    idempotency_digest: str
    request_digest: str
    salt: bytes


class Repeated(NamedTuple):
    """The earlier creation that a repeated one found."""

    key: StoredKey
    salt: bytes


class MadeKey(NamedTuple):
    """A key with its secret, which is shown once; `replayed` says that an earlier creation is answered again."""

    key: StoredKey
    secret: str
    replayed: bool


class KeyRepository(Protocol):
    """Where keys are stored.

    Degraded mode: while the database is away every method raises DependencyUnavailable; keys that are in the ring
    go on working and none can be made, changed or revoked.
    """

    async def add(self, key: StoredKey, now: float) -> None:
        """Add a key."""
        ...

    async def find_creation(self, idempotency_digest: str, request_digest: str, now: float) -> Repeated | None:
        """Return the creation of the last 24 hours that had the same Idempotency-Key."""
        ...

    async def add_repeatable(self, key: StoredKey, creation: Creation, now: float) -> bool:
        """Add a key with its creation; False when another request with the same Idempotency-Key was faster."""
        ...

    async def get(self, key_id: str) -> StoredKey:
        """Return one key, or raise KeyNotFound."""
        ...

    async def page(self, *, tenant: str | None, limit: int, after: str | None, order: Order) -> list[StoredKey]:
        """Return at most `limit + 1` keys by time of creation."""
        ...

    async def change(self, key_id: str, change: KeyChange, now: float) -> StoredKey:
        """Change a key that is not revoked."""
        ...

    async def revoke(self, key_id: str, now: float) -> StoredKey:
        """Revoke a key for good."""
        ...


class KeyAnnouncer(Protocol):
    """Makes a change of a key known to this process and to all other gateway processes.

    Degraded mode: while Redis is away other processes notice the change at their next periodic look; it never raises.
    """

    async def changed(self, key: StoredKey) -> None:
        """Tell everyone."""
        ...


@dataclass(frozen=True, slots=True)
class KeyAdmin:
    """What the admin API does with keys. `known_policies` returns None while no routing snapshot is there."""

    repository: KeyRepository
    announcer: KeyAnnouncer
    pepper: bytes
    clock: Clock
    entropy: Callable[[int], bytes]
    new_id: Callable[[str], str]
    known_policies: Callable[[], frozenset[str] | None]

    async def create(self, request: CreateApiKey, idempotency_key: str | None = None) -> MadeKey:
        """Make a key; with an Idempotency-Key, a repetition within 24 hours answers the same key and secret again.

        Raises:
            IdempotencyKeyReused: the Idempotency-Key was used for another request.
            PolicyUnknown: the routing snapshot has no policy of that name.
        """
        if idempotency_key is None:
            self._check_policy(request.policy)
            made = self._make(request, self.entropy(KEY_ENTROPY_BYTES))
            await self.repository.add(made.key, self.clock.now())
        else:
            repeated = await self._repeated(request, idempotency_key)
            if repeated is not None:
                return repeated
            self._check_policy(request.policy)
            salt = self.entropy(KEY_ENTROPY_BYTES)
            made = self._make(request, repeatable_entropy(self.pepper, salt, idempotency_key))
            creation = Creation(idempotency_digest(self.pepper, idempotency_key), _digest(request), salt)
            if not await self.repository.add_repeatable(made.key, creation, self.clock.now()):
                repeated = await self._repeated(request, idempotency_key)
                if repeated is None:
                    raise AssertionError("the creation that was faster is there")
                return repeated
        await self.announcer.changed(made.key)
        return made

    async def change(self, key_id: str, request: UpdateApiKey) -> StoredKey:
        """Change a key that is not revoked."""
        if "policy" in request.model_fields_set:
            self._check_policy(request.policy)
        change = KeyChange(fields=frozenset(request.model_fields_set), **dict(request))
        key = await self.repository.change(key_id, change, self.clock.now())
        await self.announcer.changed(key)
        return key

    async def revoke(self, key_id: str) -> StoredKey:
        """Revoke a key for good; revoking it again changes nothing."""
        key = await self.repository.revoke(key_id, self.clock.now())
        await self.announcer.changed(key)
        return key

    async def _repeated(self, request: CreateApiKey, idempotency_key: str) -> MadeKey | None:
        digest = idempotency_digest(self.pepper, idempotency_key)
        found = await self.repository.find_creation(digest, _digest(request), self.clock.now())
        if found is None:
            return None
        secret = make_key(repeatable_entropy(self.pepper, found.salt, idempotency_key))
        return MadeKey(found.key, secret, replayed=True)

    def _make(self, request: CreateApiKey, entropy: bytes) -> MadeKey:
        secret = make_key(entropy)
        key = StoredKey(
            id=self.new_id("key"),
            digest=digest_of(self.pepper, secret.encode()),
            prefix=visible_prefix(secret),
            name=request.name,
            tenant=request.tenant,
            created_at=int(self.clock.now()),
            models=request.models,
            policy=request.policy,
            expires_at=request.expires_at,
            metadata=dict(request.metadata),
        )
        return MadeKey(key, secret, replayed=False)

    def _check_policy(self, policy: str | None) -> None:
        known = self.known_policies()
        if policy is not None and known is not None and policy not in known:
            raise PolicyUnknown(
                f"There is no policy {policy!r}; the configuration has {', '.join(sorted(known)) or 'none'}."
            )


def _digest(request: CreateApiKey) -> str:
    return request_digest(request.model_dump_json().encode())
