"""Guard output: nothing of an answer reaches the client before the guardrail has let it pass.

A whole answer is checked at once, and a stream in windows (`stream_guard`).
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from sluice.contracts.guard import MAX_TEXT, CheckRequest, IssueDetail, OutputVerdict, Segment, ToolVerdict
from sluice.errors import SluiceError
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import not_checked
from sluice_gateway.dataplane.stages.attempt import is_late
from sluice_gateway.dataplane.stages.guard_input import CHECK_FAILED, let_unchecked, note_failures
from sluice_gateway.dataplane.stages.guard_trouble import GuardTrouble
from sluice_gateway.dataplane.stages.other_text import (
    NOTES,
    OF_ANSWER,
    OF_CHOICE,
    TEXT_FIELDS,
    others,
    written_in,
)
from sluice_gateway.dataplane.stages.tool_calls import (
    arguments_of,
    calls_of,
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


SPELT = ("logprobs", "token_ids")  # vLLM tells the tokens of an answer where `return_token_ids` asks for them


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


class Passed(NamedTuple):
    """What may be shown of some notes, and what stands in place of the answer if something in them is blocked."""

    notes: Any
    blocked: Checked | None


async def passed_notes(guard: Checks, ctx: RequestContext, notes: Any) -> Passed:
    """Return what may be shown of an answer's annotations, or of another field beside its words: those in which the guardrail changes nothing.

    A link or title with something taken out of it leads nowhere, so that such a note is left out as a whole.
    """
    each = notes if isinstance(notes, list) else [notes]
    texts = [written_in(note) for note in each]
    whole = "\n".join(texts)
    checked = await guard.check(ctx, whole) if whole.strip() else None
    if checked is None or checked.blocked or checked.text == whole:
        return Passed(notes, checked if checked is not None and checked.blocked else None)
    starts = [0, *accumulate(len(text) + 1 for text in texts)]
    spans = [(one.start, one.end) for one in checked.details if one.action != "flag"]
    kept = [
        note
        for note, start, text in zip(each, starts, texts, strict=False)
        if not any(first < start + len(text) and start < last for first, last in spans)
    ]
    if not isinstance(notes, list):
        return Passed(None, None)
    # A verdict names its findings only up to a number, so that what is left is checked again.
    return await passed_notes(guard, ctx, kept) if len(kept) < len(notes) else Passed([], None)


async def passed_fields(
    guard: Checks, ctx: RequestContext, holder: dict[str, Any], known: frozenset[str]
) -> tuple[dict[str, Any], Checked | None]:
    """Return an answer or a choice with what may be shown of fields that are not `known`, and what stands in its place if one is blocked."""
    shown = holder
    for name in [name for name in holder if name not in known]:
        passed = await passed_notes(guard, ctx, holder[name])
        if passed.blocked is not None:
            return {one: value for one, value in holder.items() if one in known}, passed.blocked
        if passed.notes is not holder[name]:
            shown = {one: value for one, value in shown.items() if one != name}
            shown |= {name: passed.notes} if passed.notes else {}
    return shown, None


class GuardOutput:
    """Asks the guardrail about texts of an answer."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps
        self._trouble = GuardTrouble(deps, "guard_output")

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
            self._trouble.note(exc, ctx.plan.policy, ctx.plan.guard_policy)
            if ctx.plan.guard_output == "enforce" and not ctx.plan.fail_open:
                raise not_checked("answer", exc, late=is_late(ctx), guard_policy=ctx.plan.guard_policy) from exc
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
        shown, _ = await passed_fields(self, ctx, answer, OF_ANSWER)
        return {**shown, "choices": choices}

    async def _choice(self, ctx: RequestContext, choice: dict[str, Any]) -> dict[str, Any]:
        message = choice.get("message")
        choice, _ = await passed_fields(self, ctx, choice, OF_CHOICE)
        if not isinstance(message, dict):
            text = await self.check(ctx, choice.get("text") or "", whole=True)
            return _told({**choice, "text": text.text}, choice, blocked=text.blocked)
        choice = {name: value for name, value in choice.items() if name != "text"}  # a message is the answer
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
        shown = {**choice, "message": out}
        if calls and not passed:
            shown["finish_reason"] = "stop"
        if blocked:
            out = {name: out[name] for name in ("role", "content", "refusal") if name in out}
            shown["message"] = {**out, "content": out.get("content") or ""}
        return _told(shown, choice, blocked=blocked)

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
        if message.get(NOTES):
            passed = await passed_notes(self, ctx, message[NOTES])
            message[NOTES] = passed.notes or []
            blocked = blocked or passed.blocked is not None
        return blocked

    async def judge_shown(self, ctx: RequestContext, text: str) -> None:
        """Note what is to be said of a whole answer that has been shown already; without a verdict it is marked unchecked."""
        if not text:
            return
        try:
            verdict = await self._ask(ctx, text, whole=True)
        except SluiceError as exc:
            self._trouble.note(exc, ctx.plan.policy, ctx.plan.guard_policy)
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


def _told(shown: dict[str, Any], choice: dict[str, Any], *, blocked: bool) -> dict[str, Any]:
    # Log-probabilities spell the answer token by token: what was taken out of it would still stand there.
    if blocked:
        shown = {**shown, "finish_reason": "content_filter", "logprobs": None}
    if all(shown.get(name) == choice.get(name) for name in ("text", "message")):
        return shown
    return {name: None if name in SPELT else value for name, value in shown.items()}
