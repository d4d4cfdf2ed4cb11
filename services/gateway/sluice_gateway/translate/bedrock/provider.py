"""Bedrock as a provider: the pieces in one place."""

import orjson

from sluice_gateway.tokens import count_of
from sluice_gateway.translate.bedrock import answer as answers
from sluice_gateway.translate.bedrock import embeddings
from sluice_gateway.translate.bedrock import request as requests
from sluice_gateway.translate.bedrock.errors import refused
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.refusals import read
from sluice_gateway.translate.shapes import Asked, Json, Refusal, Style, UpstreamRequest


class Bedrock:
    """`Converse`, and `InvokeModel` for embeddings; the base URL of a deployment is the endpoint of its region, such as `https://bedrock-runtime.eu-north-1.amazonaws.com`.

    A Bedrock API key goes as a bearer token; with IAM credentials each request is signed instead (SigV4), where it is sent.
    """

    style: Style = "bedrock"
    stream_type = b"application/vnd.amazon.eventstream"

    def request(self, fields: Json, upstream_model: str, *, max_output_tokens: int | None = None) -> UpstreamRequest:
        """Return the request for a hub request; the model's own limit of tokens holds when the caller set none."""
        return requests.build(fields, upstream_model)

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the hub's answer for a Converse answer."""
        return answers.answer(found, asked)

    def stream(self, asked: Asked) -> answers.ConverseStream:
        """Return a translator for one stream."""
        return answers.ConverseStream(asked)

    def refusal(self, status: int, body: bytes) -> Refusal:
        """Say what an error answer means."""
        return refused(status, read(body))

    def credential(self, secret: str) -> tuple[str, str]:
        """Return the header that carries an API key of Bedrock."""
        return "authorization", f"Bearer {secret}"

    def embed_request(self, fields: Json, upstream_model: str) -> UpstreamRequest:
        """Return the request for the vectors of some texts."""
        return embeddings.build(fields, upstream_model)

    def embed_answer(self, found: Json, asked: Asked) -> Json:
        """Return the vectors in OpenAI's shape."""
        return embeddings.answer(found, asked)

    def count_request(self, fields: Json, upstream_model: str) -> UpstreamRequest:
        """Return the request that counts the tokens of a hub request's prompt."""
        body = requests.prompt(fields)
        return UpstreamRequest(
            requests.path(upstream_model, "count-tokens"), (), orjson.dumps({"input": {"converse": body}})
        )

    def count_answer(self, found: Json) -> int:
        """Return the count.

        Raises:
            BadAnswer: there is none.
        """
        tokens = count_of(found.get("inputTokens"))
        if tokens is None:
            raise BadAnswer("no count")
        return tokens
