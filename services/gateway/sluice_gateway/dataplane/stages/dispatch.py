"""Dispatch: send the request to a deployment, and to the next one until something has answered.

A stream counts as answered when its first event is there. Up to that moment another deployment, a fallback of the
model, or a fallback of the route can take over without the client noticing.
"""

import asyncio
from typing import Any, Literal, NamedTuple

import orjson
from opentelemetry.trace import SpanKind

from sluice.errors import DependencyUnavailable
from sluice.telemetry import names
from sluice.telemetry.tracing import inject
from sluice_gateway.dataplane.body import upstream_bytes
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState, are_full, choose, choose_resting
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import (
    ApiError,
    Gone,
    OutOfTime,
    Overloaded,
    RateLimited,
    Unavailable,
    UpstreamBroken,
)
from sluice_gateway.dataplane.refusals import refusal
from sluice_gateway.dataplane.sse import EventTooLong, StreamPiece, StreamScanner, usage_of
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.upstream import Call, UpstreamError, UpstreamReply

_MAX_ATTEMPTS = 8
_DEFAULT_RETRY_S = 1.0

StatusClass = Literal["answer", "refusal", "limit", "failure"]


class Answer(NamedTuple):
    """What a deployment answered: a whole body and its JSON, or a stream whose first piece was read."""

    reply: UpstreamReply
    json: dict[str, Any] | None
    scanner: StreamScanner | None
    first: StreamPiece | None


class _AttemptFailed(Exception):
    """This deployment did not answer; `error` is what the client gets when no other does."""

    def __init__(self, error: ApiError, reason: str) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason


def classify(status: int) -> StatusClass:
    """Tell what a status means: an answer, a refusal of the caller's parameters, a rate limit, or a failure of the deployment.

    401, 403 and 404 are failures: the credential and the model name are ours, not the caller's.
    """
    if 200 <= status < 300:
        return "answer"
    if status in (400, 413, 422):
        return "refusal"
    return "limit" if status == 429 else "failure"


def retry_after_s(header: bytes | None, longest: float) -> float:
    """Return the seconds of a Retry-After header, at most `longest`; a date or nonsense counts as one second."""
    if header is None or not header.strip().isdigit():
        return min(_DEFAULT_RETRY_S, longest)
    return min(float(header), longest)


def exhausted(chain: tuple[ModelEntry, ...], now: float) -> ApiError:
    """Return the error for a request that no deployment could even be asked for."""
    states = [state for entry in chain for state in entry.deployments]
    if not states:
        return Unavailable("No deployment serves this model now. Ask your administrator, or use another model.")
    if are_full(states):
        return Overloaded(
            "All deployments of this model are busy. Try again in a second.", headers=((b"retry-after", b"1"),)
        )
    wait = min((state.paused_until - now for state in states if state.paused_until > now), default=1.0)
    after = str(max(1, round(wait))).encode()
    return RateLimited(
        f"The rate limit of this model is reached. Try again in {after.decode()} s.", headers=((b"retry-after", after),)
    )


