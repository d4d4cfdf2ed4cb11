"""Authenticate: which key is it, and may it still be used."""

from sluice_gateway.dataplane.errors import InvalidKey
from sluice_gateway.domain.ports import KeyRecord, KeyRing


def authenticate(keys: KeyRing, authorization: bytes, now: float) -> KeyRecord:
    """Return the key that the `Authorization` header proves, or for which a service of ours asks.

    Raises:
        InvalidKey: no key, an unknown, disabled or expired one.
    """
    key = keys.lookup(authorization) if authorization else None
    if key is None:
        if not authorization:
            raise InvalidKey("No API key was sent. Send it as `Authorization: Bearer sk-…`.")
        key = keys.on_behalf(authorization, now)
        if key is None:
            raise InvalidKey("The API key is not valid. Check it, or ask your administrator for a new one.")
    if key.disabled:
        raise InvalidKey("The API key is disabled. Ask your administrator for a new one.", code="key_disabled")
    if key.expires_at is not None and key.expires_at <= now:
        raise InvalidKey("The API key has expired. Ask your administrator for a new one.", code="key_expired")
    return key
