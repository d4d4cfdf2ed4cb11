"""Guard input: ask the guardrail about every text of the request before any of it leaves.

Enforced, the stage is awaited, may change the texts (redaction) or end the request (block). Observed, it runs beside
the rest of the path, changes nothing, and its issues are recorded.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.guard import MAX_SEGMENTS, MAX_TEXT, MAX_VAULT, CheckRequest, InputVerdict, Segment, VaultEntry
from sluice.errors import SluiceError
from sluice.masking import Vault, names_in
from sluice_gateway.dataplane.body import Fields, Kind
from sluice_gateway.dataplane.context import GuardOutcome, RequestContext
from sluice_gateway.dataplane.definitions import definitions, is_fixed
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.elsewhere import elsewhere
from sluice_gateway.dataplane.errors import Blocked, InvalidRequest, not_checked, unchecked
from sluice_gateway.dataplane.form import Form
from sluice_gateway.dataplane.naming import names
from sluice_gateway.dataplane.passages import Passages, without_blocked
from sluice_gateway.dataplane.stages.attempt import is_late
from sluice_gateway.dataplane.stages.guard_trouble import GuardTrouble
from sluice_gateway.dataplane.texts import Path, Piece, pieces, replaced
from sluice_gateway.dataplane.wants import modalities

CHECK_FAILED = "check_failed"
_VARIABLE = "variable"  # the guardrail's role for a user's words in a message that it trusts
_log = logging.getLogger(__name__)


class Judgement(NamedTuple):
    """What the verdicts on one request come to."""

    blocked: bool
    issues: tuple[str, ...]
    changes: list[tuple[Path, str]]
    vault: tuple[VaultEntry, ...] = ()
    rules: str = ""


def requests_for(found: Sequence[Piece], policy: str, kind: Kind | None = None) -> list[CheckRequest]:
    """Return the questions to the guardrail: one, or several when there are more texts than fit into one; only those of a chat are turns.

    Raises:
        InvalidRequest: a text is longer than the guardrail reads.
    """
    for piece in found:
        if len(piece.text) > MAX_TEXT:
            raise InvalidRequest(
                f"One text has more than {MAX_TEXT} characters, which is more than can be checked. Shorten it.",
                code="text_too_long",
            )
    segments = [Segment(id=str(index), role=piece.role, text=piece.text) for index, piece in enumerate(found)]
    turns = None if kind == "chat" or len(segments) == 1 else False
    return [
        CheckRequest(stage="input", segments=tuple(segments[start : start + MAX_SEGMENTS]), policy=policy, turns=turns)
        for start in range(0, len(segments), MAX_SEGMENTS)
    ]


def judge(found: Sequence[Piece], verdicts: Sequence[InputVerdict]) -> Judgement:
    """Combine the verdicts: blocked if one blocks, else the texts that the guardrail changed.

    A verdict that is not safe or that leaves a text out blocks: what was not let pass does not pass.
    """
    issues = tuple(dict.fromkeys(issue for verdict in verdicts for issue in verdict.issues))
    filtered = {segment.id: segment.text for verdict in verdicts for segment in (verdict.filtered_segments or ())}
    complete = all(str(index) in filtered for index in range(len(found)))
    if not complete or not all(verdict.safe for verdict in verdicts):
        return Judgement(blocked=True, issues=issues, changes=[])
    changes = [
        (piece.path, filtered[str(index)])
        for index, piece in enumerate(found)
        if filtered[str(index)] != piece.text and piece.role != _VARIABLE  # its message is what is changed
    ]
    # Each question knows the placeholders of those before it, so the last verdict that masks knows all.
    vault = next((verdict.vault for verdict in reversed(verdicts) if verdict.vault), ())
    rules = verdicts[0].policy_hash if verdicts else ""
    return Judgement(blocked=False, issues=issues, changes=changes, vault=vault, rules=rules)


def refusal_of_fixed(found: Sequence[Piece], judgement: Judgement, *, of_form: bool = False) -> InvalidRequest | None:
    """Return the refusal of a request whose names of tools and properties, or allowed values, the policy would change, if there are such: a schema stays as it was written, and of a form all but its prompt."""
    fixed = {piece.path for piece in found if is_fixed(piece)}
    for path, _ in judgement.changes:
        if of_form and path[0] != "prompt":
            return InvalidRequest(
                f"`{path[0]}` holds what the content policy takes out ({', '.join(judgement.issues)}), and of a form only the `prompt` can be changed. Write it otherwise, or leave it out.",
                param=str(path[0]),
                code="definition_refused",
            )
        if path in fixed:
            holder = path[0] if len(path) == 1 else f"{path[0]}[{path[1]}]"
            return InvalidRequest(
                f"A name or an allowed value in `{holder}` holds what the content policy takes out ({', '.join(judgement.issues)}), and names and allowed "
                "values of a schema cannot be changed. Write it otherwise, or say it in a description.",
                param=str(path[0]),
                code="definition_refused",
            )
    return None


def reserved(found: Sequence[Piece]) -> tuple[VaultEntry, ...]:
    """Return what looks like a placeholder in the texts of a request as standing for itself: for texts that several questions carry."""
    names = sorted(names_in(piece.text for piece in found))[:MAX_VAULT]
    return tuple(VaultEntry(placeholder=f"<{name}>", value=f"<{name}>") for name in names)


def let_unchecked(ctx: RequestContext, deps: DataPlaneDeps) -> None:
    """Mark a request of which a part goes on without a verdict, and count it once."""
    if ctx.goes_unchecked():
        deps.metrics.unchecked.inc()


def let_pass_unread(ctx: RequestContext, deps: DataPlaneDeps) -> None:
    """Mark a request whose pictures, sound or files no guard reads.

    Raises:
        InvalidRequest: the policy fails closed.
    """
    if not ctx.plan.fail_open:
        raise unchecked()
    let_unchecked(ctx, deps)


def note_failures(ctx: RequestContext, deps: DataPlaneDeps, issues: Sequence[str]) -> None:
    """Mark a request that was let pass although a detector gave no verdict, as its rules say (`on_error: open`)."""
    if CHECK_FAILED in issues:
        let_unchecked(ctx, deps)


def refuse_unreadable(fields: Fields, kind: Kind) -> None:
    """Refuse prompts given as token numbers: a guard reads words.

    Raises:
        InvalidRequest: the prompt or input holds token numbers.
    """
    if kind not in ("completion", "embedding"):
        return
    name = "prompt" if kind == "completion" else "input"
    value = fields[name]
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        raise InvalidRequest(
            f"`{name}` holds token numbers, which the policy of this model cannot check. Send text.", param=name
        )


def blocked_error(issues: Sequence[str]) -> Blocked:
    """Return the refusal of a blocked input; it names the issues and never the text."""
    if set(issues) == {CHECK_FAILED}:
        return Blocked(
            "The input could not be checked in full (check_failed: a detector was late or failed), and the policy lets nothing pass unchecked. "
            "Send a shorter text, or try again."
        )
    named = ", ".join(issues) or "policy"
    return Blocked(f"The input was refused by the content policy ({named}). Change the request and send it again.")


class GuardInput:
    """The stage in its two modes."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps
        self._trouble = GuardTrouble(deps, "guard_input")

    async def enforce(self, ctx: RequestContext) -> None:
        """Ask, then change the request or end it.

        Raises:
            Blocked: the guardrail refused.
            Unavailable: it could not be asked, and the policy fails closed.
        """
        refuse_unreadable(ctx.fields, ctx.endpoint.kind)
        if ctx.form is not None or modalities(ctx.fields):
            let_pass_unread(ctx, self._deps)
        ctx.pieces = pieces(ctx.fields, ctx.endpoint.kind)
        found = _all_texts(ctx, ctx.pieces)
        try:
            judgement = await self._ask(ctx, found)
        except SluiceError as exc:
            self._trouble.note(exc, ctx.plan.policy, ctx.plan.guard_policy)
            if not ctx.plan.fail_open:
                raise not_checked("input", exc, late=is_late(ctx), guard_policy=ctx.plan.guard_policy) from exc
            let_unchecked(ctx, self._deps)
            return
        ctx.flag(judgement.issues)
        if judgement.blocked:
            ctx.judged("blocked")
            raise blocked_error(judgement.issues)
        if (refusal := refusal_of_fixed(found, judgement, of_form=ctx.form is not None)) is not None:
            ctx.judged("blocked")
            raise refusal
        ctx.judged(_outcome(judgement))
        ctx.guard_rules = judgement.rules
        note_failures(ctx, self._deps, judgement.issues)
        # What was checked is what is sent: the bytes are written anew from the checked texts.
        ctx.changed = True
        if judgement.vault:
            ctx.vault = Vault(judgement.vault)
        if judgement.changes:
            ctx.fields = replaced(ctx.fields, judgement.changes)
            ctx.pieces = pieces(ctx.fields, ctx.endpoint.kind)

    async def context(self, ctx: RequestContext) -> None:
        """Check what retrieval found before it enters the prompt: changed, or the passages left out that the policy blocks.

        A poisoned document costs the answer its passage, and not the user his answer.

        Raises:
            Unavailable: the guardrail could not be asked, and the policy fails closed.
        """
        try:
            with self._deps.tracing.span("guard context"):
                verdict = await self._ask_context(ctx)
                if not verdict.safe:
                    ctx.flag(verdict.issues)
                    ctx.judged("redacted")
                    kept = without_blocked(Passages(ctx.context_text, ctx.citations), verdict.details)
                    ctx.context_text, ctx.citations = kept
                    if not kept.text:
                        return
                    verdict = await self._ask_context(ctx)
        except SluiceError as exc:
            self._trouble.note(exc, ctx.plan.policy, ctx.plan.guard_policy)
            if ctx.plan.fail_open:
                let_unchecked(ctx, self._deps)
                return
            raise not_checked("evidence", exc, late=is_late(ctx), guard_policy=ctx.plan.guard_policy) from exc
        ctx.flag(verdict.issues)
        if not verdict.safe or not verdict.filtered_segments:
            ctx.context_text, ctx.citations = "", ()
            ctx.judged("redacted")
            return
        shown = verdict.filtered_segments[0].text
        if verdict.vault:
            ctx.vault = Vault(verdict.vault)
        note_failures(ctx, self._deps, verdict.issues)
        if shown != ctx.context_text:
            # the quotes are the documents' own characters, which the policy has just taken out
            ctx.citations = tuple(citation.model_copy(update={"quote": None}) for citation in ctx.citations)
            ctx.context_text = shown
            ctx.judged("masked" if verdict.vault else "redacted")
        elif verdict.issues and ctx.guard in (None, "passed"):
            ctx.guard = "flagged"

    async def _ask_context(self, ctx: RequestContext) -> InputVerdict:
        segment = Segment(id="0", role="context", text=ctx.context_text[:MAX_TEXT])
        known = reserved(ctx.pieces or ()) if ctx.vault is None else ctx.vault.entries
        asked = CheckRequest(stage="input", segments=(segment,), policy=ctx.plan.guard_policy, vault=known)
        return await self._deps.guard.check_input(
            asked, tenant=ctx.key.tenant, timeout_s=self._deps.options.stage_timeout_s
        )

    async def observe(self, ctx: RequestContext) -> None:
        """Start asking and go on; the end of the request waits for the issues."""
        found = _all_texts(ctx, pieces(ctx.fields, ctx.endpoint.kind))
        ctx.observer = asyncio.get_running_loop().create_task(self._note(ctx, found))

    async def _note(self, ctx: RequestContext, found: list[Piece]) -> None:
        try:
            judgement = await self._ask(ctx, found)
        except (SluiceError, InvalidRequest) as exc:
            self._trouble.note(exc, ctx.plan.policy, ctx.plan.guard_policy)
            return
        ctx.flag(judgement.issues)
        if ctx.guard is None:
            ctx.guard = "flagged" if judgement.issues else "passed"

    async def _ask(self, ctx: RequestContext, found: list[Piece]) -> Judgement:
        with self._deps.tracing.span("guard input", attributes={"sluice.guard.policy": ctx.plan.guard_policy}) as span:
            requests = requests_for(found, ctx.plan.guard_policy, ctx.endpoint.kind)
            verdicts: list[InputVerdict] = []
            vault = reserved(found) if len(requests) > 1 else ()
            for request in requests:
                asked = request.model_copy(update={"vault": vault}) if vault else request
                verdicts.append(
                    await self._deps.guard.check_input(
                        asked, tenant=ctx.key.tenant, timeout_s=self._deps.options.stage_timeout_s
                    )
                )
                vault = verdicts[-1].vault or vault
            judgement = judge(found, verdicts)
            span.set_attribute("sluice.guard.issues", judgement.issues)
            return judgement


def _all_texts(ctx: RequestContext, said: Sequence[Piece]) -> list[Piece]:
    # What stands elsewhere comes first, so that the last turn of a conversation stays the last.
    kind, fields = ctx.endpoint.kind, ctx.fields
    if ctx.form is not None:
        return [*elsewhere(_of_form(ctx.form), kind, said), *said]
    values = [Piece((), _VARIABLE, value) for value in ctx.prompt_values]
    called = names(fields) if kind == "chat" else ()
    return [*values, *elsewhere(fields, kind, said), *said, *called, *definitions(fields)]


def _of_form(form: Form) -> Fields:
    # A name may stand several times in a form, which goes on with all of them; the prompt is read by itself, and put in anew.
    found: dict[str, list[str]] = {}
    for text in form.texts:
        if text.name != "prompt":
            found.setdefault(text.name.removesuffix("[]"), []).append(text.value)
    return found


def _outcome(judgement: Judgement) -> GuardOutcome:
    if judgement.changes:
        return "masked" if judgement.vault else "redacted"
    return "flagged" if judgement.issues else "passed"
