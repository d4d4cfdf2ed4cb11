"""The shapes of OpenAI's Responses API in the OpenAPI document."""

from typing import Any, Literal

from pydantic import Field

from sluice_gateway.dataplane.body import SluiceOptions
from sluice_gateway.routes.open_shapes import Open


class ResponsesRequest(Open):
    """A request of OpenAI's Responses API."""

    model: str = Field(description="a model, a route, or `auto`; of any provider")
    input: str | list[dict[str, Any]] | None = None
    previous_response_id: str | None = Field(None, description="id of a kept response, whose conversation goes on")
    store: bool | None = Field(None, description="whether the response is kept; true by default")
    instructions: str | None = None
    stream: bool = False
    tools: list[dict[str, Any]] | None = None
    max_output_tokens: int | None = None
    sluice: SluiceOptions | None = None


class ResponseReply(Open):
    """An answer of OpenAI's Responses API; with `stream` it comes as its events."""

    id: str
    object: Literal["response"]
    model: str
    status: str
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


class InputTokens(Open):
    """How many tokens a response's prompt has."""

    object: Literal["response.input_tokens"]
    input_tokens: int
