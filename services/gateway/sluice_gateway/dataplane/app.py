"""The request path as an ASGI application that stands in front of another one."""

import asyncio
import logging
from collections.abc import Awaitable

from opentelemetry.trace import SpanKind

from sluice.clients.deadline import deadline_after
from sluice.contracts.routing import RoutingSnapshot
from sluice.errors import DeadlineExceeded, DependencyUnavailable
from sluice.telemetry.tracing import current_trace_id, extract
from sluice_gateway.dataplane.answers import decision_headers, id_headers, unaccounted
from sluice_gateway.dataplane.asgi import Application, Headers, Receive, Scope, Send
from sluice_gateway.dataplane.body import parse_fields
from sluice_gateway.dataplane.context import Heads, Opened, RequestContext, read_heads
from sluice_gateway.dataplane.conversation import Disconnects
from sluice_gateway.dataplane.cooldowns import Cooldowns
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.direct import DirectRequest
from sluice_gateway.dataplane.errors import (
    ApiError,
    Blocked,
    Gone,
    OutOfTime,
    Unavailable,
    WrongMethod,
    mistake,
    starting,
)
from sluice_gateway.dataplane.finishing import Finishing
from sluice_gateway.dataplane.form import Form
from sluice_gateway.dataplane.keeping import keep, keeping_of
from sluice_gateway.dataplane.lease_keeper import LeaseKeeper
from sluice_gateway.dataplane.limiter import Limiter, Queueing
from sluice_gateway.dataplane.listing import MODELS, tell
from sluice_gateway.dataplane.media import units_of
from sluice_gateway.dataplane.model_metrics import ModelMetrics
from sluice_gateway.dataplane.moderation import Moderate
from sluice_gateway.dataplane.plan import Stages, together
from sluice_gateway.dataplane.quality import count_quality
from sluice_gateway.dataplane.repeats import Repeats
from sluice_gateway.dataplane.sending import refuse
from sluice_gateway.dataplane.short_way import Client
from sluice_gateway.dataplane.spans import Spans, attributes_of, name_of, outcome_of
from sluice_gateway.dataplane.stages.admit import (
    admit_body,
    admit_head,
    admit_links,
    admit_names,
    admit_wishes,
    too_large,
    user_type_of,
)
from sluice_gateway.dataplane.stages.attempt import Attempts
from sluice_gateway.dataplane.stages.authenticate import authenticate
from sluice_gateway.dataplane.stages.build_context import with_context
from sluice_gateway.dataplane.stages.cache_wish import admit_wish
from sluice_gateway.dataplane.stages.dispatch import Dispatch
from sluice_gateway.dataplane.stages.guard_input import GuardInput, let_pass_unread
from sluice_gateway.dataplane.stages.guard_output import GuardOutput
from sluice_gateway.dataplane.stages.record import record
from sluice_gateway.dataplane.stages.resolve import open_to, resolve
from sluice_gateway.dataplane.stages.respond import Respond
from sluice_gateway.dataplane.stages.retrieve import Retrieve
from sluice_gateway.dataplane.stages.route import AskRouter
from sluice_gateway.dataplane.stages.structured import Structured
from sluice_gateway.dataplane.stages.use_cache import Caching
from sluice_gateway.dataplane.structure import STRUCTURED, structure_of
from sluice_gateway.dataplane.table import (
    ENDPOINTS,
    MODERATIONS,
    RESPONSES,
    SHORT,
    Compiler,
    Endpoint,
    Table,
)
from sluice_gateway.dataplane.taking_in import taken_in
from sluice_gateway.dataplane.timers import Limits
from sluice_gateway.dataplane.transcript import listen, transcript_of
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstreams import Upstreams
from sluice_gateway.domain.wishes import shorter

_log = logging.getLogger(__name__)
_BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
_BY_URL = {endpoint.path.encode(): endpoint for endpoint in SHORT}
_IDLE_TICK_S = 1.0
_OTHER = "other"
_CLIENT_GONE = 499


