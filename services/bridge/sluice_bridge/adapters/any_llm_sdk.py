"""Providers through any-llm, which asks each with the provider's own SDK. Source: https://github.com/mozilla-ai/any-llm (Apache-2.0).

The library is imported when the first request comes, in the bridge's own environment only: its requirements do not fit the rest of the platform.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from sluice_bridge.domain.errors import NotConfigured, ProviderFailed, refused
from sluice_bridge.domain.specs import ProviderSpec

Answer = TypeVar("Answer")
ReadKey = Callable[[], str | None]
Connect = Callable[[ProviderSpec, str | None], Any]

# Its client takes the address under a name of its own; any-llm does not hand `api_base` on to it.
_ADDRESS = {"cohere": "base_url"}
# A class of any-llm that fixes the status, where the provider sent none, and OpenAI's code for it.
_STATUS: Mapping[str, tuple[int, str | None]] = {
    "RateLimitError": (429, "rate_limit_exceeded"),
    "AuthenticationError": (401, "invalid_api_key"),
    "InvalidRequestError": (400, None),
    "UnsupportedParameterError": (400, "unsupported_parameter"),
    "ModelNotFoundError": (404, "model_not_found"),
    "ContextLengthExceededError": (400, "context_length_exceeded"),
    "ContentFilterError": (400, "content_filter"),
    "InsufficientFundsError": (402, "insufficient_quota"),
    "GatewayTimeoutError": (504, "timeout"),
}
# What any-llm and the SDKs raise of a request that they cannot send; their subclasses tell of answers that cannot be read.
_NOT_SENT = frozenset({"ValueError", "TypeError", "NotImplementedError"})
_UNKNOWN_ARGUMENT = re.compile(r"got an unexpected keyword argument '(\w+)'")


def connect(spec: ProviderSpec, key: str | None) -> Any:
    """Return any-llm's client of a provider. It tries nothing twice where its SDK lets itself be told so.

    Raises:
        ProviderFailed: any-llm does not know the provider, its SDK is not installed, or it finds no credentials.
    """
    from any_llm import AnyLLM  # noqa: PLC0415 - only the bridge's own environment has it

    try:
        kind = AnyLLM.get_provider_class(spec.sdk)
        options = dict(spec.options)
        if spec.base_url and spec.sdk in _ADDRESS:
            options[_ADDRESS[spec.sdk]] = spec.base_url
        if kind.MAX_RETRIES_SUPPORT != "unsupported":
            options["max_retries"] = 0
        return AnyLLM.create(spec.sdk, api_key=key, api_base=spec.base_url, unified_exceptions=True, **options)
    except Exception as exc:  # noqa: BLE001 - an SDK's constructor raises what it likes; the sentence names its class and text
        text = _told(str(exc), key)
        raise NotConfigured(
            f"The provider {spec.id!r} cannot be asked: {text} Look at it in bridge.yaml; `sdk` is {spec.sdk!r}."
        ) from None


class AnyLlmSdk:
    """One provider of bridge.yaml. Its client is made at the first request, and anew when the key's file has changed."""

    def __init__(self, spec: ProviderSpec, read_key: ReadKey, connect_to: Connect = connect) -> None:
        self._spec = spec
        self._read_key = read_key
        self._connect = connect_to
        self._made: tuple[str | None, Any] | None = None
        self._making = asyncio.Lock()

    async def open(self) -> None:
        """Import the SDK and make its client, so that no request waits for that (seconds).

        Raises:
            NotConfigured: the provider cannot be asked as it is described.
        """
        await self._client()

    async def complete(self, model: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a chat completion."""
        client = await self._client()
        return _plain(await self._bounded(client.acompletion(model=model, **self._timed(client), **fields)))

    async def stream(self, model: str, fields: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield the chunks of a chat completion; `timeout_s` bounds the wait for each."""
        client = await self._client()
        options = {"include_usage": True}
        chunks = await self._bounded(
            client.acompletion(model=model, stream=True, stream_options=options, **self._timed(client), **fields)
        )
        try:
            while True:
                try:
                    chunk = await self._bounded(anext(chunks))
                except StopAsyncIteration:
                    return
                yield _plain(chunk)
        finally:
            with suppress(Exception):
                await chunks.aclose()

    async def embed(self, model: str, texts: str | list[str], fields: dict[str, Any]) -> dict[str, Any]:
        """Return embeddings."""
        client = await self._client()
        return _plain(await self._bounded(client.aembedding(model, texts, **fields)))

    async def rank(self, model: str, query: str, documents: list[str], fields: dict[str, Any]) -> dict[str, Any]:
        """Return documents by their relevance."""
        client = await self._client()
        return _plain(await self._bounded(client.arerank(model, query, documents, **fields)))

    async def _client(self) -> Any:
        key = self._read_key()
        if self._spec.key is not None and not key:
            place = self._spec.key.env or f"file {self._spec.key.file} in SLUICE_SECRETS_DIR"
            raise NotConfigured(f"The key of the provider {self._spec.id!r} is missing: set {place}.")
        async with self._making:
            if self._made is None or self._made[0] != key:
                # In a thread: an SDK may look for a role of the machine, over the network.
                self._made = (key, await asyncio.to_thread(self._connect, self._spec, key))
            return self._made[1]

    def _timed(self, client: Any) -> dict[str, Any]:
        return {"timeout": self._spec.timeout_s} if client.TIMEOUT_SUPPORT != "unsupported" else {}

    async def _bounded(self, asking: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._spec.timeout_s):
                return await asking
        except (asyncio.CancelledError, StopAsyncIteration):
            raise
        except TimeoutError:
            raise ProviderFailed(
                504, f"{self._spec.id} did not answer within {self._spec.timeout_s:g} s.", code="timeout"
            ) from None
        except Exception as exc:  # noqa: BLE001 - every SDK has classes of its own; the failure keeps status and sentence
            raise failure_of(exc, self._spec.id, self._read_key()) from None


def failure_of(exc: Exception, provider: str, key: str | None) -> ProviderFailed:
    """Return what went wrong with the status that the provider gave; the key never stands in the sentence."""
    cause = getattr(exc, "original_exception", None) or exc
    given = getattr(exc, "status_code", None)
    fixed, code = _STATUS.get(type(exc).__name__, (0, None))
    status = given if isinstance(given, int) and given >= 400 else fixed or _unsent(cause)
    unknown = _UNKNOWN_ARGUMENT.search(str(cause)) if type(cause) is TypeError else None
    if unknown is not None:
        return refused(unknown[1], f"has no counterpart at {provider}. Leave it out.")
    text = _said(cause) or getattr(exc, "message", None) or str(exc) or type(cause).__name__
    return ProviderFailed(
        status,
        f"{provider}: {_told(text, key)}",
        code=code or getattr(exc, "code", None),
        param=getattr(exc, "parameter_name", None) or getattr(exc, "param", None),
        retry_after=getattr(exc, "retry_after", None) or _retry_after(cause),
    )


def _said(cause: BaseException) -> str | None:
    # The provider's own sentence, where its SDK kept the body; else the SDK's, which may hold headers.
    body = getattr(cause, "body", None)
    inner = body.get("error") if isinstance(body, dict) else None
    for holder in (inner, body):
        said = holder.get("message") if isinstance(holder, dict) else None
        if isinstance(said, str) and said:
            return said
    return None


def _unsent(cause: BaseException) -> int:
    if type(cause).__name__ in _NOT_SENT:
        return 400
    return 504 if "timeout" in type(cause).__name__.lower() else 502


def _retry_after(cause: BaseException) -> str | None:
    for holder in (cause, getattr(cause, "response", None)):
        headers = getattr(holder, "headers", None)
        if isinstance(headers, Mapping):
            found = {str(name).lower(): value for name, value in headers.items()}.get("retry-after")
            if found is not None:
                return str(found)
    return None


def _told(text: str, key: str | None) -> str:
    shown = text.replace(key, "***") if key else text
    return " ".join(shown.split())


def _plain(answer: Any) -> dict[str, Any]:
    # Without warnings: vectors as base64 stand in a field of numbers.
    found: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True, warnings=False)
    return found
