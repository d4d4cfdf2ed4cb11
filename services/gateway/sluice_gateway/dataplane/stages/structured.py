"""Structured: an answer has the form that its request demands, or the client is told that it has not.

A policy says what an answer of another form means: an error (`fail`), one more try of the model with what was wrong (`repair`), or
nothing (`off`). A stream passes as it comes and ends with an error when its form is wrong; with `repair` it is held until
it is known to be right, since what was sent cannot be taken back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.answers import event, stream_broken
from sluice_gateway.dataplane.body import Fields
from sluice_gateway.dataplane.conformance import LONGEST_SPACE, Checks, Problem, is_at_hand
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import NO_RETRY, Gone, UpstreamBroken
from sluice_gateway.dataplane.limiter import Limiter
from sluice_gateway.dataplane.sse import EventTooLong, StreamPiece, chunk_of, split
from sluice_gateway.dataplane.stages.attempt import Answer
from sluice_gateway.dataplane.stages.record import record_beside
from sluice_gateway.dataplane.stages.settle import settle_request, take_counts, take_whole
from sluice_gateway.dataplane.upstream import UpstreamError
from sluice_gateway.translate.calls import CallNumbers

_QUICK_BYTES = 32 * 1024

Ask = Callable[[RequestContext], Awaitable[Answer]]


class AnswerUnfit(UpstreamBroken):
    """The model answered in another form than the request demands."""


def unfit(problem: Problem, *, asked_twice: bool) -> AnswerUnfit:
    """Return what the client is told; another try is the client's to decide on."""
    what = {
        "structured_output_incomplete": "Raise `max_tokens`, or ask for less.",
        "structured_output_invalid": "Send the request again, ask for a simpler form, or use a stronger model.",
        "tool_call_invalid": "Send the request again, describe the tools more clearly, or use a stronger model.",
    }[problem.code]
    where = "" if problem.call is None else f" in tool call {problem.call + 1}"
    twice = ", also when it was asked again" if asked_twice else ""
    return AnswerUnfit(
        f"The model's answer has not the form that was asked for{where}: {problem.wrong.said}{twice}. {what}",
        code=problem.code,
        headers=(NO_RETRY,),
    )


class Structured:
    """The stage, around the one that asks a model."""

    def __init__(self, deps: DataPlaneDeps, limits: Limiter, ask: Ask) -> None:
        self._deps = deps
        self._limits = limits
        self._ask = ask
        self._outcomes = deps.metrics.structured

    async def __call__(self, ctx: RequestContext) -> Answer:
        """Return an answer of the right form, or a stream that `StreamCheck` is to watch.

        Raises:
            AnswerUnfit: its form is wrong, also after what the policy does about it.
            ApiError: as for any request; the demanded form may be none.
        """
        assert ctx.structure is not None
        at_once = is_at_hand(ctx.structure) and len(ctx.raw) <= _QUICK_BYTES
        checks = Checks(ctx.structure) if at_once else await asyncio.to_thread(Checks, ctx.structure)
        ctx.checks = checks
        answer = await self._ask(ctx)
        if answer.scanner is not None and ctx.on_wrong_form == "fail":
            return answer
        answer, problem = await self._judged(ctx, checks, answer)
        twice = False
        if problem is not None and ctx.on_wrong_form == "repair" and self._may_ask_again(ctx):
            twice = True
            self._put_aside(ctx)
            ctx.fields, ctx.changed = corrected(ctx.fields, _messages_of(answer), problem), True
            answer, problem = await self._judged(ctx, checks, await self._ask(ctx))
        ctx.checks = None  # it is done
        if problem is None:
            self._outcomes.labels("repaired" if twice else "valid").value += 1
            return answer
        self._outcomes.labels("invalid").value += 1
        raise unfit(problem, asked_twice=twice)

    async def _judged(self, ctx: RequestContext, checks: Checks, answer: Answer) -> tuple[Answer, Problem | None]:
        if answer.scanner is not None:
            return await self._held(ctx, checks, answer)
        assert answer.json is not None
        take_whole(ctx, answer.json)
        found, problem = whole(answer.json, checks)
        if found is not answer.json:
            self._outcomes.labels("cut").value += 1
            ctx.verbatim = False
            answer = answer._replace(json=found, reply=answer.reply._replace(body=orjson.dumps(found)))
        return answer, problem

    async def _held(self, ctx: RequestContext, checks: Checks, answer: Answer) -> tuple[Answer, Problem | None]:
        scanner, piece, stream = answer.scanner, answer.first, answer.reply.stream
        assert scanner is not None
        assert piece is not None
        assert stream is not None
        check = StreamCheck(checks)
        passed = [check.feed(piece.events)]
        try:
            while not (piece.done or check.cut):
                data = await stream.read()
                piece = scanner.feed(data) if data else StreamPiece(scanner.finish().events, done=True)
                if scanner.failed:
                    raise stream_broken(ctx, "stream_error")
                passed.append(check.feed(piece.events))
        except (UpstreamError, EventTooLong) as exc:
            if ctx.gone:
                raise Gone from exc
            raise stream_broken(ctx, exc.reason if isinstance(exc, UpstreamError) else "protocol") from exc
        finally:
            take_counts(ctx, scanner)
            stream.close()
        problem = check.finish()
        if check.cut:
            self._outcomes.labels("cut").value += 1
        first = StreamPiece(b"".join(passed), done=True)
        return answer._replace(first=first, messages=check.messages()), problem

    def _may_ask_again(self, ctx: RequestContext) -> bool:
        return ctx.model is not None and not ctx.gone and self._limits.again(ctx, ctx.model)

    def _put_aside(self, ctx: RequestContext) -> None:
        # What the first answer cost is billed beside the second one.
        assert ctx.model is not None
        assert ctx.deployment is not None
        ctx.answering = True
        bill = settle_request(ctx)
        ctx.answering = False
        with suppress(DependencyUnavailable):  # the answer itself meets the same journal in a moment
            now = self._deps.clock.monotonic()
            record_beside(ctx, ctx.model, ctx.deployment, bill, self._deps.usage, now, "repair")
        ctx.deployment.in_flight -= 1
        ctx.deployment = ctx.usage = ctx.tried = ctx.failure = None
        ctx.chunks = 0


