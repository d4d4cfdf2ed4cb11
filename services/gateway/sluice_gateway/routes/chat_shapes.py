"""The shapes of chats, texts, vectors, rankings and messages in the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from sluice.contracts.retrieval import Citation
from sluice_gateway.dataplane.extension import SluiceOptions
from sluice_gateway.routes.open_shapes import Open


class ChatMessage(Open):
    """One message."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class Generation(Open):
    """What chat and text completions share."""

    model: str = Field(description="a model, a route, or `auto`")
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int | None = None
    sluice: SluiceOptions | None = None


class ChatCompletionRequest(Generation):
    """Messages to answer."""

    messages: list[ChatMessage]
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None


class CompletionRequest(Generation):
    """A text to continue."""

    prompt: str | list[str]


class EmbeddingRequest(Open):
    """Texts to embed."""

    model: str
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class RerankRequest(Open):
    """Documents to rank by a query, in the shape of Cohere's, Jina's and vLLM's clients."""

    model: str
    query: str
    documents: Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=10_000)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool | None = Field(
        None, description="true: always, false: never, left out: as the engine does it by itself"
    )


class RankedDocument(Open):
    """One document of a ranking; `index` is its place in the request."""

    index: int
    relevance_score: float
    document: dict[str, Any] | None = None


class ModerationRequest(Open):
    """Texts to judge: a list of strings is many inputs, a list of text parts is one."""

    input: str | list[str] | list[dict[str, Any]]
    model: str | None = Field(None, description="any name: the guardrail answers")


class ModerationResult(Open):
    """What was found in one input."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class ModerationReply(Open):
    """A result for each input, in order."""

    id: str
    model: str
    results: list[ModerationResult]


class TokenUsage(Open):
    """Exact token counts."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int


class SluiceReply(Open):
    """What Sluice adds to an answer; in a stream it comes in the last chunk."""

    request_id: str
    citations: list[Citation] = []


class Choice(Open):
    """One answer."""

    index: int
    finish_reason: str | None = None
    message: ChatMessage | None = None
    text: str | None = None


class CompletionReply(Open):
    """An answer; with `stream` it comes as server-sent events that end with `data: [DONE]`."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage | None = None
    sluice: SluiceReply | None = None


class Embedding(Open):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingReply(Open):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: TokenUsage | None = None


class RerankReply(Open):
    """The ranking, best first; fields of the engine that are not listed pass through."""

    model: str
    results: list[RankedDocument]
    usage: TokenUsage | None = None


class ModelObject(Open):
    """A model or route that this key may name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """All models and routes that this key may name."""

    object: Literal["list"]
    data: list[ModelObject]


class MessagesRequest(Open):
    """A conversation in Anthropic's shape."""

    model: str = Field(description="a model, a route, or `auto`; of any provider")
    max_tokens: int
    messages: list[dict[str, Any]]
    system: str | list[dict[str, Any]] | None = None
    stream: bool = False
    tools: list[dict[str, Any]] | None = None
    sluice: SluiceOptions | None = None


class MessageReply(Open):
    """An answer in Anthropic's shape; with `stream` it comes as Anthropic's events."""

    id: str
    type: Literal["message"]
    role: str
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    usage: dict[str, Any]


class CountTokensRequest(Open):
    """A prompt in Anthropic's shape."""

    model: str
    messages: list[dict[str, Any]]


class TokenCount(Open):
    """How many tokens a prompt has."""

    input_tokens: int


class MessagesErrorReply(BaseModel):
    """An error in Anthropic's shape."""

    type: Literal["error"]
    error: dict[str, Any]
