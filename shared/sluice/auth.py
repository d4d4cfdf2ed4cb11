"""Service-to-service tokens and the callers that they prove."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import jwt
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sluice.clock import Clock, SystemClock
from sluice.errors import Forbidden, Unauthorized

Role = Literal["service", "admin", "member"]

_LIFETIME_S = 300
_RENEW_S = 60
_ALGORITHM = "HS256"
_DOTS = 2  # of a token: RFC 7519, three parts
_MAX_CACHED = 4096
_APART = frozenset(
    {"bridge"}
)  # services that run other people's code with keys of others, and so get no key that opens more than their own door
_PURPOSE = "sluice service token for "

bearer = HTTPBearer(auto_error=False, description="A service token, or the administrator's key")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: everything that a service stores or reads belongs to `tenant`.

    `key_id` names the API key on whose behalf the caller asks; the administrator, and a service that asks for itself,
    have none. `expires_at` is when a token ends (unix seconds); the administrator's key has no end.
    """

    tenant: str
    subject: str
    role: Role
    key_id: str | None = None
    expires_at: float | None = None


def secret_for(secret: str, audience: str) -> str:
    """Return the secret that signs tokens for one service alone, in hex: HMAC-SHA256 of the audience under the platform's secret.

    The same on a shell: `printf 'sluice service token for bridge' | openssl dgst -sha256 -hmac "$SLUICE_SERVICE_SECRET"`.
    """
    return hmac.digest(secret.encode(), f"{_PURPOSE}{audience}".encode(), hashlib.sha256).hex()


class ServiceTokens:
    """Mints and checks the short-lived tokens (JWT, HS256) with which one service shows another who asks.

    A token is for one audience (the target service) and carries the tenant on whose behalf it is used, and the id of the
    API key if there is one. Minted tokens are reused until a minute before they expire. Tokens for the bridge are signed with a
    secret of their own (`secret_for`), so that who holds that one can make none for another service.
    """

    def __init__(
        self, secret: str, issuer: str, clock: Clock | None = None, *, lifetime_s: float = _LIFETIME_S
    ) -> None:
        self._lifetime_s = lifetime_s
        self._key_of: Callable[[str], str] = lambda audience: (
            secret_for(secret, audience) if audience in _APART else secret
        )
        self._issuer = issuer
        self._clock = clock or SystemClock()
        self._minted: dict[tuple[str, str, str, Role, str | None], tuple[str, float]] = {}

    @classmethod
    def of_one(cls, secret: str, audience: str) -> Self:
        """Return the tokens of a service that holds no secret but its own (`secret_for`): for every other audience it can neither mint nor check."""

        def key_of(other: str) -> str:
            if other != audience:
                raise Unauthorized(f"The {audience} service holds no secret for tokens of {other}.")
            return secret

        found = cls("", audience)
        found._key_of = key_of
        return found

    def mint(
        self, audience: str, *, tenant: str, subject: str, role: Role = "service", key_id: str | None = None
    ) -> str:
        """Return a token for `audience` that is valid for at least another minute."""
        cache_key = (audience, tenant, subject, role, key_id)
        now = self._clock.now()
        cached = self._minted.get(cache_key)
        if cached is not None and cached[1] - now > _RENEW_S:
            return cached[0]
        expires = now + self._lifetime_s
        claims = {
            "iss": self._issuer,
            "aud": audience,
            "sub": subject,
            "tenant": tenant,
            "role": role,
            "iat": int(now),
            "exp": int(expires),
        }
        if key_id is not None:
            claims["key_id"] = key_id
        token = jwt.encode(claims, self._key_of(audience), algorithm=_ALGORITHM)
        if len(self._minted) >= _MAX_CACHED:
            self._minted.clear()
        self._minted[cache_key] = (token, expires)
        return token

    def verify(self, token: str, audience: str) -> Caller:
        """Return the caller that `token` proves to `audience`.

        Raises:
            Unauthorized: the token is malformed, forged, expired or for another service.
        """
        try:
            claims = jwt.decode(
                token,
                self._key_of(audience),
                algorithms=[_ALGORITHM],
                audience=audience,
                leeway=5,
                options={"require": ["exp", "aud", "sub", "iss"]},
            )
            role = claims["role"]
            if role not in ("service", "admin", "member"):
                raise Unauthorized("The service token names an unknown role.")
            key_id = claims.get("key_id")
            return Caller(
                tenant=str(claims["tenant"]),
                subject=str(claims["sub"]),
                role=role,
                key_id=None if key_id is None else str(key_id),
                expires_at=float(claims["exp"]),
            )
        except (jwt.InvalidTokenError, KeyError) as exc:
            if token.count(".") != _DOTS:
                raise Unauthorized(
                    "This is neither a service token nor the administrator's key, which a service takes on its own port. API keys are for the gateway."
                ) from exc
            raise Unauthorized(
                "The service token is not valid here; it may be expired or meant for another service."
            ) from exc


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Decides who is calling one service: a holder of a service token, or the administrator."""

    service: str
    tokens: ServiceTokens
    admin_key: str

    def admit(self, credential: str | None, tenant_header: str | None) -> Caller:
        """Return the caller; the administrator acts for the tenant of `x-sluice-tenant`, or for `default`."""
        if not credential:
            raise Unauthorized(
                "Send `Authorization: Bearer …` with a service token or the administrator's key.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self.admin_key and hmac.compare_digest(credential.encode(), self.admin_key.encode()):
            return Caller(tenant=tenant_header or "default", subject="admin", role="admin")
        return self.tokens.verify(credential, self.service)


# FastAPI runs a plain function in another thread, which costs a request more than all that stands in it.
async def require_caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Caller:
    """FastAPI dependency: the authenticated caller, or 401."""
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    return doorkeeper.admit(credentials.credentials if credentials else None, request.headers.get("x-sluice-tenant"))


CallerDep = Annotated[Caller, Depends(require_caller)]


async def require_admin(caller: CallerDep) -> Caller:
    """FastAPI dependency: the administrator or another service, or 403."""
    if caller.role == "member":
        raise Forbidden("Only the administrator or another service may do this.")
    return caller


AdminDep = Annotated[Caller, Depends(require_admin)]
