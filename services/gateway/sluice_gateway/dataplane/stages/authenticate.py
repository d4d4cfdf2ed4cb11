"""Authenticate: which key is it, may it still be used, and may it do this."""

from sluice_gateway.dataplane.errors import InvalidKey, NotPermitted
from sluice_gateway.domain.ports import KeyRecord, KeyRing
from sluice_gateway.domain.roles import PERMITTED, Action, refusal


def authenticate(keys: KeyRing, authorization: bytes, now: float, action: Action = "use") -> KeyRecord:
    """Return the key that the `Authorization` header proves, or for which a service of ours asks.

    Raises:
        InvalidKey: no key, an unknown, disabled or expired one.
        NotPermitted: the key's role does not permit the action.
    """
    key = keys.lookup(authorization) if authorization else None
    if key is None:
        if not authorization:
            raise InvalidKey("No API key was sent. Send it as `Authorization: Bearer sk-…`.")
        key = keys.on_behalf(authorization, now)
        if key is None:
            raise InvalidKey("The API key is not valid. Check it, or ask your administrator for a new one.")
    if key.plain and action != "administer":
        return key
    if key.disabled:
        raise _disabled(key)
    if key.expires_at is not None and key.expires_at <= now:
        raise InvalidKey("The API key has expired. Ask your administrator for a new one.", code="key_expired")
    if action not in PERMITTED[key.role]:
        raise NotPermitted(refusal(key.role, action), code="role_not_permitted")
    return key


def _disabled(key: KeyRecord) -> InvalidKey:
    if key.disabled_by in ("team", "organization"):
        level = "organisation" if key.disabled_by == "organization" else "team"
        return InvalidKey(
            f"The {level} of this API key is disabled. Ask your administrator.", code=f"{key.disabled_by}_disabled"
        )
    return InvalidKey("The API key is disabled. Ask your administrator for a new one.", code="key_disabled")
