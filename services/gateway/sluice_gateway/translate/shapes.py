"""The types that pass between the two halves of a translation and whoever drives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

Json = dict[str, Any]
Style = Literal["openai", "azure", "anthropic", "gemini", "bedrock"]
ClientStyle = Literal["chat", "messages", "responses"]
Kind = Literal["request", "context", "content", "limit", "overloaded", "credential", "failure"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class UpstreamRequest(NamedTuple):
    """What goes to a provider: `path` is appended to the deployment's base URL, `headers` hold no credential."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Usage(NamedTuple):
    """Token counts as a provider reported them.

    `prompt_tokens` holds the cached ones and those written to a cache, `completion_tokens` holds the reasoning ones, and
    `cache_write_tokens` holds those that are kept for an hour. Tokens of sound and images are the prompt's.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class Refusal(NamedTuple):
    """What a provider's error means, in words that may be shown to the caller.

    `request`, `context` and `content` are the caller's to correct; `limit` and `overloaded` pass by themselves;
    `credential` is the operator's; `failure` is the provider's.
    """

    kind: Kind
    message: str = ""
    param: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was looked up for a request: the queries, and what each `[n]` of an answer stands for (`file_id`, `filename`, …).

    `shown` says that the client wants to see all that was found.
    """

    queries: tuple[str, ...]
    sources: Mapping[int, Json]
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer has to know of its request: its id, the model's public name, the time, and the client's own fields."""

    id: str
    model: str
    created: int
    include_usage: bool = False
    fields: Json = field(default_factory=dict)
    evidence: "Evidence | None" = None


class ProviderStream(Protocol):
    """One stream of a provider, turned into the hub's chunks as it comes.

    `usage` is the best count known so far, also when the stream is dropped in the middle; `done` tells that the provider
    has said all; after `failure` is set nothing more comes.
    """

    usage: Usage | None
    finish_reason: FinishReason | None
    failure: Refusal | None
    done: bool

    def feed(self, data: bytes) -> list[Json]:
        """Take one read of the provider's body and return the chunks that are complete now."""
        ...

    def finish(self) -> list[Json]:
        """Take the end of the body; a stream that ends before its end has `failure` set."""
        ...


class Provider(Protocol):
    """One provider's API, seen from the hub."""

    style: Style
    stream_type: bytes

    def request(self, fields: Json, upstream_model: str, *, max_output_tokens: int | None = None) -> UpstreamRequest:
        """Return the provider's request for a hub request.

        Raises:
            Untranslatable: the provider has no counterpart for a field.
        """
        ...

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the hub's answer for a provider's.

        Raises:
            BadAnswer: the provider's answer makes no sense.
        """
        ...

    def stream(self, asked: Asked) -> ProviderStream:
        """Return a translator for one stream."""
        ...

    def refusal(self, status: int, body: bytes) -> Refusal:
        """Say what an error answer means."""
        ...

    def credential(self, secret: str) -> tuple[str, str]:
        """Return the header that carries the credential."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A provider that counts the tokens of a prompt without answering it."""

    def count_request(self, fields: Json, upstream_model: str) -> UpstreamRequest:
        """Return the request that counts the tokens of a hub request's prompt."""
        ...

    def count_answer(self, found: Json) -> int:
        """Return the count.

        Raises:
            BadAnswer: there is none.
        """
        ...


@runtime_checkable
class Embedding(Protocol):
    """A provider whose models make vectors of texts."""

    def embed_request(self, fields: Json, upstream_model: str) -> UpstreamRequest:
        """Return the request for the vectors of OpenAI's embedding request.

        Raises:
            Untranslatable: the provider has no counterpart for a field.
        """
        ...

    def embed_answer(self, found: Json, asked: Asked) -> Json:
        """Return the vectors in OpenAI's shape.

        Raises:
            BadAnswer: the provider's answer makes no sense.
        """
        ...


class ClientStream(Protocol):
    """One stream to a client, made of the hub's chunks."""

    def feed(self, chunks: Sequence[Json]) -> bytes:
        """Return the client's events for some chunks."""
        ...

    def finish(self) -> bytes:
        """Return what ends a stream that is complete."""
        ...

    def fail(self, error: "Failure") -> bytes:
        """Return what ends a stream that broke."""
        ...


class Failure(NamedTuple):
    """An error in the gateway's own words, to be put into the shape of the API that was called."""

    status: int
    type: str
    message: str
    param: str | None = None
    code: str | None = None


class Client(Protocol):
    """One client API, seen from the hub."""

    style: ClientStyle

    def request(self, fields: Json) -> Json:
        """Return the hub request for a client's.

        Raises:
            Untranslatable: the hub has no counterpart for a field.
        """
        ...

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the client's answer for the hub's."""
        ...

    def stream(self, asked: Asked) -> ClientStream:
        """Return a translator for one stream."""
        ...

    def error(self, error: Failure) -> Json:
        """Return an error in the client's shape."""
        ...