class Dispatch:
    """The stage."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps

    async def __call__(self, ctx: RequestContext) -> Answer:
        """Return the answer of the first deployment that gives one.

        Raises:
            ApiError: none did, or the caller's parameters were refused.
            Gone: the client went away.
        """
        clock = self._deps.clock
        tried: set[str] | None = None
        failure: ApiError | None = None
        for entry in ctx.chain:
            while (state := choose(entry.deployments, clock.monotonic(), tried)) is not None:
                try:
                    answer = await self._attempt(ctx, entry, state)
                except _AttemptFailed as exc:
                    failure = exc.error
                    tried = tried or set()
                    tried.add(state.config.id)
                    if len(tried) >= _MAX_ATTEMPTS or _is_late(ctx):
                        raise failure from exc
                    continue
                if tried is not None or entry is not ctx.chain[0]:
                    entry.metrics.fallback()
                return answer
        return await self._last_resort(ctx, tried or set(), failure)

    async def _last_resort(self, ctx: RequestContext, tried: set[str], failure: ApiError | None) -> Answer:
        # Everything that is left rests after failures: asking one of them beats refusing.
        for entry in ctx.chain:
            state = choose_resting(entry.deployments, tried)
            if state is not None:
                try:
                    return await self._attempt(ctx, entry, state)
                except _AttemptFailed as exc:
                    failure = exc.error
                    tried.add(state.config.id)
        raise failure or exhausted(ctx.chain, self._deps.clock.monotonic())

    async def _attempt(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState) -> Answer:
        state.in_flight += 1
        kept = False
        try:
            if ctx.span is None:
                answer = await self._exchange(ctx, entry, state, ctx.heads.traceparent)
            else:
                answer = await self._traced(ctx, entry, state)
            kept = True
        except _AttemptFailed as exc:
            entry.metrics.upstream_error(exc.reason)
            if exc.reason != "rate_limit":
                options = self._deps.options
                state.failed(self._deps.clock.monotonic(), options.cooldown_s, options.max_cooldown_s)
            raise
        finally:
            if not kept:
                state.in_flight -= 1
        state.succeeded()
        ctx.model = entry
        ctx.deployment = state
        return answer

    async def _traced(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState) -> Answer:
        attributes = {
            names.GEN_AI_OPERATION: ctx.endpoint.operation,
            names.GEN_AI_PROVIDER: state.config.provider,
            names.GEN_AI_REQUEST_MODEL: state.config.upstream_model,
            names.DEPLOYMENT: state.config.id,
        }
        with self._deps.tracing.span(
            f"{ctx.endpoint.operation} {entry.name}", kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            headers: dict[str, str] = {}
            inject(headers)
            answer = await self._exchange(ctx, entry, state, headers.get("traceparent"))
            if answer.json is not None:
                usage = usage_of(answer.json)
                if usage is not None:
                    span.set_attribute(names.GEN_AI_INPUT_TOKENS, usage.prompt_tokens)
                    span.set_attribute(names.GEN_AI_OUTPUT_TOKENS, usage.completion_tokens)
            return answer

    async def _exchange(
        self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState, traceparent: str | None
    ) -> Answer:
        config = state.config
        upstream_model = config.upstream_model
        call = ctx.call = Call(
            state.base_path + ctx.endpoint.upstream_path,
            upstream_bytes(ctx.raw, ctx.body, ctx.fields, upstream_model, changed=ctx.changed),
            None if state.auth.kind == "none" else self._bearer(ctx, state),
            ctx.heads.request_id,
            traceparent,
            config.connect_timeout_s,
            config.timeout_s,
            ctx.deadline,
        )
        if ctx.gone:
            raise Gone
        ctx.dispatched = True
        try:
            reply = await state.upstream.send(call)
            kind = classify(reply.status)
            if kind != "answer":
                raise await self._rejected(kind, reply, entry, state)
            if reply.stream is None:
                return _whole(ctx, reply)
            return await self._streamed(ctx, reply)
        except UpstreamError as exc:
            raise self._broken(ctx, exc) from exc

    def _bearer(self, ctx: RequestContext, state: DeploymentState) -> str | None:
        try:
            return self._deps.credentials.bearer(state.auth, ctx.key.tenant)
        except DependencyUnavailable as exc:
            raise _AttemptFailed(
                Unavailable("The provider of this model is not set up. Ask your administrator."), "credential"
            ) from exc

    async def _rejected(
        self, kind: StatusClass, reply: UpstreamReply, entry: ModelEntry, state: DeploymentState
    ) -> ApiError | _AttemptFailed:
        body = reply.body
        if reply.stream is not None:
            reply.stream.close()
        if kind == "refusal":
            return refusal(reply.status, body, model=entry.name, upstream_model=state.config.upstream_model)
        if kind == "limit":
            wait = retry_after_s(reply.retry_after, self._deps.options.max_cooldown_s)
            state.rate_limited(self._deps.clock.monotonic(), wait)
            after = str(max(1, round(wait))).encode()
            return _AttemptFailed(
                RateLimited(
                    f"The rate limit of this model is reached. Try again in {after.decode()} s.",
                    headers=((b"retry-after", after),),
                ),
                "rate_limit",
            )
        return _failed(f"status_{reply.status // 100}xx")

    def _broken(self, ctx: RequestContext, error: UpstreamError) -> Exception:
        if error.reason == "cancelled" or ctx.gone:
            return Gone()
        if error.reason != "timeout":
            return _failed(error.reason)
        if _is_late(ctx):
            return OutOfTime(
                "The answer was not ready by the caller's deadline. Allow more time with x-sluice-deadline-ms."
            )
        return _AttemptFailed(
            OutOfTime("The model did not answer in time. Try again, or ask for a shorter answer."), "timeout"
        )

    async def _streamed(self, ctx: RequestContext, reply: UpstreamReply) -> Answer:
        stream = reply.stream
        assert stream is not None
        if not ctx.body.stream:
            stream.close()
            raise _failed("protocol")
        scanner = StreamScanner(hide_usage=not ctx.body.wants_usage)
        try:
            while True:
                data = await stream.read()
                piece = scanner.feed(data) if data else scanner.finish()
                if scanner.failed:
                    raise _failed("stream_error")
                if piece.events or piece.done:
                    ctx.ttft = self._deps.clock.monotonic() - ctx.started
                    return Answer(reply, None, scanner, piece)
                if not data:
                    raise _failed("empty")
        except EventTooLong:
            stream.close()
            raise _failed("protocol") from None
        except (_AttemptFailed, asyncio.CancelledError):
            stream.close()
            raise


def _whole(ctx: RequestContext, reply: UpstreamReply) -> Answer:
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        found = None
    if type(found) is not dict or ctx.body.stream:
        raise _failed("protocol")
    return Answer(reply, found, None, None)


def _failed(reason: str) -> _AttemptFailed:
    return _AttemptFailed(
        UpstreamBroken("The model could not answer: its server failed. Try again; if it goes on, use another model."),
        reason,
    )


def _is_late(ctx: RequestContext) -> bool:
    return ctx.deadline is not None and asyncio.get_running_loop().time() >= ctx.deadline - 0.002
