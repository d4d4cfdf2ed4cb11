"""A request on the short way: answered by callbacks, without a task, as long as it waits for nothing but the model.

Its head is decided on when it has come, its body when it is complete, by the same functions as on the other way. What
needs to wait for more (another stage, a new connection, a second deployment) goes on as a coroutine; nothing has been
sent to the client then.
"""

from typing import Any, cast

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane import beforehand
from sluice_gateway.dataplane.answers import (
    DRAIN_S,
    decision_headers,
    head_of_stream,
    head_of_whole,
    id_headers,
    last_event,
    lines,
    skeleton_of,
    stream_broken,
    unaccounted,
    wants_sluice_object,
)
from sluice_gateway.dataplane.asgi import Headers, Receive, Send
from sluice_gateway.dataplane.context import Heads, Opened, RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState, choose
from sluice_gateway.dataplane.errors import ApiError, Gone, mistake
from sluice_gateway.dataplane.gaps import TimedSink
from sluice_gateway.dataplane.repeats import Repeat
from sluice_gateway.dataplane.short_way import Client, Plane, send_kept
from sluice_gateway.dataplane.sse import DONE, EventTooLong, StreamPiece, StreamScanner
from sluice_gateway.dataplane.stages.attempt import AttemptFailed, failed
from sluice_gateway.dataplane.stages.cache_wish import Wish
from sluice_gateway.dataplane.stages.record import record
from sluice_gateway.dataplane.stages.settle import price_of, take_counts, take_whole, whole_body
from sluice_gateway.dataplane.stages.use_cache import Ready, head_of_hit
from sluice_gateway.dataplane.table import RESPONSES, Endpoint, ModelEntry
from sluice_gateway.dataplane.upstream import DirectStream, Reason, UpstreamReply

_JSON_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n"


