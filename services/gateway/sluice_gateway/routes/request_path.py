"""The OpenAPI description of the request path, which the data plane answers in front of FastAPI.

The operations here are never mounted: they exist so that the document, and clients generated from it, have them.
"""

from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Depends, Form, Response
from fastapi.security import HTTPBearer

from sluice_gateway.routes.chat_shapes import (
    ChatCompletionRequest,
    CompletionReply,
    CompletionRequest,
    CountTokensRequest,
    EmbeddingReply,
    EmbeddingRequest,
    MessageReply,
    MessagesErrorReply,
    MessagesRequest,
    ModelList,
    ModelObject,
    ModerationReply,
    ModerationRequest,
    RerankReply,
    RerankRequest,
    TokenCount,
)
from sluice_gateway.routes.media_shapes import (
    EditRequest,
    ImageReply,
    ImageRequest,
    SpeechRequest,
    TranscriptionReply,
    TranscriptionRequest,
)
from sluice_gateway.routes.public import ErrorReply
from sluice_gateway.routes.response_shapes import InputTokens, ResponseReply, ResponsesRequest

api_key = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="An API key of the gateway (`sk-…`)")


_TEXT = {"schema": {"type": "string"}}
_LEFT_HEADERS: dict[str, dict[str, Any]] = {
    **{
        f"x-ratelimit-{what}-{kind}": {"description": f"{meaning} (only where {kind} a minute are limited)", **_TEXT}
        for kind in ("requests", "tokens")
        for what, meaning in (
            ("limit", f"{kind.capitalize()} that are allowed in a minute"),
            ("remaining", f"{kind.capitalize()} that are left in this minute"),
            ("reset", "Time until they are all there again, such as `12s`"),
        )
    },
    "x-sluice-limits": {"description": "`degraded` while limits cannot be shared with other gateways", **_TEXT},
}
_LIMIT_HEADERS: dict[str, dict[str, Any]] = {
    "retry-after": {"description": "Seconds after which it may be tried again", "schema": {"type": "integer"}},
    **_LEFT_HEADERS,
}
_ANSWER_HEADERS: dict[str, dict[str, Any]] = {
    "x-sluice-cost": {
        "description": "US dollars (of a stream: `usage.sluice.cost_usd` beside its last counts)",
        **_TEXT,
    },
    **_LEFT_HEADERS,
}
_ANSWER: dict[int | str, dict[str, Any]] = {200: {"headers": _ANSWER_HEADERS}}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorReply, "description": "Malformed body, context too long, or refused by a guard"},
    401: {"model": ErrorReply, "description": "No API key, or not a valid one"},
    403: {
        "model": ErrorReply,
        "description": "The key may not use this model, or its organisation none of the model's regions",
    },
    404: {"model": ErrorReply, "description": "No such model"},
    405: {"model": ErrorReply, "description": "Wrong method"},
    408: {"model": ErrorReply, "description": "The rest of the request did not come (`request_timeout`)"},
    413: {"model": ErrorReply, "description": "Body over the limit"},
    415: {"model": ErrorReply, "description": "Body is not plain JSON"},
    422: {"model": ErrorReply, "description": "The provider refuses a parameter"},
    429: {
        "model": ErrorReply,
        "description": "A limit of the key, its team or its organisation is reached, or the provider's: `rate_limit_exceeded`, "
        "`concurrency_limit_exceeded`, or `insufficient_quota` for a budget",
        "headers": _LIMIT_HEADERS,
    },
    431: {"model": ErrorReply, "description": "The head of the request is too long"},
    500: {"model": ErrorReply, "description": "A mistake of the gateway"},
    502: {"model": ErrorReply, "description": "Every deployment failed"},
    503: {"model": ErrorReply, "description": "Overloaded, or something that the request needs is away"},
    504: {"model": ErrorReply, "description": "Out of time"},
}
_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One server-sent event of the stream; `data` is JSON, or `[DONE]` at the end",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": _EVENT}}, "headers": _ANSWER_HEADERS}
}
_WRITTEN_DOWN: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/plain": {"schema": {"type": "string"}}, "text/event-stream": {"schema": _EVENT}},
        "headers": _ANSWER_HEADERS,
    }
}
_SOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
            "text/event-stream": {"schema": _EVENT},
        },
        "headers": _LEFT_HEADERS,
    }
}

_MESSAGES_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {**described, "model": MessagesErrorReply} for status, described in ERRORS.items()
}


def answered_before() -> NoReturn:
    """Stand in for a handler that nothing calls."""
    raise AssertionError("the data plane answers this path in front of FastAPI")


