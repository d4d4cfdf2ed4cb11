"""Respond: the answer's head, its body, and for streams the relay with one write to the client per read from the engine."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane import foreign
from sluice_gateway.dataplane.answers import (
    DRAIN_S,
    SSE,
    cost,
    decision_headers,
    event,
    head_of_whole,
    last_event,
    skeleton_of,
    stream_broken,
    unaccounted,
    wants_sluice_object,
    with_citations,
)
from sluice_gateway.dataplane.asgi import Message
from sluice_gateway.dataplane.confidence import StreamConfidence, measured, note
from sluice_gateway.dataplane.context import GuardOutcome, RequestContext
from sluice_gateway.dataplane.conversation import send_whole
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import ApiError, Blocked, Gone, Unavailable, UpstreamBroken, mistake
from sluice_gateway.dataplane.halves import Halves
from sluice_gateway.dataplane.media import units_of
from sluice_gateway.dataplane.sse import (
    EventTooLong,
    Scanner,
    StreamPiece,
    Told,
    Usage,
    chunk_of,
    counted,
    payload,
    split,
    with_cost,
)
from sluice_gateway.dataplane.stages.attempt import Answer
from sluice_gateway.dataplane.stages.guard_output import GuardOutput
from sluice_gateway.dataplane.stages.guard_transcript import GuardTranscript, StreamedTranscript
from sluice_gateway.dataplane.stages.record import record
from sluice_gateway.dataplane.stages.settle import of_all_answers, settle_request, take_counts, take_whole
from sluice_gateway.dataplane.stages.stream_guard import StreamGuard
from sluice_gateway.dataplane.stages.structured import StreamCheck, unfit
from sluice_gateway.dataplane.stages.unmask import StreamUnmasking, unmasked
from sluice_gateway.dataplane.upstream import ReplyStream, UpstreamError

_WRITTEN = frozenset({"chat", "completion"})
_JSON = (b"content-type", b"application/json")


class Respond:
    """The stage."""

    def __init__(self, deps: DataPlaneDeps, guard: GuardOutput, before_end: Callable[[RequestContext], None]) -> None:
        self._deps = deps
        self._guard = guard
        self._transcripts = GuardTranscript(guard)
        self._before_end = before_end

    async def whole(self, ctx: RequestContext, answer: Answer) -> None:
        """Send a whole answer."""
        found = answer.json
        assert found is not None
        if ctx.endpoint.shape is not None:
            found = ctx.endpoint.shape(found, ctx.fields)
        take_whole(ctx, found)
        if ctx.usage is not None and (counts := of_all_answers(ctx, ctx.usage, ctx.deployment)) is not ctx.usage:
            found = {**found, "usage": counted(found["usage"], counts)}
        ctx.answering = True
        if ctx.endpoint.is_media:
            ctx.units = units_of(ctx.endpoint.kind, ctx.fields, found, 0 if ctx.form is None else ctx.form.size)
        shown = found
        if not ctx.plan.direct and not ctx.endpoint.counts:
            shown = await self._processed(ctx, found)
        elif ctx.body.extension is not None:
            shown = with_citations(found, ctx)
        kind = answer.reply.content_type if ctx.form is not None else _JSON[1]
        body = _body(ctx, answer, shown)
        if _is_heard(ctx) and not kind.startswith(_JSON[1]):
            body = await self._transcripts.text(ctx, body)
        await self._send(ctx, body, kind)

    async def made(self, ctx: RequestContext, body: bytes) -> None:
        """Send an answer that was made here, without a model."""
        ctx.answering = True
        try:
            await self._send(ctx, body)
        except DependencyUnavailable as exc:
            raise unaccounted() from exc

    async def _send(self, ctx: RequestContext, body: bytes, kind: bytes = _JSON[1]) -> None:
        bill = record(ctx, self._deps.usage, self._deps.clock.monotonic())
        if ctx.cycle is not None and send_whole(ctx.cycle, head_of_whole(ctx, bill.cost_usd, len(body)), body):
            return
        headers = decision_headers(ctx)
        headers.append((_JSON[0], kind))
        headers.append((b"content-length", b"%d" % len(body)))
        if bill.cost_usd is not None:
            headers.append((b"x-sluice-cost", cost(bill.cost_usd)))
        await ctx.send({"type": "http.response.start", "status": 200, "headers": headers})
        await ctx.send({"type": "http.response.body", "body": body})

    async def _processed(self, ctx: RequestContext, found: dict[str, Any]) -> dict[str, Any]:
        shown = measured(ctx, found) if ctx.endpoint.kind in _WRITTEN else found
        if ctx.plan.guard_output != "off" and ctx.endpoint.kind in _WRITTEN:
            shown = await self._guard.check_whole(ctx, shown)
            if ctx.guard == "blocked" and ctx.plan.guard_output == "enforce":
                ctx.status, ctx.error_code = "blocked", "content_filter"
        if found and _is_heard(ctx):
            shown = await self._transcripts.json(ctx, shown)
        if ctx.vault is not None:
            shown = unmasked(shown, ctx.vault)
        await join_observer(ctx)
        return with_citations(shown, ctx) if wants_sluice_object(ctx) else shown

    async def stream(self, ctx: RequestContext, answer: Answer) -> None:
        """Relay a stream until its end, its failure, or the client's departure."""
        scanner, first, stream = answer.scanner, answer.first, answer.reply.stream
        assert scanner is not None
        assert first is not None
        assert stream is not None
        sound = ctx.endpoint.is_media and not foreign.is_event_stream(answer.reply)
        if sound and _is_heard(ctx):
            stream.close()
            raise UpstreamBroken("The model answered with sound where a transcript was asked for. Use another model.")
        relay = _Relay(self._deps, self._guard, ctx, scanner, stream, self._before_end, sound=sound)
        kind = [(b"content-type", answer.reply.content_type)] if sound else SSE
        ctx.answering = True
        if ctx.guard is None and ctx.plan.guard_output == "enforce":
            ctx.guard = "passed"
        relay.told = ctx.guard
        try:
            await _write(
                ctx, {"type": "http.response.start", "status": 200, "headers": [*decision_headers(ctx), *kind]}
            )
            await relay.run(first)
        finally:
            take_counts(ctx, scanner)
            stream.close()


