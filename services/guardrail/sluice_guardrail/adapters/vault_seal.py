"""Seals a vault into a string that its owner keeps: encrypted, for one tenant, and for a while."""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.fernet import Fernet, InvalidToken
from pydantic import TypeAdapter

from sluice.clock import Clock
from sluice.contracts.guard import VaultEntry
from sluice_guardrail.domain.errors import UnreadableVault

_ENTRIES = TypeAdapter(tuple[VaultEntry, ...])
_MAX_OPENED = 32 * 1024 * 1024


class Sealed(NamedTuple):
    """A sealed vault and when it stops opening (unix seconds)."""

    token: str
    expires_at: float


class VaultSeal:
    """Seals and opens vaults with a key that is made from the service secret and the tenant; nothing is stored.

    Every process with the same secret opens what another sealed.
    """

    def __init__(self, secret: str, clock: Clock, ttl_s: int) -> None:
        self._secret = secret.encode()
        self._clock = clock
        self._ttl_s = ttl_s

    def seal(self, entries: Sequence[VaultEntry], tenant: str) -> Sealed:
        """Return the sealed vault of a tenant."""
        now = int(self._clock.now())
        content = zlib.compress(_ENTRIES.dump_json(tuple(entries)))
        return Sealed(self._cipher(tenant).encrypt_at_time(content, now).decode(), float(now + self._ttl_s))

    def open(self, token: str, tenant: str) -> tuple[VaultEntry, ...]:
        """Return what is in a sealed vault.

        Raises:
            UnreadableVault: it was altered, sealed for another tenant or with another secret, or its time is over.
        """
        try:
            content = self._cipher(tenant).decrypt_at_time(token, self._ttl_s, int(self._clock.now()))
            opened = zlib.decompressobj()
            plain = opened.decompress(content, _MAX_OPENED)
        except (InvalidToken, zlib.error, ValueError) as exc:
            raise UnreadableVault(
                "The vault does not open: it was altered, is another tenant's, or its time is over. Redact the text again."
            ) from exc
        return _ENTRIES.validate_json(plain)

    def _cipher(self, tenant: str) -> Fernet:
        key = hmac.new(self._secret, b"sluice guardrail vault\0" + tenant.encode(), hashlib.sha256).digest()
        return Fernet(base64.urlsafe_b64encode(key))