router = APIRouter(tags=["openai"], responses=ERRORS, dependencies=[Depends(api_key)])


@router.post("/v1/chat/completions", summary="Answer a conversation", responses=STREAM)
async def create_chat_completion(body: ChatCompletionRequest) -> CompletionReply:
    """As OpenAI's; `model` may be a route or `auto`, and `sluice` adds retrieval and a policy."""
    answered_before()


@router.post("/v1/completions", summary="Continue a text", responses=STREAM)
async def create_completion(body: CompletionRequest) -> CompletionReply:
    """As OpenAI's."""
    answered_before()


@router.post("/v1/responses", summary="Answer a conversation, as OpenAI's Responses API does", responses=STREAM)
async def create_response(body: ResponsesRequest) -> ResponseReply:
    """As OpenAI's, with a model of any provider; what has no counterpart there is a 400 that names the field."""
    answered_before()


@router.post("/v1/responses/input_tokens", summary="Count the tokens of a response's prompt", responses=_ANSWER)
async def count_input_tokens(body: ResponsesRequest) -> InputTokens:
    """As OpenAI's; providers that cannot count are a 400."""
    answered_before()


@router.post(
    "/v1/messages", summary="Answer a conversation, as Anthropic's API does", responses=STREAM | _MESSAGES_ERRORS
)
async def create_message(body: MessagesRequest) -> MessageReply:
    """As Anthropic's, with a model of any provider; the key may also come in `x-api-key`."""
    answered_before()


@router.post("/v1/messages/count_tokens", summary="Count the tokens of a prompt", responses=_ANSWER | _MESSAGES_ERRORS)
async def count_message_tokens(body: CountTokensRequest) -> TokenCount:
    """As Anthropic's; providers that cannot count are a 400."""
    answered_before()


@router.post("/v1/embeddings", summary="Embed texts", responses=_ANSWER)
async def create_embedding(body: EmbeddingRequest) -> EmbeddingReply:
    """As OpenAI's."""
    answered_before()


@router.post("/v1/rerank", summary="Rank documents by a query", responses=_ANSWER)
@router.post("/v2/rerank", summary="Rank documents by a query, where Cohere's newer client asks", responses=_ANSWER)
async def create_ranking(body: RerankRequest) -> RerankReply:
    """As Cohere's, Jina's and vLLM's, with models of kind `rerank`."""
    answered_before()


@router.post("/v1/moderations", summary="Judge texts", responses=_ANSWER)
async def create_moderation(body: ModerationRequest) -> ModerationReply:
    """As OpenAI's; the guardrail judges, by the guard policy of the key's policy. Images are a 400."""
    answered_before()


@router.post("/v1/images/generations", summary="Make images", responses=STREAM)
async def create_image(body: ImageRequest) -> ImageReply:
    """As OpenAI's, with models of kind `image`."""
    answered_before()


@router.post("/v1/images/edits", summary="Edit images", responses=STREAM)
async def edit_image(body: Annotated[EditRequest, Form(media_type="multipart/form-data")]) -> ImageReply:
    """As OpenAI's, with models of kind `image`; the files go on as they came."""
    answered_before()


@router.post("/v1/images/variations", summary="Vary an image", responses=_ANSWER)
async def vary_image(body: Annotated[EditRequest, Form(media_type="multipart/form-data")]) -> ImageReply:
    """As OpenAI's, with models of kind `image`."""
    answered_before()


@router.post("/v1/audio/transcriptions", summary="Write a recording down", responses=_WRITTEN_DOWN)
async def create_transcription(
    body: Annotated[TranscriptionRequest, Form(media_type="multipart/form-data")],
) -> TranscriptionReply:
    """As OpenAI's, with models of kind `transcription`."""
    answered_before()


@router.post("/v1/audio/translations", summary="Write a recording down in English", responses=_WRITTEN_DOWN)
async def create_translation(
    body: Annotated[TranscriptionRequest, Form(media_type="multipart/form-data")],
) -> TranscriptionReply:
    """As OpenAI's, with models of kind `transcription`."""
    answered_before()


@router.post("/v1/audio/speech", summary="Speak a text", responses=_SOUND, response_class=Response)
async def create_speech(body: SpeechRequest) -> None:
    """As OpenAI's, with models of kind `speech`; the sound passes as it comes, `stream_format: sse` gives events."""
    answered_before()


@router.get("/v1/models", summary="List models")
async def list_models() -> ModelList:
    """List the models and routes that this key may name."""
    answered_before()


@router.get("/v1/models/{model}", summary="Get a model")
async def get_model(model: str) -> ModelObject:
    """Return one model or route."""
    answered_before()
