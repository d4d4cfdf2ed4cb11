"""The bridge's API: OpenAI's, for the gateway."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from sluice.auth import require_admin
from sluice.errors import Forbidden, Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_bridge.domain import answering, asking
from sluice_bridge.domain.errors import NotConfigured, ProviderFailed, UnknownProvider
from sluice_bridge.wiring import Deps, DepsDep, Provider

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)
router = APIRouter(
    prefix="/v1",
    tags=["bridge"],
    dependencies=[Depends(require_admin)],
    responses=problem_responses(Unauthorized, Forbidden, UnknownProvider, NotConfigured),
)


@router.get("/providers", summary="Which providers are there?")
async def providers(deps: DepsDep) -> dict[str, Any]:
    """List the providers of bridge.yaml; the first part of a model's name is the id of one."""
    return {"data": [{"id": one.spec.id, "sdk": one.spec.sdk} for one in deps.providers.values()]}


@router.post("/chat/completions", summary="Continue a conversation", response_class=Response)
async def chat(request: Request, body: dict[str, Any], deps: DepsDep) -> Response:
    """Answer as OpenAI's chat completions do, whole or as server-sent events; a failure has the provider's own status."""
    try:
        provider = _provider(body, deps)
        wanted = asking.chat(body, provider.extra)
        asked = wanted.asked
        if wanted.stream:
            return await _streamed(request, provider, wanted, deps)
        answer = await _while_wanted(request, provider.sdk.complete(asked.model, asked.fields))
        return _json(answering.completion(answer, asked.model, int(deps.clock.now())))
    except ProviderFailed as exc:
        return _failed(exc)


@router.post("/embeddings", summary="Turn texts into vectors", response_class=Response)
async def embeddings(request: Request, body: dict[str, Any], deps: DepsDep) -> Response:
    """Answer as OpenAI's embeddings do."""
    try:
        provider = _provider(body, deps)
        asked, texts = asking.embedding(body, provider.extra)
        return _json(await _while_wanted(request, provider.sdk.embed(asked.model, texts, asked.fields)))
    except ProviderFailed as exc:
        return _failed(exc)


@router.post("/rerank", summary="Order documents by their relevance", response_class=Response)
async def rerank(request: Request, body: dict[str, Any], deps: DepsDep) -> Response:
    """Answer in the shape that rerankers share: `results` with `index` and `relevance_score`, the best first."""
    try:
        provider = _provider(body, deps)
        asked, query, documents = asking.rerank(body, provider.extra)
        return _json(await _while_wanted(request, provider.sdk.rank(asked.model, query, documents, asked.fields)))
    except ProviderFailed as exc:
        return _failed(exc)


def _provider(body: dict[str, Any], deps: Deps) -> Provider:
    return deps.provider(asking.named(body)[0])


async def _streamed(request: Request, provider: Provider, wanted: asking.Chat, deps: Deps) -> Response:
    asked = wanted.asked
    chunks = provider.sdk.stream(asked.model, asked.fields)
    # The first chunk is waited for, so that a refusal is answered with its status and not inside of a stream.
    first = await _while_wanted(request, anext(chunks, None))
    made = answering.Chunks(new_id("chatcmpl"), int(deps.clock.now()), asked.model, usage=wanted.usage)
    return StreamingResponse(_events(first, chunks, made), media_type="text/event-stream")


async def _events(
    first: dict[str, Any] | None, chunks: AsyncIterator[dict[str, Any]], made: answering.Chunks
) -> AsyncIterator[bytes]:
    try:
        chunk = first
        while chunk is not None:
            shown = made.next(chunk)
            if shown is not None:
                yield _event(shown)
            chunk = await anext(chunks, None)
        last = made.last()
        if last is not None:
            yield _event(last)
        yield b"data: [DONE]\n\n"
    except ProviderFailed as exc:
        _log.warning("a stream of a provider broke off with status %d", exc.status)
        yield _event(exc.body())
    finally:
        await chunks.aclose()  # type: ignore[attr-defined] # the port's iterator is a generator


async def _while_wanted(request: Request, asking_it: Awaitable[Answer]) -> Answer:
    # A caller that leaves ends the question to the provider, too.
    task = asyncio.ensure_future(asking_it)
    gone = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ProviderFailed(499, "The caller has left.")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def _json(payload: dict[str, Any]) -> Response:
    return Response(orjson.dumps(payload), media_type="application/json")


def _failed(exc: ProviderFailed) -> Response:
    if exc.status >= 500:
        _log.warning("a provider failed with status %d (%s)", exc.status, exc.code or "no code")
    return Response(orjson.dumps(exc.body()), exc.status, exc.headers(), "application/json")
