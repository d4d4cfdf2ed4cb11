"""What the spans of a request say, and those of requests on the short way, which are made when it has been answered."""

import asyncio
import random

from opentelemetry.trace import SpanKind

from sluice.clock import Clock
from sluice.telemetry import names
from sluice.telemetry.tracing import AttributeValue, PastSpan, Tracing
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.table import Endpoint
from sluice_gateway.dataplane.trace import Trace

_AFTER_S = 0.5  # how long a span waits to be made
_AT_ONCE = 16  # requests whose spans are made in one go, so that the others wait a millisecond at most
_OF_THE_CALL = (names.GEN_AI_INPUT_TOKENS, names.GEN_AI_OUTPUT_TOKENS, names.ERROR_TYPE)


def name_of(ctx: RequestContext) -> str:
    """Return the name of a request's span."""
    return f"POST {ctx.endpoint.path}"


def attributes_of(ctx: RequestContext) -> dict[str, AttributeValue]:
    """Return what is known of an admitted request."""
    found: dict[str, AttributeValue] = {
        names.HTTP_METHOD: "POST",
        names.HTTP_ROUTE: ctx.endpoint.path,
        names.REQUEST_ID: ctx.heads.request_id,
        names.TENANT: ctx.key.tenant,
        names.GEN_AI_REQUEST_MODEL: ctx.model.name if ctx.model is not None else ctx.body.model,
    }
    if ctx.user_type is not None:
        found[names.USER_TYPE] = ctx.user_type
    if ctx.tags:
        found[names.TAGS] = ctx.tags
    return found


def outcome_of(ctx: RequestContext) -> dict[str, AttributeValue]:
    """Return what became of an answered request."""
    found: dict[str, AttributeValue] = {names.HTTP_STATUS: ctx.http_status}
    if ctx.deployment is not None:
        found[names.DEPLOYMENT] = ctx.deployment.id
    if ctx.guard_issues:
        found[names.GUARD_ISSUES] = ctx.guard_issues
    if ctx.citations:
        found[names.CITATIONS] = len(ctx.citations)
    if ctx.usage is not None:
        found[names.GEN_AI_INPUT_TOKENS] = ctx.usage.prompt_tokens
        found[names.GEN_AI_OUTPUT_TOKENS] = ctx.usage.completion_tokens
    if ctx.error_code is not None:
        found[names.ERROR_TYPE] = ctx.error_code
    return found


def name_of_call(endpoint: Endpoint, model: str) -> str:
    """Return the name of the span of a call to an engine."""
    return f"{endpoint.operation} {model}"


def attributes_of_call(endpoint: Endpoint, state: DeploymentState) -> dict[str, AttributeValue]:
    """Return what is known of a call to an engine."""
    return {
        names.GEN_AI_OPERATION: endpoint.operation,
        names.GEN_AI_PROVIDER: state.config.provider,
        names.GEN_AI_REQUEST_MODEL: state.config.upstream_model,
        names.DEPLOYMENT: state.id,
    }


class Spans:
    """Decides which requests are traced, and makes the spans of those on the short way after they have been answered.

    Nobody waits for these: they are made later, several requests' at once.
    """

    def __init__(self, tracing: Tracing, options: Options, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._tracing = tracing
        self._options = options
        self._clock = clock
        self._loop = loop
        self._ended: list[tuple[RequestContext, Trace, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def wanted(self, ctx: RequestContext) -> bool:
        """Tell whether a request is traced: as its caller decided, else by chance, once for both ways."""
        traced = ctx.traced
        if traced is None:
            traced = ctx.traced = self._tracing.enabled and self._drawn(ctx)
        return traced

    def begin(self, ctx: RequestContext) -> None:
        """Give a request on the short way the ids of its spans, if it is traced."""
        if not self.wanted(ctx):
            return
        parent = ctx.heads.traceparent
        trace_id, parent_id = (0, 0) if parent is None else (int(parent[3:35], 16), int(parent[36:52], 16))
        if trace_id and parent_id:
            found = Trace(trace_id, parent_id, self._tracing.new_span_id())
        else:
            ids = self._tracing.new_ids()
            if ids is None:  # the platform keeps a share of the traces
                ctx.traced = False
                return
            found = Trace(ids[0], None, ids[1])
        ctx.trace, ctx.trace_id = found, f"{found.trace_id:032x}"

    def call(self, trace: Trace, state: DeploymentState) -> str:
        """Note that an engine is called now, and return the `traceparent` that it is told."""
        trace.state, trace.called, trace.call_id = state, self._clock.monotonic(), self._tracing.new_span_id()
        return f"00-{trace.trace_id:032x}-{trace.call_id:016x}-01"

    def end(self, ctx: RequestContext, trace: Trace) -> None:
        """Note that a request has ended now: its spans are made soon."""
        ended = self._ended
        ended.append((ctx, trace, self._clock.monotonic()))
        if len(ended) >= _AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_AFTER_S, self.flush)

    def flush(self) -> None:
        """Make the spans that wait to be made."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._ended = self._ended, []
        for ctx, trace, when in ended:
            self._add(ctx, trace, when)

    def lost(self, ctx: RequestContext, trace: Trace, failure: Exception) -> None:
        """Make the span of a call that failed: the request goes on as a coroutine, under the same ids."""
        if trace.state is not None:
            said = attributes_of_call(ctx.endpoint, trace.state) | {names.ERROR_TYPE: type(failure).__name__}
            self._call(ctx, trace, trace.state, self._clock.monotonic(), said, failed=True)

    def _add(self, ctx: RequestContext, trace: Trace, ended: float) -> None:
        outcome = outcome_of(ctx)
        if trace.state is not None:
            said = attributes_of_call(ctx.endpoint, trace.state)
            said.update((name, outcome[name]) for name in _OF_THE_CALL if name in outcome)
            self._call(ctx, trace, trace.state, trace.answered or ended, said, failed=ctx.error_code is not None)
        self._tracing.add(
            PastSpan(
                name_of(ctx),
                SpanKind.SERVER,
                trace.trace_id,
                trace.span_id,
                trace.parent_id,
                int(ctx.at * 1e9),
                _when(ctx, ended),
                attributes_of(ctx) | outcome,
            )
        )

    def _call(
        self,
        ctx: RequestContext,
        trace: Trace,
        state: DeploymentState,
        ended: float,
        said: dict[str, AttributeValue],
        *,
        failed: bool,
    ) -> None:
        model = ctx.model.name if ctx.model is not None else ctx.body.model
        times = _when(ctx, trace.called), _when(ctx, ended)
        ids = trace.trace_id, trace.call_id, trace.span_id
        self._tracing.add(
            PastSpan(name_of_call(ctx.endpoint, model), SpanKind.CLIENT, *ids, *times, said, failed=failed)
        )

    def _drawn(self, ctx: RequestContext) -> bool:
        parent = ctx.heads.traceparent
        if parent is not None:
            return bool(int(parent[-1], 16) & 1)
        ratio = self._options.trace_ratio_direct if ctx.plan.direct else self._options.trace_ratio
        return ratio >= 1.0 or random.random() < ratio  # noqa: S311 - sampling


def _when(ctx: RequestContext, monotonic: float) -> int:
    # A time of the clock of `ctx.started` as nanoseconds since 1970.
    return int((ctx.at + monotonic - ctx.started) * 1e9)
