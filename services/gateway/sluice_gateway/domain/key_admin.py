"""Making, changing, rotating and revoking API keys."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from sluice.contracts.gateway import CreateApiKey, RotateApiKey, UpdateApiKey
from sluice_gateway.domain.audit import Actor, Trail
from sluice_gateway.domain.errors import ExpiryPast, PlacementRefused, UserTypeUnknown
from sluice_gateway.domain.keys import (
    KEY_ENTROPY_BYTES,
    StoredKey,
    digest_of,
    idempotency_digest,
    make_key,
    repeatable_entropy,
    request_digest,
    visible_prefix,
)
from sluice_gateway.domain.policies import check_policy
from sluice_gateway.domain.tenancy import Lineage, StoredOrganization, patched
from sluice_gateway.domain.tenancy_admin import Announcer


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


class Placement(NamedTuple):
    """Where a new key is to stand; what is None was not said.

    An organisation for `tenant` is made (with the id `new_id`) if there is none and nothing else says where.
    """

    organization_id: str | None
    team_id: str | None
    tenant: str | None
    new_id: str


Make = Callable[[StoredOrganization], StoredKey]


class KeyRepository(Protocol):
    """Where keys are stored. `within` is the only organisation that may be touched, None all.

    Degraded mode: while the database is away every method raises DependencyUnavailable; keys that are in the ring
    go on working and none can be made, changed or revoked.
    """

    async def add(
        self, placement: Placement, make: Make, trail: Trail, creation: Creation | None = None
    ) -> Lineage | None:
        """Add the key that `make` makes for its organisation; None when another request with the same Idempotency-Key was faster."""
        ...

    async def find_creation(self, idempotency_digest: str, request_digest: str, now: float) -> Repeated | None:
        """Return the creation of the last 24 hours that had the same Idempotency-Key."""
        ...

    async def change(
        self, key_id: str, within: str | None, change: Callable[[StoredKey], StoredKey], trail: Trail
    ) -> Lineage:
        """Change a key that is not revoked."""
        ...

    async def rotate(
        self, key_id: str, within: str | None, change: Callable[[StoredKey], StoredKey], grace_s: int, trail: Trail
    ) -> Lineage:
        """Replace the secret of a key that is not revoked; the old one works for another `grace_s` seconds."""
        ...

    async def revoke(self, key_id: str, within: str | None, trail: Trail) -> Lineage:
        """Revoke a key for good."""
        ...


@dataclass(frozen=True, slots=True)
class KeyAdmin:
    """What the admin API does with keys. `known_policies` returns None while no routing snapshot is there."""

    repository: KeyRepository
    announcer: Announcer
    pepper: bytes
    entropy: Callable[[int], bytes]
    new_id: Callable[[str], str]
    known_policies: Callable[[], frozenset[str] | None]
    user_types: frozenset[str] = frozenset()

    async def create(self, request: CreateApiKey, trail: Trail, idempotency_key: str | None = None) -> MadeKey:
        """Make a key; with an Idempotency-Key, a repetition within 24 hours answers the same key and secret again.

        Raises:
            IdempotencyKeyReused: the Idempotency-Key was used for another request.
            PolicyUnknown: the routing snapshot has no policy of that name.
            UserTypeUnknown: the settings name no such kind of user.
            ExpiryPast: it would have expired already.
            OrganizationNotFound, TeamNotFound, PlacementRefused: it cannot stand where it should.
        """
        placement = self._placement(request, trail.actor)
        if idempotency_key is None:
            self._check_new(request, trail)
            lineage, secret = await self._add(request, placement, trail, self.entropy(KEY_ENTROPY_BYTES), None)
        else:
            repeated = await self._repeated(request, idempotency_key, trail)
            if repeated is not None:
                return repeated
            self._check_new(request, trail)
            salt = self.entropy(KEY_ENTROPY_BYTES)
            name = idempotency_digest(self.pepper, idempotency_key, trail.actor.organization_id)
            lineage, secret = await self._add(
                request,
                placement,
                trail,
                repeatable_entropy(self.pepper, salt, idempotency_key),
                Creation(name, _digest(request), salt),
            )
            if lineage is None:
                repeated = await self._repeated(request, idempotency_key, trail)
                if repeated is None:
                    raise AssertionError("the creation that was faster is there")
                return repeated
        if lineage is None:
            raise AssertionError("a creation that cannot be repeated is alone")
        await self.announcer.key_changed(lineage)
        return MadeKey(lineage.key, secret, replayed=False)

    async def change(self, key_id: str, request: UpdateApiKey, trail: Trail) -> StoredKey:
        """Change a key that is not revoked."""
        self._check(request, trail.actor)
        lineage = await self.repository.change(
            key_id, trail.actor.organization_id, lambda key: _standing(patched(key, request)), trail
        )
        await self.announcer.key_changed(lineage)
        return lineage.key

    async def rotate(self, key_id: str, request: RotateApiKey, trail: Trail) -> MadeKey:
        """Give a key a new secret, which is shown once; the old one works for another `grace_s` seconds."""
        secret = make_key(self.entropy(KEY_ENTROPY_BYTES))

        def rotated(key: StoredKey) -> StoredKey:
            digest = digest_of(self.pepper, secret.encode())
            return replace(key, digest=digest, prefix=visible_prefix(secret), rotated_at=int(trail.at))

        lineage = await self.repository.rotate(key_id, trail.actor.organization_id, rotated, request.grace_s, trail)
        await self.announcer.key_changed(lineage)
        return MadeKey(lineage.key, secret, replayed=False)

    async def revoke(self, key_id: str, trail: Trail) -> StoredKey:
        """Revoke a key for good; revoking it again changes nothing."""
        lineage = await self.repository.revoke(key_id, trail.actor.organization_id, trail)
        await self.announcer.key_changed(lineage)
        return lineage.key

    def _placement(self, request: CreateApiKey, actor: Actor) -> Placement:
        said = "tenant" in request.model_fields_set
        somewhere = request.organization_id or request.team_id or actor.organization_id
        tenant = request.tenant if said or somewhere is None else None
        if actor.organization_id is not None:
            elsewhere = request.organization_id not in (None, actor.organization_id)
            if elsewhere or tenant not in (None, actor.tenant):
                raise PlacementRefused("An organisation's admin key makes keys for its own organisation only.")
        return Placement(request.organization_id or actor.organization_id, request.team_id, tenant, self.new_id("org"))

    async def _add(
        self, request: CreateApiKey, placement: Placement, trail: Trail, entropy: bytes, creation: Creation | None
    ) -> tuple[Lineage | None, str]:
        secret = make_key(entropy)

        def made(organization: StoredOrganization) -> StoredKey:
            return _standing(
                StoredKey(
                    id=self.new_id("key"),
                    digest=digest_of(self.pepper, secret.encode()),
                    prefix=visible_prefix(secret),
                    name=request.name,
                    organization_id=organization.id,
                    tenant=organization.tenant,
                    created_at=int(trail.at),
                    team_id=request.team_id,
                    role=request.role,
                    models=request.models,
                    policy=request.policy,
                    user_type=request.user_type,
                    sampling=request.sampling,
                    default_model=request.default_model,
                    tags=request.tags,
                    limits=request.limits,
                    expires_at=request.expires_at,
                    metadata=dict(request.metadata),
                )
            )

        return await self.repository.add(placement, made, trail, creation), secret

    async def _repeated(self, request: CreateApiKey, idempotency_key: str, trail: Trail) -> MadeKey | None:
        digest = idempotency_digest(self.pepper, idempotency_key, trail.actor.organization_id)
        found = await self.repository.find_creation(digest, _digest(request), trail.at)
        if found is None:
            return None
        secret = make_key(repeatable_entropy(self.pepper, found.salt, idempotency_key))
        return MadeKey(found.key, secret, replayed=True)

    def _check_new(self, request: CreateApiKey, trail: Trail) -> None:
        if request.expires_at is not None and request.expires_at <= trail.at:
            raise ExpiryPast(
                "`expires_at` is not in the future, so that the key could never be used; it is in unix seconds."
            )
        self._check(request, trail.actor)

    def _check(self, request: CreateApiKey | UpdateApiKey, actor: Actor) -> None:
        if request.user_type is not None and request.user_type not in self.user_types:
            raise UserTypeUnknown(
                f"There is no user type {request.user_type!r}; SLUICE_GATEWAY_USER_TYPES names "
                f"{', '.join(sorted(self.user_types)) or 'none'}."
            )
        check_policy(request, actor, self.known_policies())


def _standing(key: StoredKey) -> StoredKey:
    if key.role == "admin" and key.team_id is not None:
        raise PlacementRefused("A key with the role admin stands for the whole organisation, so it can be in no team.")
    return key


def _digest(request: CreateApiKey) -> str:
    return request_digest(request.model_dump_json().encode())
