"""OpenAI and its like as a provider, and Azure's way of the same."""

from urllib.parse import quote, urlencode

from sluice_gateway.translate import hub
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.openai.errors import refused
from sluice_gateway.translate.openai.request import plain
from sluice_gateway.translate.openai.stream import ChunkStream
from sluice_gateway.translate.refusals import read
from sluice_gateway.translate.shapes import Asked, Json, Refusal, Style, UpstreamRequest


class OpenAI:
    """Chat completions; the base URL of a deployment ends before `/chat/completions`."""

    style: Style = "openai"
    stream_type = b"text/event-stream"

    def request(self, fields: Json, upstream_model: str, *, max_output_tokens: int | None = None) -> UpstreamRequest:
        """Return the request for a hub request; the provider knows its own limit of tokens."""
        return UpstreamRequest("/chat/completions", (), plain(fields, upstream_model))

    def answer(self, found: Json, asked: Asked) -> Json:
        """Return the answer, which is the hub's already."""
        if not hub.is_answer(found):
            raise BadAnswer("no choices")
        return found

    def stream(self, asked: Asked) -> ChunkStream:
        """Return a reader for one stream."""
        return ChunkStream(asked)

    def refusal(self, status: int, body: bytes) -> Refusal:
        """Say what an error answer means."""
        return refused(status, read(body))

    def credential(self, secret: str) -> tuple[str, str]:
        """Return the header that carries the key."""
        return "authorization", f"Bearer {secret}"


class Azure(OpenAI):
    """Azure OpenAI: the deployment stands in the path, the version of the API in the query.

    The base URL is the resource's, such as `https://name.openai.azure.com`; with no `api_version` the newer path
    `/openai/v1` is used, where the deployment is named by the body's `model`.
    Wire format: https://learn.microsoft.com/azure/ai-services/openai/reference
    """

    style: Style = "azure"

    def __init__(self, api_version: str | None = None) -> None:
        self._api_version = api_version

    def path(self, upstream_model: str) -> str:
        """Return the path below the resource, which also a request that passes as it came needs."""
        if self._api_version is None:
            return "/openai/v1/chat/completions"
        query = urlencode({"api-version": self._api_version})
        return f"/openai/deployments/{quote(upstream_model, safe='')}/chat/completions?{query}"

    def request(self, fields: Json, upstream_model: str, *, max_output_tokens: int | None = None) -> UpstreamRequest:
        """Return the request for a hub request."""
        return UpstreamRequest(self.path(upstream_model), (), plain(fields, upstream_model))

    def credential(self, secret: str) -> tuple[str, str]:
        """Return the header that carries the key."""
        return "api-key", secret
