"""Dispatch: send the request to a deployment, and to the next one until something has answered.

A stream counts as answered when its first event is there. Up to that moment another deployment, a fallback of the
model, or a fallback of the route can take over without the client noticing.
"""

import asyncio

from opentelemetry.trace import SpanKind

from sluice.telemetry import names
from sluice.telemetry.tracing import inject
from sluice_gateway.dataplane import foreign
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState, are_full, choose, choose_resting
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import ApiError, Gone, Overloaded, RateLimited, Unavailable, out_of_region
from sluice_gateway.dataplane.finishing import Finishing
from sluice_gateway.dataplane.limiter import Limiter
from sluice_gateway.dataplane.sampling import sampled
from sluice_gateway.dataplane.spans import attributes_of_call, name_of_call
from sluice_gateway.dataplane.sse import EventTooLong, Scanner, usage_of
from sluice_gateway.dataplane.stages.attempt import Answer, AttemptFailed, Attempts, failed, is_callers_own, is_late
from sluice_gateway.dataplane.stages.hedge import Hedge, hedge_after
from sluice_gateway.dataplane.stages.retry import Retries
from sluice_gateway.dataplane.stages.settle import price_of
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.upstream import UpstreamError, UpstreamReply
from sluice_gateway.dataplane.wants import can_take

_ONE_OF_BOTH = frozenset({"anthropic", "bedrock"})  # Claude refuses a temperature beside top_p
_DRAWN = frozenset({"chat", "completion"})


