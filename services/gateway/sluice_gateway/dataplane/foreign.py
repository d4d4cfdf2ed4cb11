"""Requests and answers that are not OpenAI's on both sides: where the request path meets the translators.

Inside the request path a chat is always OpenAI's chat, and a stream always OpenAI's events: a provider's are translated where
they come in, a client's where they go out. Where both sides speak the same other API and nothing has to be changed, bytes
pass as they come, and the translator only follows them to count.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import orjson

from sluice_gateway.dataplane.answers import evidence, stream_broken
from sluice_gateway.dataplane.body import Fields
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.errors import ApiError, InvalidRequest, RefusedByUpstream
from sluice_gateway.dataplane.media import AsItComes, Units
from sluice_gateway.dataplane.sse import (
    DONE,
    Price,
    Scanner,
    StreamPiece,
    StreamScanner,
    Usage,
    carries,
    chunk_of,
    payload,
    shown_cost,
    split,
    with_cost,
)
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.upstream import UpstreamReply
from sluice_gateway.tokens import TokenDetails
from sluice_gateway.translate import registry
from sluice_gateway.translate import shapes as translated
from sluice_gateway.translate.anthropic import passing
from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.events import write
from sluice_gateway.translate.hub import usage_json
from sluice_gateway.translate.openai.provider import OpenAI
from sluice_gateway.translate.pairing import is_same
from sluice_gateway.translate.responses import passing as responses
from sluice_gateway.translate.shapes import (
    Asked,
    ClientStream,
    Embedding,
    Provider,
    ProviderStream,
    Refusal,
    UpstreamRequest,
)

_OPENAI = OpenAI()
_ANTHROPIC = Anthropic()
_COUNT = "/messages/count_tokens"
_IDS = {"chat": "chatcmpl-", "messages": "msg_", "responses": "resp_"}


def asked(ctx: RequestContext) -> Asked:
    """Return what a translator has to know of a request."""
    style = ctx.endpoint.style
    return Asked(
        _IDS[style] + ctx.heads.request_id.removeprefix("req_"),
        ctx.body.model,
        int(ctx.at),
        include_usage=True,
        fields=ctx.body.native if ctx.body.native is not None else ctx.body.fields,
        evidence=None if not ctx.searched or style != "responses" else evidence(ctx),
    )


def request(ctx: RequestContext, entry: ModelEntry, state: DeploymentState) -> UpstreamRequest:
    """Return the request to a deployment, and note whether answers pass as they come.

    Raises:
        InvalidRequest: something in the request has no counterpart in the deployment's API.
    """
    provider = state.provider or _OPENAI
    if ctx.endpoint.kind == "embedding" and isinstance(provider, Embedding):
        return _told(lambda: provider.embed_request(_plain(ctx.fields), state.config.upstream_model))
    if ctx.endpoint.kind != "chat":
        raise InvalidRequest(
            f"The model `{entry.name}` does not serve {ctx.endpoint.path}. Use POST /v1/chat/completions with it.",
            param="model",
            code="model_not_supported",
        )
    model = state.config.upstream_model
    ctx.verbatim = _may_pass(ctx, provider, native=state.provider is None and state.config.responses == "native")
    if ctx.verbatim and ctx.endpoint.style == "responses":
        return _response_as_it_came(ctx, model)
    if ctx.verbatim:
        return _as_it_came(ctx, model, _COUNT if ctx.endpoint.counts else "/messages")
    # llama.cpp and vLLM count for Anthropic's API, also what a guard has read and perhaps changed
    if _counts_as_it_came(ctx) and state.provider is None:
        return _as_it_came(ctx, model, _COUNT)
    if ctx.body.untranslatable is not None:
        raise ctx.body.untranslatable
    fields = _plain(ctx.fields)
    if ctx.endpoint.counts:
        return _told(
            lambda: (_ANTHROPIC if state.provider is None else registry.counting(provider)).count_request(fields, model)
        )
    return _told(lambda: provider.request(fields, model, max_output_tokens=entry.config.max_output_tokens))


def _plain(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name != "sluice"}


def _told(make: Callable[[], UpstreamRequest]) -> UpstreamRequest:
    try:
        return make()
    except Untranslatable as exc:
        raise InvalidRequest(exc.message, param=exc.param, code=exc.code) from exc


def _counts_as_it_came(ctx: RequestContext) -> bool:
    said = ctx.endpoint.counts and ctx.endpoint.style == "messages"
    return said and not ctx.changed and ctx.body.extension is None


def _response_as_it_came(ctx: RequestContext, model: str) -> UpstreamRequest:
    native: Fields = ctx.body.native or {}
    return _told(lambda: responses.request(orjson.dumps(native) if ctx.body.canonical else ctx.raw, native, model))


def _may_pass(ctx: RequestContext, provider: Provider, *, native: bool) -> bool:
    return (
        (
            is_same(ctx.endpoint.style, provider.style)
            or (native and ctx.endpoint.style == "responses" and not ctx.endpoint.counts)
        )
        and not ctx.changed
        and ctx.body.extension is None
        and ctx.plan.guard_output == "off"
        and not _is_watched(ctx)
    )


def _is_watched(ctx: RequestContext) -> bool:
    # A stream that is held to a form is read as chunks. Calls of tools alone are no reason for that: a provider of the same API holds
    # them to their schemas, and a translation loses what only that API has (citations, options of tools).
    if ctx.checks is None or not ctx.body.stream:
        return False
    return ctx.on_wrong_form != "fail" or (ctx.structure is not None and ctx.structure.text is not None)


def _as_it_came(ctx: RequestContext, upstream_model: str, path: str) -> UpstreamRequest:
    native: Fields = ctx.body.native or {}
    given = dict(ctx.heads.anthropic)
    return passing.request(
        orjson.dumps(native) if ctx.body.canonical else ctx.raw,
        native,
        upstream_model,
        version=given.get("anthropic-version"),
        beta=given.get("anthropic-beta"),
        path=path,
    )


def answer(ctx: RequestContext, provider: Provider, found: dict[str, Any]) -> dict[str, Any]:
    """Return a provider's whole answer as OpenAI's.

    Raises:
        ValueError: it makes no sense.
    """
    try:
        if ctx.endpoint.counts:
            return {"input_tokens": registry.counting(provider).count_answer(found)}
        if ctx.endpoint.kind == "embedding" and isinstance(provider, Embedding):
            return provider.embed_answer(found, asked(ctx))
        return provider.answer(found, asked(ctx))
    except BadAnswer as exc:
        raise ValueError(str(exc)) from exc


def as_it_came(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the request path has to know of a response that passes as it comes: its counts."""
    counts = responses.usage_of(found)
    return {} if counts is None else {"usage": usage_json(counts)}


