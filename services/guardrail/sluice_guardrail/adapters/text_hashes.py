"""Hashes texts for the log, so that the same text can be recognised and none can be guessed from its hash."""

import hashlib
import hmac


class TextHashes:
    """HMAC-SHA-256 with a key made from the service secret, 16 hexadecimal digits of it: who lacks the secret cannot try texts out."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.new(secret.encode(), b"sluice guardrail verdict log", hashlib.sha256).digest()

    def of(self, text: str) -> str:
        """Return the hash of a text."""
        return hmac.new(self._key, text.encode("utf-8", errors="surrogatepass"), hashlib.sha256).hexdigest()[:16]