class DataPlane:
    """Answers the OpenAI paths and passes every other request to `fallback`.

    It must be made inside the running loop that serves it, given a routing snapshot with `use`, and closed with `close`.
    """

    def __init__(self, deps: DataPlaneDeps, fallback: Application) -> None:
        self._deps = deps
        self._fallback = fallback
        self._loop = asyncio.get_running_loop()
        self.clock = deps.clock
        self.max_body_bytes, self.max_form_bytes = deps.options.max_body_bytes, deps.options.max_form_bytes
        self.patience_s = deps.options.client_patience_s
        self.idle = Limits(self._loop, _IDLE_TICK_S)
        self.turn = Turn(self._loop)
        self._options = deps.options
        guard = self._guard = GuardInput(deps)
        self.cooldowns = Cooldowns(deps.clock, deps.options, deps.metrics)
        self.attempts = Attempts(deps, self.cooldowns)
        self.usage, self.prompts, self.responses = deps.usage, deps.prompts, deps.responses
        self.compactions = deps.compactions
        self.leases = LeaseKeeper(deps.leases, deps.clock, deps.metrics)
        queueing = Queueing(deps.options.limit_queue, deps.options.limit_queue_wait_s)
        self.limits = Limiter(self.leases, deps.clock, deps.metrics, queueing, deps.options.unpriced_models)
        self.finishing = Finishing(deps, self.attempts, self.limits)
        self._dispatch = Dispatch(deps, self.attempts, self.limits, self.finishing)
        self._structured = Structured(deps, self.limits, self._dispatch)
        self._upstreams = Upstreams(deps.options, self.turn)
        self._compiler = Compiler(
            Stages(guard.enforce, guard.observe, AskRouter(deps), Retrieve(deps)),
            deps.metrics,
            self._upstreams.client,
            deps.options.max_bytes_per_token,
        )
        self._table: Table | None = None
        self._other = ModelMetrics(deps.metrics, _OTHER)
        self._disconnects = Disconnects(self._loop, deps.options.watch_disconnect_after_s)
        self._moderate = Moderate(deps)
        self._respond = Respond(deps, GuardOutput(deps), self._disconnects.stop)
        self.caching = Caching(deps, self._disconnects.stop)
        self.repeats = Repeats(deps.usage.life)
        self.spans = Spans(deps.tracing, deps.options, deps.clock, self._loop)
        self.direct = 0
        deps.metrics.in_flight.set_function(lambda: len(self._disconnects) + self.direct)

    def client_left(self, reason: str) -> None:
        """Count a client whose connection was closed because it kept the gateway waiting."""
        self._deps.metrics.clients_left.labels(reason).inc()

    def give_up(self) -> None:
        """End the requests that coroutines answer, since the process is being stopped; their clients are told so."""
        self._disconnects.give_up()

    def use(self, snapshot: RoutingSnapshot) -> None:
        """Route by this snapshot from now on; requests that are under way keep the one that they began with."""
        self._table = self._compiler.compile(snapshot)
        self.repeats.forget()
        self.cooldowns.use(self._compiler.states())
        self._upstreams.keep_only(self._compiler.origins())
        self._deps.metrics.snapshot_version.set(snapshot.version)

    async def close(self) -> None:
        """Close all upstream connections."""
        self._disconnects.close()
        self.finishing.close()
        await self._upstreams.close()
        self.spans.flush()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request (the coroutine of what answers it: one frame less to wake for each request)."""
        if scope["type"] != "http":
            return self._fallback(scope, receive, send)
        path = scope["path"]
        endpoint = _BY_PATH.get(path)
        if endpoint is not None:
            return self._serve(endpoint, scope, receive, send)
        if path == MODELS or path.startswith("/v1/models/"):
            return self._list(path, scope, send)
        return self._fallback(scope, receive, send)

    def incoming(self, path: bytes, headers: Headers, client: Client) -> DirectRequest | None:
        """Return the request whose head came over the short way; None for paths of others."""
        endpoint = _BY_URL.get(path)
        if self._options.browsers and any(name == b"origin" for name, _ in headers):
            endpoint = None  # its answer tells a browser who may read it, which is added on the other way
        return None if endpoint is None else DirectRequest(self, client, endpoint, read_heads(headers))

    def again(self, endpoint: Endpoint, heads: Heads, client: Client) -> DirectRequest:
        """Return the request of a client that says the same in its head as in an earlier one."""
        return DirectRequest(self, client, endpoint, heads.again())

    async def _serve(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        started = self.clock.monotonic()
        heads = read_heads(scope["headers"])
        try:
            if scope["method"] != "POST":
                raise WrongMethod(f"{endpoint.path} takes POST requests only.", headers=((b"allow", b"POST"),))
            ctx = await taken_in(self, endpoint, heads, started, receive)
        except ApiError as exc:
            self.count_refusal(endpoint, exc, started)
            await refuse(send, endpoint, exc, id_headers(endpoint, heads.request_id))
        except Gone:
            return
        else:
            if "sluice_prompt" in scope:
                ctx.prompt, ctx.prompt_version, ctx.prompt_values = scope["sluice_prompt"]
            ctx.talk(receive, send, None)
            try:
                await self.run(ctx)
            finally:
                if ctx.form is not None:
                    ctx.form.close()

    def open(self, heads: Heads, limit: int | None = None) -> Opened:
        """Decide on the head of a request: authenticate it, and refuse what needs no body to be refused.

        Raises:
            ApiError: the request is refused.
        """
        at = self.clock.now()
        key = authenticate(self._deps.keys, heads.authorization, at)
        admit_head(heads, limit or self.max_body_bytes)
        table = self._table
        if table is None:
            raise starting()
        if not self._deps.usage.accepting:
            raise Unavailable("The gateway cannot account for requests now. Try again in a few seconds.")
        return Opened(key, table, at)

    def admit(
        self, endpoint: Endpoint, heads: Heads, started: float, opened: Opened, raw: bytes, form: Form | None = None
    ) -> RequestContext:
        """Decide on the body of a request.

        Raises:
            ApiError: the request is refused.
        """
        body = admit_body(raw, endpoint, opened.key) if form is None else parse_fields(form.fields, endpoint.kind)
        if body.links:
            admit_links(body, self._options)
        resolved = resolve(opened.table, opened.key, endpoint, body, len(raw))
        allowed_s = resolved.plan.deadline_s if heads.deadline_s is None else heads.deadline_s
        deadline = None if allowed_s is None else self._loop.time() + allowed_s
        ctx = RequestContext(endpoint, heads, started, opened, raw, body, deadline)
        ctx.wishes = resolved.plan.attempts.wishes
        if heads.attempt is not None:
            ctx.wishes = shorter(admit_wishes(heads.attempt), ctx.wishes)
        if resolved.plan.cache is not None:
            admit_wish(heads)
        ctx.model, ctx.route, ctx.plan = resolved
        ctx.user_type = user_type_of(heads, opened.key, self._options)
        if not STRUCTURED.isdisjoint(body.fields):
            ctx.demand(structure_of(body.fields, endpoint.kind))
        if ctx.wishes is not None and ctx.wishes.hedge_s is not None:
            ctx.plan = ctx.plan.waiting()  # two calls need a coroutine
        if body.untranslatable is not None and not ctx.plan.direct:
            raise body.untranslatable  # stages read the translation
        if (model := ctx.model) is not None:
            ctx.chain = (model, *open_to(ctx.key, model.fallbacks)) if model.fallbacks else (model,)
        if body.links:
            ctx.plan = ctx.plan.waiting()  # for what the names in them lead to
        if endpoint is RESPONSES:
            ctx.keeping = keeping_of(ctx, self.responses)
        return ctx

    def too_large(self) -> ApiError:
        """Return the refusal of a body over the limit."""
        return too_large(self.max_body_bytes)

    def count_refusal(self, endpoint: Endpoint, error: ApiError, started: float) -> None:
        """Count a request that was not admitted."""
        self._other.observe(endpoint.path, error.status, self.clock.monotonic() - started)

    async def _list(self, path: str, scope: Scope, send: Send) -> None:
        started = self.clock.monotonic()
        status = await tell(self._deps.keys, self._table, path, scope, send, self.clock.now())
        self._other.observe(MODELS, status, self.clock.monotonic() - started)

    async def run(self, ctx: RequestContext) -> None:
        """Answer an admitted request, if its key's limits allow it; one for the background is put aside."""
        if ctx.aside is not None:
            await self._put_aside(ctx)
            return
        self._disconnects.begin(ctx)
        if ctx.key.limits and ctx.reservation is None and not await self._within_limits(ctx):
            self._disconnects.end(ctx)
            return
        heard = listen(ctx)
        keep(ctx, self.responses)
        try:
            if self.spans.wanted(ctx):
                await self._traced(ctx)
            else:
                await self._answer(ctx)
        finally:
            self._disconnects.end(ctx)
            if ctx.deployment is not None:
                ctx.deployment.in_flight -= 1
            self.count(ctx)
            if heard is not None:
                self._deps.transcripts.keep(transcript_of(ctx, heard))

    async def _put_aside(self, ctx: RequestContext) -> None:
        # Its limits, its usage and its record are those of the request that a worker makes of it.
        background, aside, keeping = self._deps.background, ctx.aside, ctx.keeping
        if background is None or aside is None or keeping is None:
            raise AssertionError("where responses are kept they are put aside")
        self._disconnects.begin(ctx)
        if ctx.body.stream:
            self._disconnects.listen(ctx)
        try:
            status = await background.begin(ctx, aside, keeping)
        finally:
            self._disconnects.end(ctx)
        self._other.observe(ctx.endpoint.path, status, self.clock.monotonic() - ctx.started)

    async def _within_limits(self, ctx: RequestContext) -> bool:
        # What a limit refuses leaves no record: it was not admitted.
        try:
            await self.limits.enter(ctx)
        except ApiError as exc:
            self.count_refusal(ctx.endpoint, exc, ctx.started)
            await refuse(ctx.send, ctx.endpoint, exc, decision_headers(ctx))
        except Gone:
            return False
        except asyncio.CancelledError:
            self._disconnects.end(ctx)
            raise
        return ctx.reservation is not None

    def count(self, ctx: RequestContext) -> None:
        """Count an admitted request that has ended."""
        metrics = ctx.model.metrics if ctx.model is not None else self._other
        metrics.observe(ctx.endpoint.path, ctx.http_status, self.clock.monotonic() - ctx.started)
        if ctx.ttft is not None:
            metrics.ttft.observe(ctx.ttft)
        if ctx.intent is not None:
            count_quality(self._deps.metrics, ctx)
        if ctx.trace is not None:
            self.spans.end(ctx, ctx.trace)

    async def _traced(self, ctx: RequestContext) -> None:
        parent, begun = ctx.heads.traceparent, ctx.trace
        ctx.trace = None
        with self._deps.tracing.span(
            name_of(ctx),
            kind=SpanKind.SERVER,
            attributes=attributes_of(ctx),
            parent=extract({"traceparent": parent}) if parent is not None else None,
            known=None if begun is None else (begun.trace_id, begun.span_id, int(ctx.at * 1e9)),
        ) as span:
            ctx.span = span
            ctx.trace_id = current_trace_id()
            await self._answer(ctx)
            span.set_attributes(outcome_of(ctx))

    async def _answer(self, ctx: RequestContext) -> None:
        try:
            if ctx.plan.direct:
                await self._generate(ctx)
            else:
                await self._in_stages(ctx)
        except ApiError as exc:
            await self._fail(ctx, exc)
        except DeadlineExceeded:
            await self._fail(
                ctx, OutOfTime("The caller's deadline has passed. Allow more time with x-sluice-deadline-ms.")
            )
        except Gone:
            self.left(ctx)
        except asyncio.CancelledError:
            self.left(ctx)
            raise
        except Exception:  # noqa: BLE001 - the top of a request: the client gets a sentence, the log the details
            await self._fail(ctx, mistake(ctx.heads.request_id))

    async def _in_stages(self, ctx: RequestContext) -> None:
        left_s = None if ctx.deadline is None else max(0.0, ctx.deadline - self._loop.time())
        with deadline_after(None if left_s is None else str(int(left_s * 1000))):
            if ctx.body.links:
                await admit_names(ctx.body, self._options, self._deps.names)
            while following := ctx.plan.following(ctx.ran):
                ctx.ran = (*ctx.ran, *following)
                await together(following, ctx)
                if ctx.gone:
                    raise Gone
            if ctx.context_text and ctx.plan.guard_input == "enforce":
                await self._guard.context(ctx)
            if ctx.context_text:
                ctx.fields = with_context(ctx.fields, ctx.context_text)
                ctx.changed = True
            await self._generate(ctx)

    async def _generate(self, ctx: RequestContext) -> None:
        if ctx.plan.cache is None:
            await self._ask_model(ctx)
        else:
            await self.caching.run(ctx, self._ask_model)

    async def _ask_model(self, ctx: RequestContext) -> None:
        if ctx.endpoint is MODERATIONS:
            await self._respond.made(ctx, await self._moderate(ctx))
            return
        if ctx.endpoint.is_media and ctx.endpoint.kind != "transcription" and ctx.plan.guard_output == "enforce":
            let_pass_unread(ctx, self._deps)
        if ctx.endpoint.is_media:
            ctx.units = units_of(ctx.endpoint.kind, ctx.fields, {}, 0 if ctx.form is None else ctx.form.size)
        answer = await (self._structured if ctx.is_checked else self._dispatch)(ctx)
        try:
            if answer.scanner is None:
                await self._respond.whole(ctx, answer)
            else:
                self._disconnects.listen(ctx)
                await self._respond.stream(ctx, answer)
        except DependencyUnavailable as exc:
            raise unaccounted() from exc

    async def _fail(self, ctx: RequestContext, error: ApiError) -> None:
        # A stream that has begun reports its own errors; here nothing has been sent yet.
        if ctx.observer is not None:
            await ctx.observer
        self.failed(ctx, error)
        if not ctx.answering or not ctx.body.stream:
            await refuse(ctx.send, ctx.endpoint, error, decision_headers(ctx))

    def failed(self, ctx: RequestContext, error: ApiError) -> None:
        """Record an admitted request that is answered with an error."""
        ctx.status = "blocked" if isinstance(error, Blocked) else "error"
        ctx.http_status = error.status
        ctx.error_code = error.error_code
        self.record_anyway(ctx)

    def left(self, ctx: RequestContext) -> None:
        """Record a request whose client has gone: what was generated for it so far is still billed."""
        if ctx.observer is not None:
            ctx.observer.cancel()
        if not ctx.recorded:
            ctx.status, ctx.http_status, ctx.error_code = "cancelled", _CLIENT_GONE, "client_disconnected"
            self.record_anyway(ctx)

    def record_anyway(self, ctx: RequestContext) -> None:
        """Record a request whose end is settled already: a journal that refuses changes nothing about it."""
        if ctx.given_up is not None:
            ctx.given_up.end(self.clock.monotonic())
            return
        try:
            record(ctx, self._deps.usage, self.clock.monotonic())
        except DependencyUnavailable:
            _log.warning("a request that ended early could not be recorded", extra={"request_id": ctx.heads.request_id})