def exhausted(chain: tuple[ModelEntry, ...], now: float, regions: frozenset[str] | None = None) -> ApiError:
    """Return the error for a request that no deployment could even be asked for."""
    states = [state for entry in chain for state in entry.open_to(regions)]
    if not states and any(entry.deployments for entry in chain):
        return out_of_region()
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

    def __init__(self, deps: DataPlaneDeps, attempts: Attempts, limits: Limiter, finishing: Finishing) -> None:
        self._deps = deps
        self._finishing = finishing
        self._attempts = attempts
        self._limits = limits
        self._retries = Retries(deps)
        self._hedge = Hedge(deps, limits, self._attempt)

    async def __call__(self, ctx: RequestContext) -> Answer:
        """Return the answer of the first deployment that gives one; what the short way tried is not tried again.

        Raises:
            ApiError: none did, or the caller's parameters were refused.
            Gone: the client went away.
        """
        first = ctx.chain[0]
        asked = None if ctx.body.extension is None else ctx.body.extension.sampling
        if (ctx.plan.sampling is not None or asked is not None) and ctx.endpoint.kind in _DRAWN:
            alone = any(one.config.provider in _ONE_OF_BOTH for entry in ctx.chain for one in entry.deployments)
            ctx.fields, ctx.changed = sampled(ctx.fields, ctx.plan.sampling, asked, alone=alone), True
        tries = 0
        while (answer := await self._round(ctx)) is None:
            await self._retries.wait(ctx, tries)
            tries += 1
        state = ctx.deployment
        assert state is not None
        assert ctx.model is not None
        if ctx.model is not first or ctx.first not in (None, state.id):
            ctx.model.metrics.fallback()
        return answer

    async def _round(self, ctx: RequestContext) -> Answer | None:
        # Asks every deployment that may be asked, each once; a failure may change the chain.
        while (found := self._next(ctx)) is not None:
            if ctx.failure is not None and (ctx.attempts >= ctx.plan.attempts.most or is_late(ctx)):
                raise ctx.failure
            after_s = hedge_after(ctx, *found)
            answer = await (self._attempt(ctx, *found) if after_s is None else self._hedge(ctx, *found, after_s))
            if answer is not None:
                return answer
        if ctx.failure is None:
            raise exhausted(ctx.chain, self._deps.clock.monotonic(), ctx.key.regions)
        return None

    def _next(self, ctx: RequestContext) -> tuple[ModelEntry, DeploymentState] | None:
        now, regions, tried = self._deps.clock.monotonic(), ctx.key.regions, ctx.tried
        for entry in ctx.chain:
            if entry is not ctx.model and not can_take(entry.config, ctx.fields):
                continue  # whom the caller did not name has to suit
            if entry.balancer is None:
                state = choose(entry.open_to(regions), now, tried)
            else:
                state = entry.balancer.choose(entry.open_to(regions), now, tried, ctx.fields, ctx.key.tenant)
            if state is not None:
                return entry, state
        # Everything that is left rests after failures: asking one of them beats refusing.
        for entry in ctx.chain:
            if entry is not ctx.model and not can_take(entry.config, ctx.fields):
                continue
            state = choose_resting(entry.open_to(regions), tried or frozenset())
            if state is not None:
                return entry, state
        return None

    async def _attempt(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState) -> Answer | None:
        if not await self._is_covered(ctx, entry):
            return None
        ctx.attempts += 1
        if state.failures:
            self._attempts.trying(state)
        state.in_flight += 1
        kept = False
        latency = state.watched(streamed=ctx.body.stream) if ctx.plan.attempts.hedge_share is not None else None
        usual = None if state.usual is None else state.usual[ctx.body.stream]
        began = self._deps.clock.monotonic()
        try:
            if ctx.span is None:
                answer = await self._exchange(ctx, entry, state, ctx.heads.traceparent)
            else:
                answer = await self._traced(ctx, entry, state)
            kept = True
        except AttemptFailed as exc:
            if exc.reason != "timeout" or is_callers_own(ctx, state):
                latency = usual = None  # it says nothing of how long an answer takes
            self._attempts.note(ctx, entry, state, exc)
            return None
        finally:
            if not kept:
                state.in_flight -= 1
            if latency is not None and not ctx.gone:
                # One that was stopped took at least so long: leaving it out would make a slow deployment look quick.
                latency.note(self._deps.clock.monotonic() - began)
            if usual is not None and not ctx.gone:
                now = self._deps.clock.monotonic()
                usual.note(now - began, now)
        state.succeeded()
        ctx.model = entry
        ctx.deployment = state
        return answer

    async def _is_covered(self, ctx: RequestContext, entry: ModelEntry) -> bool:
        # A model that the limits do not cover is not asked; the next one may be cheaper, and the one that failed may be asked again.
        if ctx.reservation is None:
            return True
        try:
            await self._limits.cover(ctx, entry)
        except ApiError as exc:
            names = frozenset(state.id for state in entry.deployments)
            ctx.tried = (ctx.tried or frozenset()) | names
            ctx.hopeless |= names
            ctx.failure = ctx.failure or exc
            return False
        return True

    async def _traced(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState) -> Answer:
        name, attributes = name_of_call(ctx.endpoint, entry.name), attributes_of_call(ctx.endpoint, state)
        with self._deps.tracing.span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:
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
        call = ctx.call = self._attempts.call(ctx, entry, state, traceparent)
        if ctx.gone:
            raise Gone
        ctx.dispatched = True
        if ctx.race is not None:
            ctx.race.joined(state, call)
        try:
            reply = await state.upstream.send(call)
            found = self._attempts.judge(ctx, entry, state, reply)
            if found is not None:
                return Answer(reply, found, None, None)
            return await self._streamed(ctx, *foreign.followed(ctx, state.provider, reply, price_of(ctx, entry, state)))
        except UpstreamError as exc:
            self._finishing.take(ctx, entry, state, call, exc.reason)
            raise self._attempts.broken(ctx, exc.reason) from exc
        except asyncio.CancelledError:
            self._finishing.take(ctx, entry, state, call, "cancelled")
            raise

    async def _streamed(self, ctx: RequestContext, reply: UpstreamReply, scanner: Scanner) -> Answer:
        stream = reply.stream
        assert stream is not None
        try:
            while True:
                data = await stream.read()
                piece = scanner.feed(data) if data else scanner.finish()
                if scanner.failed:
                    raise failed("stream_error")
                if piece.events or piece.done:
                    ctx.ttft = self._deps.clock.monotonic() - ctx.started
                    return Answer(reply, None, scanner, piece)
                if not data:
                    raise failed("empty")
        except EventTooLong:
            stream.close()
            raise failed("protocol") from None
        except (AttemptFailed, asyncio.CancelledError):
            stream.close()
            raise
