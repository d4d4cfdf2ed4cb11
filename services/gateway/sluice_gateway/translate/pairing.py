"""A client style and a provider joined: what one request of the one on the other comes to."""

from typing import NamedTuple

import orjson

from sluice_gateway import nesting
from sluice_gateway.translate import hub
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.shapes import (
    Asked,
    Client,
    ClientStream,
    ClientStyle,
    Failure,
    FinishReason,
    Json,
    Provider,
    ProviderStream,
    Refusal,
    Style,
    UpstreamRequest,
    Usage,
)

_SAME: frozenset[tuple[ClientStyle, Style]] = frozenset(
    {("chat", "openai"), ("chat", "azure"), ("messages", "anthropic")}
)


class Answered(NamedTuple):
    """A whole answer in the client's shape, with what has to be billed."""

    body: bytes
    usage: Usage | None
    finish_reason: str | None


class StreamPiece(NamedTuple):
    """What one read of a stream comes to: bytes for the client, and whether the provider has said all."""

    events: bytes
    done: bool


def is_same(client: ClientStyle, provider: Style) -> bool:
    """Tell whether both speak the same API, so that a request may pass as the bytes that came."""
    return (client, provider) in _SAME


class Pair:
    """One client style on one provider."""

    def __init__(self, client: Client, provider: Provider) -> None:
        self.client = client
        self.provider = provider

    def request(self, fields: Json, upstream_model: str, *, max_output_tokens: int | None = None) -> UpstreamRequest:
        """Return the provider's request for a client's.

        Raises:
            Untranslatable: a field has no counterpart; the error names it.
        """
        return self.provider.request(self.client.request(fields), upstream_model, max_output_tokens=max_output_tokens)

    def answer(self, body: bytes, asked: Asked) -> Answered:
        """Return the client's answer for a provider's.

        Raises:
            BadAnswer: the provider's answer makes no sense.
        """
        try:
            found = nesting.loads(body)
        except orjson.JSONDecodeError as exc:
            raise BadAnswer("no JSON") from exc
        if type(found) is not dict:
            raise BadAnswer("no object")
        answer = self.provider.answer(found, asked)
        choices = answer["choices"]
        finish = choices[0].get("finish_reason") if choices else None
        return Answered(orjson.dumps(self.client.answer(answer, asked)), hub.read_usage(answer), finish)

    def stream(self, asked: Asked) -> "PairStream":
        """Return a translator for one stream."""
        return PairStream(self.provider.stream(asked), self.client.stream(asked))


class PairStream:
    """Turns a provider's stream into the client's, read by read."""

    def __init__(self, provider: ProviderStream, client: ClientStream) -> None:
        self._provider = provider
        self._client = client
        self.chunks = 0

    @property
    def usage(self) -> Usage | None:
        """The best count known so far, also when the stream is dropped in the middle."""
        return self._provider.usage

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the answer ended, None while it has not."""
        return self._provider.finish_reason

    @property
    def failure(self) -> Refusal | None:
        """What broke the stream, None while nothing did; then `fail` ends the client's stream, not `close`."""
        return self._provider.failure

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the provider's body and return what goes to the client now."""
        return self._write(self._provider.feed(data))

    def finish(self) -> StreamPiece:
        """Take the end of the provider's body."""
        return self._write(self._provider.finish())

    def close(self) -> bytes:
        """Return what ends a stream that is complete."""
        return self._client.finish()

    def fail(self, error: Failure) -> bytes:
        """Return what ends a stream that broke."""
        return self._client.fail(error)

    def _write(self, chunks: list[Json]) -> StreamPiece:
        self.chunks += sum(1 for chunk in chunks if chunk.get("choices"))
        return StreamPiece(self._client.feed(chunks), self._provider.done)
