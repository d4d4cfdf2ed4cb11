"""Guard output: nothing of an answer reaches the client before the guardrail has let it pass.

A whole answer is checked at once. A stream is checked in windows: its text is held back, and what the guardrail let
pass is released up to a cut that lies a good way before the end of what is known, at a space, and never inside
something that was found. So a finding that is still growing is not let out by halves.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from sluice.contracts.guard import MAX_TEXT, CheckRequest, IssueDetail, OutputVerdict, Segment, ToolVerdict
from sluice.errors import SluiceError
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import not_checked
from sluice_gateway.dataplane.stages.attempt import is_late
from sluice_gateway.dataplane.stages.guard_input import CHECK_FAILED, let_unchecked, note_failures
from sluice_gateway.dataplane.stages.other_text import DETAILS, TEXT_FIELDS, others, silent, texts_of
from sluice_gateway.dataplane.stages.stream_cut import cut_before
from sluice_gateway.dataplane.stages.tool_calls import (
    ONLY,
    arguments_of,
    calls_of,
    given_in,
    notice,
    tool_call,
    with_arguments,
    with_calls,
)
from sluice_gateway.dataplane.texts import pieces, question, system_prompts

_ANSWER = "answer"
HALLUCINATION, DISPUTED_ANSWER, REVIEW_REQUIRED = "potential_hallucination", "disputed_answer", "review_required"
_OF_WHOLE = (HALLUCINATION, DISPUTED_ANSWER, CHECK_FAILED, REVIEW_REQUIRED)
DISPUTED = "I can't give an answer that a second check does not confirm."
"""What stands in place of an answer that the judging model disputes, where the policy refuses such."""

UNGROUNDED = "I can't answer that from the documents I was given."
"""What stands in place of an answer that the documents do not support, where the policy refuses such."""


Place = tuple[int, str, int]
"""Choice index, field, and the number of the tool call (0 for other fields)."""


class Checked(NamedTuple):
    """A text after the guardrail: what may be shown, and whether it stands in for a blocked one, or for a tool call that is `held` until it is confirmed."""

    text: str
    blocked: bool
    details: tuple[IssueDetail, ...]
    held: bool = False


class Checks(Protocol):
    """Says what may be shown in place of a text; it raises where the policy forbids to go on unchecked."""

    async def check(
        self, ctx: RequestContext, text: str, *, whole: bool = False, call: dict[str, Any] | None = None
    ) -> Checked:
        """Return what may be shown in place of `text`; a whole answer is held against what was retrieved for it, too, and `call` is the tool call of these arguments."""
        ...


class GuardOutput:
    """Asks the guardrail about texts of an answer."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps

    async def check(
        self, ctx: RequestContext, text: str, *, whole: bool = False, call: dict[str, Any] | None = None
    ) -> Checked:
        """Return what may be shown in place of `text`, and note the issues.

        A `whole` answer is also held against what retrieval found for it, where the policy says so. With `call` the text is the arguments of a tool
        call, which the policy may withhold.

        Raises:
            Unavailable: the guardrail could not be asked, and the policy fails closed.
        """
        if not text and call is None:
            return Checked(text, blocked=False, details=())
        try:
            verdict = await self._ask(ctx, text, whole=whole and ctx.plan.judges_whole, call=call)
        except SluiceError as exc:
            self._deps.metrics.stage_errors.labels("guard_output").inc()
            if ctx.plan.guard_output == "enforce" and not ctx.plan.fail_open:
                raise not_checked("answer", exc, late=is_late(ctx)) from exc
            # What only observes promises nothing, so nothing of it is missing.
            if ctx.plan.guard_output == "enforce":
                let_unchecked(ctx, self._deps)
            return Checked(text, blocked=False, details=())
        ctx.flag(verdict.issues)
        _note_grounds(ctx, verdict)
        return self._judged(ctx, text, verdict)

    def _judged(self, ctx: RequestContext, text: str, verdict: OutputVerdict) -> Checked:
        if ctx.plan.guard_output == "observe":  # nothing of it is changed, whatever the verdict would have it
            if ctx.guard in (None, "passed"):
                ctx.guard = "flagged" if verdict.issues else "passed"
            return Checked(text, blocked=False, details=())
        shown = next((part.text for part in verdict.filtered_segments or () if part.id == _ANSWER), None)
        refusal = _refusal(ctx, verdict.issues)
        if refusal is not None or not verdict.safe or shown is None:
            ctx.judged("blocked")
            return Checked(refusal or shown or "", blocked=True, details=verdict.details)
        withheld = next((one for one in verdict.tool_calls if one.action in ("approve", "block")), None)
        if withheld is not None:
            return _withheld(ctx, withheld)
        if shown != text:
            ctx.judged("redacted")
        elif ctx.guard in (None, "passed"):
            ctx.guard = "flagged" if verdict.issues else "passed"
        note_failures(ctx, self._deps, verdict.issues)
        mine = tuple(detail for detail in verdict.details if detail.segment_id == _ANSWER)
        return Checked(shown, blocked=False, details=mine)

    async def check_whole(self, ctx: RequestContext, answer: dict[str, Any]) -> dict[str, Any]:
        """Return a whole answer in which each choice is what the guardrail lets pass; observing changes nothing."""
        observe = ctx.plan.guard_output == "observe"
        choices = []
        for choice in answer.get("choices") or ():
            checked = await self._choice(ctx, choice)
            choices.append(choice if observe else checked)
        return {**answer, "choices": choices}

    async def _choice(self, ctx: RequestContext, choice: dict[str, Any]) -> dict[str, Any]:
        message = choice.get("message")
        if not isinstance(message, dict):
            text = await self.check(ctx, choice.get("text") or "", whole=True)
            return _marked({**choice, "text": text.text}, blocked=text.blocked)
        out = dict(message)
        blocked = await self._texts(ctx, out)
        calls = calls_of(message)
        passed: list[dict[str, Any]] = []
        notices: list[str] = []
        for call in calls:
            checked = await self.check(ctx, arguments_of(call) or "", call=call)
            blocked = blocked or checked.blocked
            if checked.held or checked.blocked:
                notices.append(checked.text)
            else:
                passed.append(with_arguments(call, checked.text))
        out = with_calls(out, passed)
        if notices:
            out["content"] = "\n".join([*([out["content"]] if out.get("content") else []), *notices])
        if calls and not passed:
            choice = {**choice, "finish_reason": "stop"}
        if blocked:
            out = {name: out[name] for name in ("role", "content", "refusal") if name in out}
            out["content"] = out.get("content") or ""
        return _marked({**choice, "message": out}, blocked=blocked)

    async def _texts(self, ctx: RequestContext, message: dict[str, Any]) -> bool:
        # Puts what may be shown into all fields but the calls, and tells whether something in them is blocked.
        blocked = False
        for name in TEXT_FIELDS:
            if isinstance(message.get(name), str):
                checked = await self.check(ctx, message[name], whole=name == "content")
                message[name] = checked.text
                blocked = blocked or checked.blocked
        for name, text in others(message).items():
            checked = await self.check(ctx, text, whole=name == "content")
            blocked = blocked or checked.blocked
            if checked.text != text and name == "content":
                message[name] = checked.text
            elif checked.text != text:
                del message[name]  # nobody knows which part of it is meant
        return blocked

    async def judge_shown(self, ctx: RequestContext, text: str) -> None:
        """Note what is to be said of a whole answer that has been shown already; without a verdict it is marked unchecked."""
        if not text:
            return
        try:
            verdict = await self._ask(ctx, text, whole=True)
        except SluiceError:
            self._deps.metrics.stage_errors.labels("guard_output").inc()
            let_unchecked(ctx, self._deps)
            return
        _note_grounds(ctx, verdict)
        found = tuple(issue for issue in _OF_WHOLE if issue in verdict.issues)
        if found:
            ctx.flag(found)
            if ctx.guard == "passed":
                ctx.guard = "flagged"

    async def _ask(
        self, ctx: RequestContext, text: str, *, whole: bool, call: dict[str, Any] | None = None
    ) -> OutputVerdict:
        segments = [
            Segment(id=f"system-{index}", role="system", text=system)
            for index, system in enumerate(system_prompts(ctx.fields))
        ]
        grounded = whole and bool(ctx.context_text) and ctx.plan.groundedness != "off"
        doubted = whole and ctx.plan.second_opinion != "off"
        if grounded or doubted:
            asked = question(pieces(ctx.fields, ctx.endpoint.kind))[:MAX_TEXT]
            segments.append(Segment(id="question", role="question", text=asked))
        if grounded:
            segments.append(Segment(id="context", role="context", text=ctx.context_text[:MAX_TEXT]))
        segments.append(Segment(id=_ANSWER, role="assistant", text=text[:MAX_TEXT]))
        with self._deps.tracing.span("guard output", attributes={"sluice.guard.policy": ctx.plan.guard_policy}):
            return await self._deps.guard.check_output(
                CheckRequest(
                    stage="output",
                    segments=tuple(segments),
                    policy=ctx.plan.guard_policy,
                    tool_calls=() if call is None else (tool_call(ctx.fields, call, _ANSWER),),
                    vault=() if call is None or ctx.vault is None else ctx.vault.entries,
                    second_opinion=False if grounded and not doubted else None,
                    confidence=None if ctx.confidence is None or not whole else ctx.confidence.probability,
                ),
                tenant=ctx.key.tenant,
                timeout_s=self._deps.options.stage_timeout_s,
            )


