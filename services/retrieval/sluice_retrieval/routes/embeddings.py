"""OpenAI's embeddings endpoint."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from sluice.auth import CallerDep
from sluice.contracts.embeddings import EmbeddingReply, EmbeddingRequest
from sluice.errors import SluiceError
from sluice.sentences import faults
from sluice_retrieval.domain.openai import check_tokens, lane_of, reply_of, texts_of
from sluice_retrieval.wiring import DepsDep

_FIRST_CLIENT_ERROR, _FIRST_SERVER_ERROR = 400, 500


class OpenAIErrorRoute(APIRoute):
    """Answers errors in the shape that OpenAI's clients read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with errors rendered."""
        handle = super().get_route_handler()

        async def rendered(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as exc:
                first = faults(exc.errors())[0]
                return _error(_FIRST_CLIENT_ERROR, first.sentence, first.field or None, "invalid_value")
            except SluiceError as exc:
                return _error(exc.status, exc.detail, None, exc.code)

        return rendered


router = APIRouter(
    prefix="/v1",
    tags=["embeddings"],
    route_class=OpenAIErrorRoute,
    responses={
        status: {"description": "An error in OpenAI's shape", "content": {"application/json": {}}}
        for status in (400, 401, 404, 422)
    },
)


@router.post("/embeddings", summary="Embed texts")
async def embed(body: EmbeddingRequest, caller: CallerDep, deps: DepsDep) -> EmbeddingReply:
    """Return one unit vector for each text; longer texts than the model's window are read in several windows."""
    limits, embedder = deps.limits(body.model), deps.models.named(body.model)
    texts = texts_of(body, limits)
    if sum(map(len, texts)) > limits.max_tokens:
        await asyncio.to_thread(check_tokens, texts, limits, embedder.counter)
    embedded = await embedder.embed(texts, lane_of(texts), caller.tenant)
    return reply_of(embedded, limits.model, body.encoding_format)


def _error(status: int, message: str, param: str | None, code: str) -> JSONResponse:
    kind = "invalid_request_error" if status < _FIRST_SERVER_ERROR else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status_code=status)
