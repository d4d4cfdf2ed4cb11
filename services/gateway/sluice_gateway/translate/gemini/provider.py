"""Gemini as a provider: the pieces in one place."""

import orjson

from sluice_gateway.tokens import count_of
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.gemini import answer as answers
from sluice_gateway.translate.gemini import embeddings
from sluice_gateway.translate.gemini import request as requests
from sluice_gateway.translate.gemini.errors import refused
from sluice_gateway.translate.refusals import read
from sluice_gateway.translate.shapes import Asked, Json, Refusal, Style, UpstreamRequest


class Gemini:
    """`generateContent` and `batchEmbedContents`; the base URL of a deployment ends in `/v1` or `/v1beta`."""

    style: Style = "gemini"
    stream_type = b"text/event-stream"

    def request(self, fields: Json, upstream_model: str, *, max_output_tokens: int | None = None) -> UpstreamRequest:
        """Return the request for a hub request; the provider's own limit of tokens holds when the caller set none."""
        return requests.build(fields, upstream_model, None)

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the hub's answer for a generated content."""
        return answers.answer(found, asked)

    def stream(self, asked: Asked) -> answers.ContentStream:
        """Return a translator for one stream."""
        return answers.ContentStream(asked)

    def refusal(self, status: int, body: bytes) -> Refusal:
        """Say what an error answer means."""
        return refused(status, read(body))

    def credential(self, secret: str) -> tuple[str, str]:
        """Return the header that carries the key."""
        return "x-goog-api-key", secret

    def embed_request(self, fields: Json, upstream_model: str) -> UpstreamRequest:
        """Return the request for the vectors of some texts."""
        return embeddings.build(fields, upstream_model)

    def embed_answer(self, found: Json, asked: Asked) -> Json:
        """Return the vectors in OpenAI's shape."""
        return embeddings.answer(found, asked)

    def count_request(self, fields: Json, upstream_model: str) -> UpstreamRequest:
        """Return the request that counts the tokens of a hub request's prompt."""
        whole = {"generateContentRequest": {"model": requests.name(upstream_model), **requests.prompt(fields)}}
        return UpstreamRequest(requests.path(upstream_model, "countTokens"), (), orjson.dumps(whole))

    def count_answer(self, found: Json) -> int:
        """Return the count.

        Raises:
            BadAnswer: there is none.
        """
        tokens = count_of(found.get("totalTokens"))
        if tokens is None:
            raise BadAnswer("no count")
        return tokens