def refusal(said: Refusal, model: str) -> ApiError:
    """Return the public error for a provider that refused the caller's own parameters."""
    if said.kind == "context":
        return RefusedByUpstream(
            f"The request does not fit into the context of {model}. Shorten the messages or lower `max_tokens`.",
            param="messages",
            code="context_length_exceeded",
        )
    what = said.message or "it gave no reason"
    code = "content_filter" if said.kind == "content" else None
    return RefusedByUpstream(
        f"The model {model} refused the request: {what.rstrip('.')}. Correct the request and send it again.",
        param=said.param,
        code=code,
    )


class Followed(NamedTuple):
    """A streamed reply, and what follows it."""

    reply: UpstreamReply
    scanner: Scanner


def followed(ctx: RequestContext, provider: Provider | None, reply: UpstreamReply, price: Price | None) -> Followed:
    """Return the scanner that turns a reply's stream into OpenAI's events, or that follows one which passes as it comes.

    `price` is None when the client did not ask for the usage.
    """
    if ctx.endpoint.is_media:
        return Followed(reply, AsItComes(price, partial(_add_image, ctx), events=is_event_stream(reply)))
    if ctx.verbatim and ctx.endpoint.style == "responses":
        return Followed(reply, _Follower(responses.Relay, price))
    if provider is None:
        return Followed(reply, StreamScanner(price))
    if ctx.verbatim:
        return Followed(reply, _Follower(partial(passing.Relay, asked(ctx)), price))
    return Followed(reply, _Translator(provider.stream(asked(ctx)), price))


def _add_image(ctx: RequestContext) -> None:
    ctx.units = Units(images=1 if ctx.units is None else ctx.units.images + 1)


def is_event_stream(reply: UpstreamReply) -> bool:
    """Tell whether a stream is one of server-sent events, and not sound."""
    return reply.content_type.startswith(b"text/event-stream")


