"""API keys: how they are made, told apart and recognised."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import NamedTuple

from sluice.contracts.gateway import ApiKey, KeyRole, KeyStatus, Limits
from sluice.contracts.sampling import SamplingPolicy
from sluice_gateway.domain.limits import NO_LIMITS

KEY_BRAND = "sk-slc-"
KEY_ENTROPY_BYTES = 32
IDEMPOTENCY_WINDOW_S = 24 * 3600

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SECRET_CHARS = 52  # 5 bits each: 256 bits and four zero bits
_VISIBLE_CHARS = len(KEY_BRAND) + 6


class RetiredSecret(NamedTuple):
    """The digest of a secret that a rotation replaced, and until when it still works (unix seconds)."""

    digest: bytes
    valid_until: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as the database holds it: everything but the secret, of which only the digest is kept.

    Times are unix seconds. `models` None allows every model; `tenant` is the organisation's.
    """

    id: str
    digest: bytes
    prefix: str
    name: str
    organization_id: str
    tenant: str
    created_at: int
    team_id: str | None = None
    role: KeyRole = "member"
    disabled: bool = False
    models: tuple[str, ...] | None = None
    policy: str | None = None
    user_type: str | None = None
    sampling: SamplingPolicy | None = None
    default_model: str | None = None
    tags: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    rotated_at: int | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    retired: tuple[RetiredSecret, ...] = ()

    def status(self, now: float) -> KeyStatus:
        """Return whether the key by itself works at time `now`; its team or organisation may be disabled."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "disabled" if self.disabled else "active"

    def shown(self, now: float) -> ApiKey:
        """Return it as the admin API answers it."""
        return ApiKey(
            id=self.id,
            name=self.name,
            tenant=self.tenant,
            organization_id=self.organization_id,
            team_id=self.team_id,
            role=self.role,
            prefix=self.prefix,
            status=self.status(now),
            disabled=self.disabled,
            models=self.models,
            policy=self.policy,
            user_type=self.user_type,
            sampling=self.sampling,
            default_model=self.default_model,
            tags=self.tags,
            limits=self.limits,
            metadata=self.metadata,
            created_at=self.created_at,
            rotated_at=self.rotated_at,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
        )


def make_key(entropy: bytes) -> str:
    """Return the key text for 32 random bytes: the brand, then 52 characters of Crockford's base 32."""
    if len(entropy) != KEY_ENTROPY_BYTES:
        raise ValueError(f"a key is made of {KEY_ENTROPY_BYTES} random bytes, not {len(entropy)}")
    value = int.from_bytes(entropy, "big")
    return KEY_BRAND + "".join(_ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(_SECRET_CHARS)))


def visible_prefix(key: str) -> str:
    """Return the first characters of a key, which are safe to show: 30 of its 256 random bits at most."""
    return key[:_VISIBLE_CHARS]


def digest_of(pepper: bytes, key: bytes) -> bytes:
    """Return what is stored of a key: HMAC-SHA256 under the pepper.

    A key has 256 random bits, so no slow hash is needed; the pepper makes a stolen database useless for recognising keys.
    """
    return hmac.digest(pepper, key, hashlib.sha256)


def repeatable_entropy(pepper: bytes, salt: bytes, idempotency_key: str) -> bytes:
    """Return the random bytes of a key whose creation may be repeated.

    A repeated creation must answer with the same secret although no secret is stored. It is therefore derived from the
    pepper, a random salt that is stored for the idempotency window, and the caller's idempotency key, of which only
    a digest is stored: none of the three is enough without the others.
    """
    return hmac.digest(pepper, b"sluice api key v1\x00" + salt + idempotency_key.encode(), hashlib.sha256)


def idempotency_digest(pepper: bytes, idempotency_key: str, organization_id: str | None = None) -> str:
    """Return the name under which a repeated creation finds the first one.

    An organisation's admin key finds only what was made on behalf of that organisation: the answer is a secret.
    """
    scope = b"" if organization_id is None else organization_id.encode() + b"\x00"
    return hmac.digest(pepper, b"sluice idempotency v1\x00" + scope + idempotency_key.encode(), hashlib.sha256).hex()


def request_digest(body: bytes) -> str:
    """Return the digest that tells whether a repeated creation asks for the same."""
    return hashlib.sha256(body).hexdigest()


def bearer_token(header: bytes) -> bytes | None:
    """Return the credential of an Authorization header value, or None when it is not a bearer credential."""
    if header[:7].lower() != b"bearer ":
        return None
    token = header[7:].strip()
    return token or None