class _Relay:
    """One stream on its way through."""

    def __init__(
        self,
        deps: DataPlaneDeps,
        guard: GuardOutput,
        ctx: RequestContext,
        scanner: Scanner,
        stream: ReplyStream,
        before_end: Callable[[RequestContext], None],
        *,
        sound: bool,
    ) -> None:
        self._deps = deps
        self._ctx = ctx
        self._sound = sound
        self._scanner = scanner
        self._stream = stream
        self._guard = guard
        self._before_end = before_end
        self._writer = foreign.Writer(ctx)
        self._seen = ""
        self._windows: StreamGuard | None = None
        self._transcript = StreamedTranscript(guard, ctx, deps.options) if _is_heard(ctx) else None
        if ctx.plan.guard_output == "enforce" and not ctx.endpoint.is_media:
            options = deps.options
            self._windows = StreamGuard(
                guard,
                ctx,
                window=options.guard_window_chars,
                holdback=options.guard_holdback_chars,
                whole=_refuses_whole(ctx),
                choices=_choices(ctx),
            )
        # What is only told of a whole answer is asked when it has been shown.
        self._tells = self._windows is not None and ctx.plan.judges_whole and not _refuses_whole(ctx)
        self._confidence = (
            None if ctx.plan.confidence is None or sound else StreamConfidence(hidden="logprobs" in ctx.asked_for)
        )
        self._unmasking = None if ctx.vault is None or ctx.endpoint.is_media else StreamUnmasking(ctx.vault)
        self._check = None if ctx.checks is None else StreamCheck(ctx.checks)
        self._observing = ctx.plan.guard_output == "observe" and not ctx.endpoint.is_media
        reads = (self._transcript, self._windows, self._confidence, self._unmasking, self._check, ctx.endpoint.client)
        self._halves = Halves() if self._observing or any(one is not None for one in reads) else None
        self._blocked = False
        self._counted = False  # whether the client has been told the usage
        self._ended = False
        self.told: GuardOutcome | None = None
        self._skeleton: dict[str, Any] = {}
        self._gaps = (
            None if sound or ctx.model is None else ctx.model.metrics.gaps.timer(ctx.started, deps.clock.monotonic)
        )

    async def run(self, piece: StreamPiece) -> None:
        ctx = self._ctx
        if wants_sluice_object(ctx):
            self._skeleton = skeleton_of(piece.events)
        if self._gaps is not None:
            self._gaps.mark(piece.events)
        try:
            tail = await self._forward(piece)
            self._verify()
            tail += self._unmasked(await self._last_checks()) + self._counts_of_blocked()
            end = self._late_mark() + self._writer.events(tail + last_event(ctx, self._skeleton)) + self._writer.end()
            self._finish()
        except ApiError as exc:
            end = self._failed(exc)
        except Gone:
            raise
        except Exception:  # noqa: BLE001 - the top of a stream that has begun: its client must not wait for an end that never comes
            end = self._failed(mistake(ctx.heads.request_id))
        self._before_end(ctx)
        await _write(ctx, {"type": "http.response.body", "body": end})
        await self._drain()

    def _failed(self, error: ApiError) -> bytes:
        self._ctx.status = "blocked" if isinstance(error, Blocked) else "error"
        self._ctx.error_code = error.error_code
        self._note_failure()
        if self._sound:  # it has no place for a sentence: the connection breaks instead
            raise Gone from error
        return self._writer.error(error)

    async def _forward(self, piece: StreamPiece) -> bytes:
        # Returns the last events, which go out together with the end of the stream.
        ctx = self._ctx
        while True:
            events = piece.events if self._halves is None else self._halves.feed(piece.events)
            if self._check is not None:
                events = self._check.feed(events)
            if self._confidence is not None:
                events = self._confidence_of(events, self._confidence)
            if self._transcript is not None:
                events = await self._transcript.feed(events)
            if self._windows is not None or self._observing:
                events = await self._checked(events)
            if self._unmasking is not None:
                events = self._unmasking.feed(events)
            if piece.done or self._blocked or self._is_cut():
                return events
            shown = self._writer.events(events) if events else b""
            if shown:
                await _write(ctx, {"type": "http.response.body", "body": shown, "more_body": True})
            piece = await self._next()

    async def _next(self) -> StreamPiece:
        try:
            data = await self._stream.read()
            if data:
                piece = self._scanner.feed(data)
            else:
                self._ended = True
                piece = StreamPiece(self._scanner.finish().events, done=True)
        except (UpstreamError, EventTooLong) as exc:
            raise self._broken(exc) from exc
        if self._scanner.failed:
            raise self._broken(None)
        if self._gaps is not None:
            self._gaps.mark(piece.events)
        return piece

    def _broken(self, cause: Exception | None) -> Exception:
        ctx = self._ctx
        if ctx.gone:
            return Gone()
        return stream_broken(ctx, cause.reason if isinstance(cause, UpstreamError) else "stream_error")

    def _confidence_of(self, events: bytes, confidence: StreamConfidence) -> bytes:
        out: list[bytes] = []
        for one in split(events):
            chunk = chunk_of(one)
            shown = chunk if chunk is None else confidence.take(chunk)
            out.append(one if shown is chunk or shown is None else event(shown))
        return b"".join(out)

    async def _checked(self, events: bytes) -> bytes:
        out: list[bytes] = []
        for one in split(events):
            chunk = chunk_of(one)
            if chunk is None:
                # What nobody can read cannot be checked, and an answer without it would seem whole.
                if self._windows is not None and not self._sound and payload(one):
                    raise self._broken(None)
                out.append(one)
            elif self._windows is None:
                self._seen += _text_of(chunk)
                out.append(one)
            else:
                self._seen += _text_of(chunk) if self._tells else ""
                released = await self._windows.feed(chunk)
                self._counted |= any(part.get("usage") for part in released.chunks)
                out += [event(part) for part in released.chunks]
                if released.blocked:
                    self._blocked = True
                    break
        return b"".join(out)

    async def _last_checks(self) -> bytes:
        ctx = self._ctx
        tail = b""
        if self._confidence is not None:
            note(ctx, self._confidence.confidence())
        if self._transcript is not None:
            tail = await self._transcript.finish()
        if self._windows is not None and not self._blocked:
            released = await self._windows.finish()
            self._counted |= any(part.get("usage") for part in released.chunks)
            tail = b"".join(event(part) for part in released.chunks)
            self._blocked = released.blocked
        elif self._observing:
            await self._guard.check(ctx, self._seen, whole=True)
        if self._tells and not self._blocked:
            await self._guard.judge_shown(ctx, self._seen)
        if self._blocked:
            ctx.status, ctx.error_code = "blocked", "content_filter"
        if ctx.observer is not None:
            await join_observer(ctx)
        return tail

    def _counts_of_blocked(self) -> bytes:
        # An upstream tells the usage at its end, which a blocked stream does not wait for: the client is told what is charged.
        ctx = self._ctx
        if not self._blocked or self._counted or not ctx.body.wants_usage or self._windows is None:
            return b""
        take_counts(ctx, self._scanner)
        bill = settle_request(ctx)
        counts = Usage(bill.prompt_tokens, bill.completion_tokens)
        chunk = {**self._windows.skeleton, "choices": [], "usage": counted({}, counts)}
        return event(with_cost(chunk, Told(bill.cost_usd)))

    def _late_mark(self) -> bytes:
        # The head of a stream has gone when its text is checked; a comment is what every reader of events passes over.
        return b": x-sluice-guard: unchecked\n\n" if self._ctx.guard == "unchecked" != self.told else b""

    def _is_cut(self) -> bool:
        return self._check is not None and self._check.cut

    def _verify(self) -> None:
        # What was blocked is no answer of any form.
        if self._check is None or self._blocked:
            return
        outcomes = self._deps.metrics.structured
        if self._check.cut:
            outcomes.labels("cut").value += 1
        problem = self._check.finish()
        outcomes.labels("valid" if problem is None else "invalid").value += 1
        if problem is not None:
            raise unfit(problem, asked_twice=False)

    def _unmasked(self, tail: bytes) -> bytes:
        unmasking = self._unmasking
        return tail if unmasking is None else unmasking.feed(tail) + unmasking.finish()

    def _finish(self) -> None:
        # The row is written before the last bytes go out.
        ctx = self._ctx
        take_counts(ctx, self._scanner)
        try:
            record(ctx, self._deps.usage, self._deps.clock.monotonic())
        except DependencyUnavailable as exc:
            raise unaccounted() from exc

    def _note_failure(self) -> None:
        # The client is told of the failure already; a journal that cannot be written adds nothing to it.
        with suppress(Unavailable):
            self._finish()

    async def _drain(self) -> None:
        # The engine said [DONE]; its connection is kept when the end of the message follows at once.
        if self._ended or self._blocked or self._is_cut() or self._ctx.status != "ok":
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                while await self._stream.read():
                    pass
        except (TimeoutError, UpstreamError):
            self._stream.close()