def _refusal(ctx: RequestContext, issues: Sequence[str]) -> str | None:
    if ctx.plan.groundedness == "refuse" and HALLUCINATION in issues:
        return UNGROUNDED
    return DISPUTED if ctx.plan.second_opinion == "refuse" and DISPUTED_ANSWER in issues else None


def _withheld(ctx: RequestContext, call: ToolVerdict) -> Checked:
    if call.action == "block":
        ctx.judged("blocked")
        return Checked(notice(call), blocked=True, details=())
    ctx.judged("redacted")
    ctx.approvals = (*ctx.approvals, call)
    return Checked(notice(call), blocked=False, details=(), held=True)


def _note_grounds(ctx: RequestContext, verdict: OutputVerdict) -> None:
    # Of several choices the least supported one counts.
    found = verdict.groundedness
    if found is not None and (ctx.groundedness is None or found.score < ctx.groundedness.score):
        ctx.groundedness = found


def _marked(choice: dict[str, Any], *, blocked: bool) -> dict[str, Any]:
    return {**choice, "finish_reason": "content_filter", "logprobs": None} if blocked else choice


class Released(NamedTuple):
    """Chunks that may go to the client, and whether the answer ends with them."""

    chunks: list[dict[str, Any]]
    blocked: bool


class StreamGuard:
    """Holds back the text of one stream and releases what was checked.

    Each place (a choice's content, its reasoning, a tool call's arguments) has its own held text. Tool arguments are
    released whole at the end, since half of a JSON document cannot be judged. With `whole` all text is held to the end and judged as one.
    """

    def __init__(self, guard: Checks, ctx: RequestContext, *, window: int, holdback: int, whole: bool = False) -> None:
        self._guard = guard
        self._ctx = ctx
        self._window = MAX_TEXT if whole else window
        self._holdback = holdback
        self._whole = whole
        self._held: dict[Place, str] = {}
        self._calls: dict[Place, dict[str, Any]] = {}
        self._passed: set[int] = set()
        self._notices: set[int] = set()
        self._due: dict[Place, int] = {}
        self._skeleton: dict[str, Any] = {}

    async def feed(self, chunk: dict[str, Any]) -> Released:
        """Take one chunk of the upstream."""
        self._skeleton = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        out: list[dict[str, Any]] = []
        for choice in chunk.get("choices") or ():
            released = await self._choice(choice)
            out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        if chunk.get("usage") is not None and not chunk.get("choices"):
            out.append(chunk)
        return Released(out, blocked=False)

    async def finish(self) -> Released:
        """Check and release everything that is still held."""
        out: list[dict[str, Any]] = []
        for index in sorted({place[0] for place in self._held}):
            released = await self._flush(index)
            out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        return Released(out, blocked=False)

    async def _choice(self, choice: dict[str, Any]) -> Released:
        index = choice.get("index", 0)
        delta = choice.get("delta")
        rest = self._hold(index, choice, delta if isinstance(delta, dict) else None)
        if DETAILS in rest.get("delta", ()) and await self._are_spoilt(rest["delta"][DETAILS]):
            del rest["delta"][DETAILS]
        if choice.get("finish_reason") is not None:
            released = await self._flush(index)
            if released.blocked:
                return released
            if index in self._notices and index not in self._passed:
                choice = {**choice, "finish_reason": "stop"}
            return Released([*released.chunks, self._chunk({**choice, **rest, "logprobs": None})], blocked=False)
        out: list[dict[str, Any]] = []
        if rest.get("delta"):
            out.append(self._chunk({**choice, **rest, "logprobs": None}))
        for place in [place for place in self._held if place[0] == index]:
            released = await self._full_windows(place)
            out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        return Released(out, blocked=False)

    async def _full_windows(self, place: Place) -> Released:
        # Looks at the text at places that its length alone decides: how the upstream cut it into chunks changes nothing.
        out: list[dict[str, Any]] = []
        while place[1] != "arguments" and len(self._held.get(place, "")) >= self._due.get(place, self._window):
            released = await self._release(place, self._due.get(place, self._window))
            out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        return Released(out, blocked=False)

    def _hold(self, index: int, choice: dict[str, Any], delta: dict[str, Any] | None) -> dict[str, Any]:
        # Takes the text out of a choice and returns what is left of it.
        if delta is None:
            self._add((index, "text", 0), choice.get("text"))
            return {"text": ""}
        left = {name: value for name, value in delta.items() if name not in TEXT_FIELDS}
        for name in TEXT_FIELDS:
            self._add((index, name, 0), delta.get(name))
        if isinstance(delta.get("tool_calls"), list):
            del left["tool_calls"]
            for call in delta["tool_calls"]:
                self._hold_call(index, call)
        if isinstance(delta.get("function_call"), dict):
            self._hold_call(index, {"index": ONLY, "function": delta["function_call"]})
        return {"delta": silent(left)}

    async def _are_spoilt(self, details: list[Any]) -> bool:
        # What the guard would have another way is left out, since what is signed cannot be changed; the same text is in its usual field.
        text = "\n".join(texts_of(details))
        return bool(text) and (await self._guard.check(self._ctx, text)).text != text

    def _hold_call(self, index: int, call: dict[str, Any]) -> None:
        # The whole call is held, its name too: whether it may be made is known when its arguments are.
        place = (index, "arguments", call.get("index", 0))
        holder, field = given_in(call)
        told: dict[str, Any] = {name: value for name, value in (call.get(holder) or {}).items() if name != field}
        known = self._calls.setdefault(place, {})
        called = {holder: {**known.get(holder, {}), **told}} if holder in call else {}
        known.update({**{name: value for name, value in call.items() if value is not None}, **called})
        self._held.setdefault(place, "")
        self._add(place, arguments_of(call))

    def _add(self, place: Place, text: object) -> None:
        if isinstance(text, str) and text:
            self._held[place] = self._held.get(place, "") + text

    async def _flush(self, index: int) -> Released:
        out: list[dict[str, Any]] = []
        for place in sorted(place for place in self._held if place[0] == index):
            released = await self._full_windows(place)
            out += released.chunks
            if not released.blocked:
                released = await self._rest(place)
                out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        return Released(out, blocked=False)

    async def _rest(self, place: Place) -> Released:
        text = self._held.pop(place)
        self._due.pop(place, None)
        if place in self._calls:
            return await self._call(place, text)
        checked = await self._guard.check(self._ctx, text, whole=self._whole and place[1] in ("content", "text"))
        if checked.blocked:
            return Released([self._stop(place, checked.text)], blocked=True)
        return Released([self._text(place, checked.text)] if text else [], blocked=False)

    async def _call(self, place: Place, arguments: str) -> Released:
        call = self._calls.pop(place)
        checked = await self._guard.check(self._ctx, arguments, call=call)
        if checked.blocked:
            return Released([self._stop(place, checked.text)], blocked=True)
        if checked.held:
            self._notices.add(place[0])
            return Released([self._text((place[0], "content", 0), checked.text + "\n")], blocked=False)
        self._passed.add(place[0])
        whole = {**with_arguments(call, checked.text), "index": place[2]}
        said = {"function_call": whole["function"]} if place[2] == ONLY else {"tool_calls": [whole]}
        choice = {"index": place[0], "delta": said, "logprobs": None, "finish_reason": None}
        return Released([self._chunk(choice)], blocked=False)

    async def _release(self, place: Place, size: int) -> Released:
        text, rest = self._held[place][:size], self._held[place][size:]
        checked = await self._guard.check(self._ctx, text)
        if checked.blocked:
            return Released([self._stop(place, checked.text)], blocked=True)
        cut = cut_before(text, len(text) - self._holdback, checked.details)
        self._due[place] = len(text) - cut + self._window - self._holdback
        self._held[place] = text[cut:] + rest
        if cut == 0:
            return Released([], blocked=False)
        shown = text[:cut]
        if checked.text != text:
            checked = await self._guard.check(self._ctx, shown)
            if checked.blocked:
                return Released([self._stop(place, checked.text)], blocked=True)
            shown = checked.text
        return Released([self._text(place, shown)], blocked=False)

    def _text(self, place: Place, text: str) -> dict[str, Any]:
        index, field, _ = place
        if field == "text":
            return self._chunk({"index": index, "text": text, "logprobs": None, "finish_reason": None})
        return self._chunk({"index": index, "delta": {field: text}, "logprobs": None, "finish_reason": None})

    def _stop(self, place: Place, text: str) -> dict[str, Any]:
        end: dict[str, Any] = {"index": place[0], "logprobs": None, "finish_reason": "content_filter"}
        if place[1] == "text":
            return self._chunk({**end, "text": text})
        return self._chunk({**end, "delta": {"content": text} if text else {}})

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**self._skeleton, "choices": [choice]}