class _Translator:
    """Reads a provider's stream and writes OpenAI's events."""

    def __init__(self, stream: ProviderStream, price: Price | None) -> None:
        self._stream = stream
        self._price = price
        self.chunks = 0

    @property
    def usage(self) -> Usage | None:
        """The best count so far."""
        return _counted(self._stream.usage, self.chunks, done=self._stream.finish_reason is not None)

    @property
    def failed(self) -> bool:
        """Whether the provider told of a failure."""
        return self._stream.failure is not None

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the upstream."""
        return self._written(self._stream.feed(data))

    def finish(self) -> StreamPiece:
        """Take the end of the upstream's stream."""
        return self._written(self._stream.finish())

    def _written(self, chunks: list[dict[str, Any]]) -> StreamPiece:
        self.chunks += sum(1 for chunk in chunks if carries(chunk))
        return StreamPiece(
            b"".join(write(shown) for chunk in chunks if (shown := self._shown(chunk))), self._stream.done
        )

    def _shown(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        if chunk.get("choices"):
            return chunk
        counts = self.usage
        if self._price is None or counts is None:
            return None
        return with_cost(chunk, self._price(counts)) if chunk.get("usage") else chunk


class _Follower:
    """Passes a stream as it comes, and counts."""

    def __init__(
        self, follow: Callable[[Callable[[], float | None]], passing.Relay | responses.Relay], price: Price | None
    ) -> None:
        self._relay = follow(self._cost)
        self._price = price

    @property
    def chunks(self) -> int:
        """How many pieces of the answer came."""
        return self._relay.chunks

    @property
    def usage(self) -> Usage | None:
        """The best count so far."""
        return _counted(self._relay.usage, self._relay.chunks, done=self._relay.finish_reason is not None)

    @property
    def failed(self) -> bool:
        """Whether the provider told of a failure."""
        return self._relay.failure is not None

    def _cost(self) -> float | None:
        counts = self.usage
        return None if self._price is None or counts is None else shown_cost(self._price(counts))

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the upstream."""
        piece = self._relay.feed(data)
        return StreamPiece(piece.events, piece.done)

    def finish(self) -> StreamPiece:
        """Take the end of the upstream's stream."""
        piece = self._relay.finish()
        return StreamPiece(piece.events, piece.done)


def _counted(found: translated.Usage | None, chunks: int, *, done: bool) -> Usage | None:
    # A provider counts the answer when it is complete: of a stream that was left early, what came counts if it is more.
    if found is None:
        return None
    details = TokenDetails(
        found.cached_tokens,
        found.cache_write_tokens,
        audio_input=found.audio_tokens,
        image_input=found.image_tokens,
        reasoning=found.reasoning_tokens,
        cache_write_1h=found.cache_write_1h_tokens,
    )
    completion = found.completion_tokens if done else max(found.completion_tokens, chunks)
    return Usage(found.prompt_tokens, completion, details if any(details) else None, done)


class Writer:
    """Writes a stream to the client: OpenAI's events in the client's own API, or as they are."""

    def __init__(self, ctx: RequestContext) -> None:
        client = ctx.endpoint.client
        self._ctx = ctx
        self._verbatim = ctx.verbatim
        self._out: ClientStream | None = None if client is None else client.stream(asked(ctx))
        self._unsent = b""

    def events(self, events: bytes) -> bytes:
        """Return what goes to the client for some events.

        Raises:
            ApiError: one of them is no chunk.
        """
        if self._out is None or self._verbatim:
            return events
        chunks = []
        for event in split(events):
            chunk = chunk_of(event)
            if chunk is not None:
                chunks.append(chunk)
            elif payload(event):
                self._unsent = self._out.feed(chunks)
                raise stream_broken(self._ctx, "protocol")
        return self._out.feed(chunks)

    def end(self) -> bytes:
        """Return what ends a complete stream."""
        if self._verbatim or self._ctx.endpoint.is_media:
            return b""
        return DONE if self._out is None else self._out.finish()

    def error(self, error: ApiError) -> bytes:
        """Return what ends a broken stream."""
        if self._out is None:
            return b"data: " + error.body() + b"\n\n"
        return self._unsent + self._out.fail(error.failure())


def whole(ctx: RequestContext, found: dict[str, Any], body: bytes) -> bytes:
    """Return a whole answer as the client reads it; `body` is the provider's own.

    Raises:
        ValueError: the answer makes no sense in the client's API.
    """
    client = ctx.endpoint.client
    if ctx.verbatim:
        return body
    if client is None:
        return orjson.dumps(found)
    try:
        return orjson.dumps(client.answer(found, asked(ctx)))
    except BadAnswer as exc:
        raise ValueError(str(exc)) from exc
