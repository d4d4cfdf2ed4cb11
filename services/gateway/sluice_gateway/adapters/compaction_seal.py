"""Seals the summaries of compacted conversations: encrypted, for one tenant, readable by every gateway with the same service secret."""

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from sluice_gateway.domain.compaction import SealBroken

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_OURS = "sluice1."


class CompactionSeal:
    """Seals with a key that is made from the service secret and the tenant; nothing is stored."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def seal(self, summary: str, tenant: str) -> str:
        """Return a summary that nobody else can read."""
        return _OURS + self._cipher(tenant).encrypt(summary.encode()).decode()

    def open(self, content: str, tenant: str) -> str | None:
        """Return the summary, None if `content` was sealed elsewhere.

        Raises:
            SealBroken: it was sealed here, and altered or for another tenant.
        """
        if not content.startswith(_OURS):
            return None
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - heavy, and most processes never need it

        try:
            return self._cipher(tenant).decrypt(content.removeprefix(_OURS)).decode()
        except (InvalidToken, ValueError) as exc:
            raise SealBroken from exc

    def _cipher(self, tenant: str) -> "Fernet":
        from cryptography.fernet import Fernet  # noqa: PLC0415 - heavy, and most processes never need it

        key = hmac.new(self._secret, b"sluice gateway compaction\0" + tenant.encode(), hashlib.sha256).digest()
        return Fernet(base64.urlsafe_b64encode(key))
