"""Anthropic as a provider: the pieces in one place."""

import orjson

from sluice_gateway.tokens import count_of
from sluice_gateway.translate.anthropic import answer as answers
from sluice_gateway.translate.anthropic import request as requests
from sluice_gateway.translate.anthropic.errors import refused
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.refusals import read
from sluice_gateway.translate.shapes import Asked, Json, Refusal, Style, UpstreamRequest


class Anthropic:
    """The Messages API; the base URL of a deployment ends in `/v1`."""

    style: Style = "anthropic"
    stream_type = b"text/event-stream"

    def request(self, fields: Json, upstream_model: str, *, max_output_tokens: int | None = None) -> UpstreamRequest:
        """Return the request for a hub request; the limit of tokens is the model's when the caller set none."""
        return requests.build(fields, upstream_model, max_output_tokens)

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the hub's answer for a message."""
        return answers.answer(found, asked)

    def stream(self, asked: Asked) -> answers.MessageStream:
        """Return a translator for one stream."""
        return answers.MessageStream(asked)

    def refusal(self, status: int, body: bytes) -> Refusal:
        """Say what an error answer means."""
        return refused(status, read(body))

    def credential(self, secret: str) -> tuple[str, str]:
        """Return the header that carries the key."""
        return "x-api-key", secret

    def count_request(self, fields: Json, upstream_model: str) -> UpstreamRequest:
        """Return the request that counts the tokens of a hub request's prompt."""
        body = requests.prompt(fields, upstream_model)
        return UpstreamRequest("/messages/count_tokens", (("anthropic-version", requests.VERSION),), orjson.dumps(body))

    def count_answer(self, found: Json) -> int:
        """Return the count.

        Raises:
            BadAnswer: there is none.
        """
        tokens = count_of(found.get("input_tokens"))
        if tokens is None:
            raise BadAnswer("no count")
        return tokens