def _is_heard(ctx: RequestContext) -> bool:
    # What was heard in a recording is said by a model, and is guarded so; pictures and sound nobody can read.
    return ctx.endpoint.kind == "transcription" and ctx.plan.guard_output != "off"


def _refuses_whole(ctx: RequestContext) -> bool:
    return (ctx.plan.groundedness == "refuse" and bool(ctx.context_text)) or ctx.plan.second_opinion == "refuse"


def _choices(ctx: RequestContext) -> int:
    # A list of prompts has so many answers to each.
    prompts = ctx.fields.get("prompt")
    number = ctx.fields.get("n")
    return (number if isinstance(number, int) else 1) * (len(prompts) if isinstance(prompts, list) else 1)


def _body(ctx: RequestContext, answer: Answer, shown: dict[str, Any]) -> bytes:
    # What nothing has changed leaves as the bytes that came.
    foreign_side = ctx.endpoint.client is not None or (
        ctx.deployment is not None and ctx.deployment.provider is not None
    )
    if shown is answer.json and not foreign_side:
        return answer.reply.body
    try:
        return foreign.whole(ctx, shown, answer.reply.body)
    except ValueError as exc:
        raise UpstreamBroken("The model's answer makes no sense in the API that was called. Try again.") from exc


async def join_observer(ctx: RequestContext) -> None:
    """Wait for a guard that only observes, so that its issues are recorded."""
    if ctx.observer is not None:
        await ctx.observer


async def _write(ctx: RequestContext, message: Message) -> None:
    if ctx.gone:
        raise Gone
    try:
        await ctx.send(message)
    except OSError as exc:
        raise Gone from exc


def _text_of(chunk: dict[str, Any]) -> str:
    parts = []
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
        if isinstance(text, str):
            parts.append(text)
    return "".join(parts)