class DirectRequest:
    """One request; it is also the receiver of the upstream's reply, and the sink of its stream."""

    __slots__ = ("_client", "_ctx", "_entry", "_error", "_found", "_opened", "_over", "_plane", "_scanner", "_skeleton", "_started",
                 "_state", "_stream", "endpoint", "heads", "limit")  # fmt: skip

    _ctx: RequestContext
    _entry: ModelEntry

    def __init__(self, plane: Plane, client: Client, endpoint: Endpoint, heads: Heads) -> None:
        self._plane = plane
        self._client = client
        self.endpoint = endpoint
        self._started = plane.clock.monotonic()
        self.heads = heads
        self.limit = plane.max_body_bytes
        self._opened: Opened | None = None
        self._error: ApiError | None = None
        self._state: DeploymentState | None = None
        self._stream: DirectStream | None = None
        self._over = False
        try:
            self._opened = plane.open(self.heads)
        except ApiError as exc:
            self._error = exc

    @property
    def refused(self) -> bool:
        """Whether the head alone is reason enough to refuse: the body is not waited for."""
        return self._error is not None

    def begin(self, body: bytes | None) -> None:
        """Answer, or see to it that it is answered; a body that is None was too long or not wanted."""
        plane = self._plane
        try:
            if self._opened is None or body is None:
                raise self._error or plane.too_large()
            if self.endpoint is RESPONSES and beforehand.asks_beforehand(body):
                self._over = True
                asked = plane, self.endpoint, self.heads, self._started, self._opened, body
                self._client.start(beforehand.answer(*asked, self._client.converse()))
                return
            repeats, traced = plane.repeats, None
            known = repeats.find(self.endpoint, self.heads, self._opened, body) if repeats.known else None
            if known is not None:
                ctx = self._ctx = known.again(self.heads, self._started, self._opened, body)
                plane.spans.begin(ctx)
                if self._answer_again(ctx, known):
                    return
                traced = ctx.traced
            ctx = self._ctx = plane.admit(self.endpoint, self.heads, self._started, self._opened, body)
            ctx.traced = traced
        except ApiError as exc:
            self._over = True
            plane.count_refusal(self.endpoint, exc, self._started)
            self._refuse(exc, id_headers(self.endpoint, self.heads.request_id))
            return
        if ctx.plan.direct and ctx.keeping is None:
            plane.turn.admitted(self)
        else:
            self._go_on(ctx)

    def go(self) -> None:
        """Ask the model, or whoever else has the answer."""
        plane, ctx = self._plane, self._ctx
        plane.spans.begin(ctx)
        if ctx.plan.cache is not None and self._from_memory(ctx, plane.caching.wish(ctx)):
            return
        asks = ctx.plan.cache is None or ctx.cache is not None
        if not asks or not self._submit(ctx):  # the other way asks the other levels, and keeps what the model answers
            self._go_on(ctx)

    def finish(self) -> None:
        """Give the answer that was accepted: it is recorded before."""
        plane, ctx, (found, body) = self._plane, self._ctx, self._found
        try:
            bill = record(ctx, plane.usage, plane.clock.monotonic())
            if ctx.body.extension is not None or not bill.exact:
                body = whole_body(ctx, found, body)
        except DependencyUnavailable:
            self._fail(ctx, unaccounted())
            return
        self._end(ctx)
        self._client.answer(200, head_of_whole(ctx, bill.cost_usd, len(body)), body)
        plane.count(ctx)

    def refuse(self) -> None:
        """Close the connection: a mistake of ours keeps this request from going on."""
        self._client.refuse()

    def gone(self) -> None:
        """The client has closed its connection: stop a stream, and bill what the upstream did."""
        if self._state is None or self._over:
            return
        ctx, state, stream = self._ctx, self._state, self._stream
        call, ctx.gone = ctx.call, True
        self._end(ctx)
        if stream is not None:
            take_counts(ctx, self._scanner)
            stream.close()
        elif call is not None:
            call.cancel()  # its answer is read on, for its counts
            self._plane.finishing.take(ctx, self._entry, state, call, "cancelled")
        self._plane.left(ctx)
        self._plane.count(ctx)

    def give_up(self) -> None:
        """The process is being stopped: end the answer, and say so."""
        if self._state is not None and not self._over and self._ctx.call is not None:
            self._ctx.call.cancel()

    def slowed(self) -> None:
        """The client takes less than it is sent."""
        if self._stream is not None and not self._over:
            self._stream.pause()

    def resumed(self) -> None:
        """The client has taken what it was sent."""
        if self._stream is not None and not self._over:
            self._stream.resume()

    # The receiver of the upstream's reply.

    def replied(self, reply: UpstreamReply) -> None:
        """Take the reply."""
        if self._over:
            return
        ctx = self._ctx
        try:
            found = self._plane.attempts.judge(ctx, self._entry, cast("DeploymentState", self._state), reply)
            if found is None:
                self._begin_stream(ctx, reply)
            else:
                self._answer(ctx, found, reply.body)
        except AttemptFailed as exc:
            self._try_another(ctx, exc)
        except ApiError as exc:
            self._fail(ctx, exc)
        except Exception:  # noqa: BLE001 - the top of a request: the client gets a sentence, the log the details
            self._fail(ctx, mistake(ctx.heads.request_id))

    def failed(self, reason: Reason) -> None:
        """Note that there will be no reply."""
        if self._over:
            return
        ctx, state = self._ctx, cast("DeploymentState", self._state)
        self._plane.finishing.take(ctx, self._entry, state, ctx.call, reason)
        meaning = self._plane.attempts.broken(ctx, reason)
        if isinstance(meaning, AttemptFailed):
            self._try_another(ctx, meaning)
        elif isinstance(meaning, ApiError):
            self._fail(ctx, meaning)

    def stale(self) -> None:
        """The kept connection was closed before the call reached the upstream: a coroutine sends it again."""
        if not self._over:
            self._let_go(self._ctx)
            self._go_on(self._ctx)

    # The sink of its stream.

    def data(self, data: bytes) -> None:
        """Pass on what one read brought, in one write."""
        if self._over:
            return
        ctx = self._ctx
        try:
            self._pass_on(ctx, self._scanner.feed(data))
        except AttemptFailed as exc:
            self._try_another(ctx, exc)
        except ApiError as exc:
            self._break_off(ctx, exc)
        except EventTooLong:
            self._broken(ctx, "protocol")
        except Exception:  # noqa: BLE001 - the top of a request: the client gets a sentence, the log the details
            self._break_off(ctx, mistake(ctx.heads.request_id))

    def chunks(self, data: bytes) -> bool:
        """Pass on what came as the upstream framed it, if nothing in it needs to be looked at."""
        if self._over or not self._ctx.answering or not self._scanner.passes(data):
            return False
        self._client.transport.write(data)
        return True

    def end(self) -> None:
        """The upstream has ended its stream without saying that it is done."""
        if self._over:
            return
        ctx = self._ctx
        rest = self._scanner.finish()
        try:
            if not (rest.events or ctx.answering or self._scanner.failed):
                raise failed("empty")
            self._pass_on(ctx, StreamPiece(rest.events, done=True))
        except AttemptFailed as exc:
            self._try_another(ctx, exc)
        except ApiError as exc:
            self._break_off(ctx, exc)

    def broken(self, reason: Reason) -> None:
        """The upstream's stream broke."""
        if not self._over:
            self._broken(self._ctx, reason)

    # Sending the call.

    def _submit(self, ctx: RequestContext) -> bool:
        plane = self._plane
        if ctx.key.limits and not plane.limits.admit(ctx):
            return False  # the other way waits for what is missing
        entry = ctx.chain[0]
        states, balancer = entry.open_to(ctx.key.regions), entry.balancer
        if balancer is None:
            state = choose(states, plane.clock.monotonic())
        else:
            state = balancer.choose(states, plane.clock.monotonic(), None, ctx.fields, ctx.key.tenant)
        if state is None:
            return False
        if not state.short or ctx.endpoint.client is not None:
            return False  # translation and hedging belong to the other way
        parent = ctx.heads.traceparent if ctx.trace is None else plane.spans.call(ctx.trace, state)
        try:
            call = plane.attempts.call(ctx, entry, state, parent)
        except AttemptFailed:
            return False  # the other way meets it again, and goes on from there
        if not state.upstream.submit(call, self):
            return False
        ctx.call = call
        ctx.dispatched = True
        if state.failures:
            plane.attempts.trying(state)
        state.in_flight += 1
        plane.direct += 1
        self._state = state
        self._entry = entry
        return True

    def _let_go(self, ctx: RequestContext) -> None:
        cast("DeploymentState", self._state).in_flight -= 1
        self._plane.direct -= 1
        self._state = self._stream = None
        ctx.call = None

    def _try_another(self, ctx: RequestContext, failure: AttemptFailed) -> None:
        state, stream, ctx.attempts = cast("DeploymentState", self._state), self._stream, 1
        self._plane.attempts.note(ctx, self._entry, state, failure)
        if ctx.trace is not None:
            self._plane.spans.lost(ctx, ctx.trace, failure)
        self._let_go(ctx)
        if stream is not None:
            stream.close()
        self._go_on(ctx)

    def _go_on(self, ctx: RequestContext) -> None:
        self._over = True
        client = self._client
        cycle = client.converse()
        ctx.talk(cast("Receive", cycle.receive), cast("Send", cycle.send), cycle)
        client.start(self._plane.run(ctx))

    # Answering.

    def _from_memory(self, ctx: RequestContext, wish: Wish | None) -> bool:
        plane = self._plane
        found = None if wish is None else plane.caching.at_hand(ctx, wish)
        if found is None or (ctx.key.limits and not plane.limits.admit(ctx)):
            return False
        assert wish is not None
        held = ctx.reservation
        if self._give(ctx, found, None):
            plane.repeats.learn(ctx, wish, found, held)
        return True

    def _answer_again(self, ctx: RequestContext, known: Repeat) -> bool:
        plane = self._plane
        if not plane.caching.still(known.ready, known.wish, ctx.at):
            return False
        if ctx.key.limits and not plane.limits.admit(ctx, known.worst):
            return False
        self._give(ctx, known.ready, known)
        return True

    def _give(self, ctx: RequestContext, found: Ready, known: Repeat | None) -> bool:
        # An answer from memory; tells whether the client got it.
        self._over = True
        plane = self._plane
        try:
            plane.caching.hit(ctx, found, None if known is None else known.row)
        except DependencyUnavailable:
            error = unaccounted()
            plane.failed(ctx, error)
            self._refuse(error, decision_headers(ctx))
            plane.count(ctx)
            return False
        send_kept(
            self._client,
            head_of_hit(ctx, found) if known is None else known.head(ctx),
            found.pieces,
            streamed=ctx.body.stream,
        )
        plane.count(ctx)
        return True

    def _answer(self, ctx: RequestContext, found: dict[str, Any], body: bytes) -> None:
        take_whole(ctx, found)
        self._accept(ctx)
        self._found = found, body
        self._plane.turn.accepted(self)

    def _accept(self, ctx: RequestContext) -> None:
        state = cast("DeploymentState", self._state)
        state.succeeded()
        if state.usual is not None:
            now = self._plane.clock.monotonic()
            state.usual[ctx.body.stream].note(now - ctx.started, now)
        ctx.model = self._entry
        ctx.deployment = state
        ctx.answering = True

    def _end(self, ctx: RequestContext) -> None:
        # The upstream's part is over: the deployment is free, and no callback counts any more.
        self._over = True
        if ctx.trace is not None:
            ctx.trace.answered = self._plane.clock.monotonic()
        self._let_go(ctx)

    def _fail(self, ctx: RequestContext, error: ApiError) -> None:
        plane, stream = self._plane, self._stream
        plane.failed(ctx, error)
        self._end(ctx)
        if stream is not None:
            stream.close()
        self._refuse(error, decision_headers(ctx))
        plane.count(ctx)

    def _refuse(self, error: ApiError, headers: Headers) -> None:
        body = self.endpoint.error_body(error)
        self._client.answer(error.status, lines((*headers, *error.headers)) + _JSON_HEAD % len(body), body)

    # Streaming.

    def _begin_stream(self, ctx: RequestContext, reply: UpstreamReply) -> None:
        stream = self._stream = cast("DirectStream", reply.stream)
        self._scanner = StreamScanner(price_of(ctx, self._entry, cast("DeploymentState", self._state)))
        self._skeleton: dict[str, Any] = {}
        timer = self._entry.metrics.gaps.timer(ctx.started, self._plane.clock.monotonic)
        stream.attach(self if timer is None else TimedSink(self, timer))

    def _pass_on(self, ctx: RequestContext, piece: StreamPiece) -> None:
        client = self._client
        if self._scanner.failed:
            raise stream_broken(ctx, "stream_error") if ctx.answering else failed("stream_error")
        if not ctx.answering:
            if not (piece.events or piece.done):
                return
            ctx.ttft = self._plane.clock.monotonic() - ctx.started
            if wants_sluice_object(ctx):
                self._skeleton = skeleton_of(piece.events)
            self._accept(ctx)
            client.begin_stream(head_of_stream(ctx), b"" if piece.done else piece.events)
        elif not piece.done and piece.events:
            client.send_part(piece.events)
        if piece.done:
            self._close_stream(ctx, piece.events + last_event(ctx, self._skeleton) + DONE)

    def _close_stream(self, ctx: RequestContext, tail: bytes) -> None:
        # The row is written before the last bytes go out.
        plane, stream = self._plane, self._stream
        take_counts(ctx, self._scanner)
        try:
            record(ctx, plane.usage, plane.clock.monotonic())
        except DependencyUnavailable as exc:
            raise unaccounted() from exc
        self._end(ctx)
        if stream is not None:
            stream.drain(DRAIN_S)
        self._client.end_stream(tail)
        plane.count(ctx)

    def _broken(self, ctx: RequestContext, reason: Reason) -> None:
        if ctx.answering:
            self._break_off(ctx, stream_broken(ctx, reason))
            return
        meaning = self._plane.attempts.broken(ctx, reason)
        if isinstance(meaning, AttemptFailed):
            self._try_another(ctx, meaning)
        elif isinstance(meaning, ApiError):
            self._fail(ctx, meaning)
        else:
            assert isinstance(meaning, Gone)

    def _break_off(self, ctx: RequestContext, error: ApiError) -> None:
        if not ctx.answering:
            self._fail(ctx, error)
            return
        plane, stream = self._plane, self._stream
        take_counts(ctx, self._scanner)
        ctx.status, ctx.error_code = "error", error.error_code
        plane.record_anyway(ctx)
        self._end(ctx)
        if stream is not None:
            stream.close()
        self._client.end_stream(b"data: " + error.body() + b"\n\n")
        plane.count(ctx)