def whole(answer: dict[str, Any], checks: Checks) -> tuple[dict[str, Any], Problem | None]:
    """Return a whole answer without runs of space at its end, and what is wrong with it."""
    choices = []
    for choice in answer.get("choices") or ():
        message = choice.get("message")
        is_chat = isinstance(message, dict)
        text = message.get("content") if is_chat else choice.get("text")
        calls, finish = (message.get("tool_calls") if is_chat else None), choice.get("finish_reason")
        if is_chat and message.get("refusal"):
            choices.append(choice)
            continue
        if isinstance(text, str) and checks.may_be_cut and _ends_in_space(text):
            text, finish = text.rstrip(), "stop" if checks.problem(text.rstrip(), calls, "stop") is None else finish
            said = {"message": {**message, "content": text}} if is_chat else {"text": text}
            choice = {**choice, **said, "finish_reason": finish, "logprobs": None}
        problem = checks.problem(text if isinstance(text, str) else None, calls, finish)
        if problem is not None:
            return answer, problem
        choices.append(choice)
    if all(one is other for one, other in zip(choices, answer.get("choices") or (), strict=True)):
        return answer, None
    return {**answer, "choices": choices}, None


class StreamCheck:
    """Follows a stream: what says how a choice ended is passed on only when its form is right.

    `cut` tells that nothing but space came for so long that the rest is not waited for.
    """

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._texts: dict[int, str] = {}
        self._refused: set[int] = set()
        self._calls: dict[int, dict[int, dict[str, Any]]] = {}
        self._numbers: dict[int, CallNumbers] = {}
        self._open: set[int] = set()
        self._skeleton: dict[str, Any] = {}
        self._problem: Problem | None = None
        self.cut = False

    def feed(self, events: bytes) -> bytes:
        """Take events of OpenAI's stream and return those that may pass now."""
        passed = []
        for one in split(events):
            chunk = chunk_of(one)
            if chunk is None or not chunk.get("choices"):
                passed.append(one)
                continue
            self._skeleton = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
            choices = [self._numbered(choice) for choice in chunk["choices"]]
            for choice in choices:
                self._take(choice)
            if self._problem is None and not self.cut:
                same = all(one is other for one, other in zip(choices, chunk["choices"], strict=True))
                passed.append(one if same else event({**chunk, "choices": choices}))
        if self.cut:
            passed += self._endings()
        return b"".join(passed) if self._problem is None else b""

    def finish(self) -> Problem | None:
        """Return what is wrong with the answer, now that it has ended."""
        for index in sorted(self._open):
            self._judge(index, None)
        return self._problem

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that came, as a whole answer has them."""
        return [
            {"role": "assistant", "content": self._texts.get(index), "tool_calls": self._called(index)}
            for index in sorted({*self._texts, *self._calls})
        ]

    def _numbered(self, choice: dict[str, Any]) -> dict[str, Any]:
        # Calls that a server gave the same number, or none, get their own: here, and for all who read the stream after.
        delta = choice.get("delta")
        if not isinstance(delta, dict) or not delta.get("tool_calls"):
            return choice
        calls = delta["tool_calls"]
        numbers = self._numbers.setdefault(choice.get("index", 0), CallNumbers())
        numbered = [numbers.numbered(call) for call in calls]
        if all(one is other for one, other in zip(numbered, calls, strict=True)):
            return choice
        return {**choice, "delta": {**delta, "tool_calls": numbered}}

    def _take(self, choice: dict[str, Any]) -> None:
        index = choice.get("index", 0)
        self._open.add(index)
        delta = choice.get("delta")
        piece = delta.get("content") if isinstance(delta, dict) else choice.get("text")
        if isinstance(piece, str) and piece:
            text = self._texts[index] = self._texts.get(index, "") + piece
            # Only a run that this piece has made longer is looked at.
            if piece[-1].isspace() and len(self._texts) == 1 and self._checks.may_be_cut and _ends_in_space(text):
                self.cut = True
        if isinstance(delta, dict):
            if delta.get("refusal"):
                self._refused.add(index)
            for call in delta.get("tool_calls") or ():
                self._take_call(index, call)
        if choice.get("finish_reason") is not None:
            self._judge(index, choice["finish_reason"])

    def _take_call(self, index: int, piece: dict[str, Any]) -> None:
        calls = self._calls.setdefault(index, {})
        call = calls.setdefault(piece.get("index", 0), {"type": "function"})
        call["id"] = call.get("id") or piece.get("id")
        function = piece.get("function")
        if isinstance(function, dict):
            known = call.setdefault("function", {"name": "", "arguments": ""})
            known["name"] = known["name"] or function.get("name") or ""
            known["arguments"] += function.get("arguments") or ""

    def _called(self, index: int) -> list[dict[str, Any]] | None:
        calls = self._calls.get(index)
        return None if calls is None else [calls[place] for place in sorted(calls)]

    def _judge(self, index: int, finish: str | None) -> None:
        self._open.discard(index)
        if self._problem is None and index not in self._refused:
            self._problem = self._checks.problem(self._texts.get(index), self._called(index), finish)

    def _endings(self) -> list[bytes]:
        # The text is complete if what came before the space is; else nothing would have come after it.
        endings = []
        for index in sorted(self._open):
            self._texts[index] = self._texts.get(index, "").rstrip()
            self._judge(index, "stop" if self._checks.problem(self._texts[index], None, "stop") is None else "length")
            ending = {"index": index, "delta": {}, "logprobs": None, "finish_reason": "stop"}
            if self._skeleton.get("object") == "text_completion":
                ending = {"index": index, "text": "", "logprobs": None, "finish_reason": "stop"}
            endings.append(event({**self._skeleton, "choices": [ending]}))
        return endings


def corrected(fields: Fields, said: list[dict[str, Any]], problem: Problem) -> Fields:
    """Return a request that also holds the answer and what is wrong with it; a completion has no place for that and is asked again."""
    if "messages" not in fields or not said:
        return fields
    answer = next((one for one in said if one.get("tool_calls")), said[0]) if problem.call is not None else said[0]
    calls = answer.get("tool_calls")
    added: list[dict[str, Any]] = [{"role": "assistant", "content": answer.get("content") or ""}]
    if calls and all(call.get("id") for call in calls):
        added[0]["tool_calls"] = calls
        for place, call in enumerate(calls):
            wrong = problem.wrong.told if place == problem.call else "not run, since another call was wrong"
            added.append({"role": "tool", "tool_call_id": call["id"], "content": f"Error: {wrong}."})
    what = (
        "Call the tool again, correctly."
        if calls
        else "Answer again, in exactly the form that was asked for, and write nothing else."
    )
    added.append(
        {"role": "user", "content": f"Your answer has not the form that was asked for: {problem.wrong.told}. {what}"}
    )
    return {**fields, "messages": [*fields["messages"], *added]}


def _messages_of(answer: Answer) -> list[dict[str, Any]]:
    if answer.messages is not None:
        return answer.messages
    choices = (answer.json or {}).get("choices") or ()
    return [choice["message"] for choice in choices if isinstance(choice.get("message"), dict)]


def _ends_in_space(text: str) -> bool:
    return len(text) > LONGEST_SPACE and text[-LONGEST_SPACE:].isspace() and not _is_inside_string(text)


def _is_inside_string(text: str) -> bool:
    inside = escaped = False
    for letter in text.rstrip():
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = inside
        elif letter == '"':
            inside = not inside
    return inside
