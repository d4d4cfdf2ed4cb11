"""What the bridge needs of a provider's SDK."""

from collections.abc import AsyncIterator
from typing import Any, Protocol


class Sdk(Protocol):
    """Asks one provider. Answers are JSON in OpenAI's shape; every failure is a `ProviderFailed`, and nothing is tried twice: the gateway retries.

    When the provider is away, requests fail with its status, or with 502; the bridge itself stays ready.
    """

    async def open(self) -> None:
        """Get ready to ask, so that the first request does not wait for it."""
        ...

    async def complete(self, model: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a chat completion."""
        ...

    def stream(self, model: str, fields: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield the chunks of a chat completion; closing it ends the provider's stream."""
        ...

    async def embed(self, model: str, texts: str | list[str], fields: dict[str, Any]) -> dict[str, Any]:
        """Return embeddings."""
        ...

    async def rank(self, model: str, query: str, documents: list[str], fields: dict[str, Any]) -> dict[str, Any]:
        """Return documents by their relevance."""
        ...
