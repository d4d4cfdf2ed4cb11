"""The shapes of OpenAI's Responses API in the OpenAPI document."""

from typing import Any, Literal

from pydantic import Field

from sluice_gateway.dataplane.extension import SluiceOptions
from sluice_gateway.routes.open_shapes import Open


class ResponsesRequest(Open):
    """A request of OpenAI's Responses API."""

    model: str = Field(description="a model, a route, or `auto`; of any provider")
    input: str | list[dict[str, Any]] | None = None
    previous_response_id: str | None = Field(None, description="id of a kept response, whose conversation goes on")
    store: bool | None = Field(None, description="whether the response is kept; true by default")
    background: bool = Field(
        False, description="whether the response is only begun, as `queued`, and read later by its id; it is kept then"
    )
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


class CompactRequest(Open):
    """A conversation that is to become shorter."""

    model: str = Field(description="the model that writes the summary; of any provider")
    input: str | list[dict[str, Any]] | None = None
    previous_response_id: str | None = Field(None, description="id of a kept response, whose conversation is meant")
    instructions: str | None = None
    sluice: SluiceOptions | None = None


class CompactedReply(Open):
    """The user's messages, and after them a `compaction` item: the summary of all else, which this gateway alone can read."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


class InputTokens(Open):
    """How many tokens a response's prompt has."""

    object: Literal["response.input_tokens"]
    input_tokens: int
