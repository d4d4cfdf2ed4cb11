"""The guardrail's REST API."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi import APIRouter, Response

from sluice.auth import Caller, CallerDep
from sluice.clients.deadline import deadline_in, remaining
from sluice.contracts.guard import (
    ApprovedCall,
    BatchCheckRequest,
    BatchVerdicts,
    CheckRequest,
    ConfirmApproval,
    DryRunReply,
    DryRunRequest,
    InputVerdict,
    OutputVerdict,
    PolicyListing,
    PolicySummary,
    RedactReply,
    RedactRequest,
    RestoreReply,
    RestoreRequest,
)
from sluice.errors import DeadlineExceeded, Unauthorized, problem_responses
from sluice.telemetry import names
from sluice_guardrail.adapters.asked_beside import AskedBeside
from sluice_guardrail.domain.asking import asks_models
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.dry_run import dry_run, tried_policy
from sluice_guardrail.domain.errors import (
    AmbiguousText,
    TooMuchText,
    UnknownPolicy,
    UnreadableApproval,
    UnreadableVault,
    WrongPolicy,
)
from sluice_guardrail.domain.policy import NamedPolicy
from sluice_guardrail.domain.redacting import counted, masked, restored
from sluice_guardrail.domain.scanning import DetectorRun, Tools
from sluice_guardrail.domain.size import require_size
from sluice_guardrail.domain.verdict_log import is_logged, line_of
from sluice_guardrail.wiring import Deps, DepsDep

T = TypeVar("T")
_log = logging.getLogger(__name__)

router = APIRouter(tags=["guardrail"])


@router.post(
    "/check",
    summary="May this text go on, and what may go on in its place?",
    response_model=InputVerdict | OutputVerdict,
    responses=problem_responses(Unauthorized, UnknownPolicy, AmbiguousText, TooMuchText, DeadlineExceeded),
)
async def check_text(body: CheckRequest, caller: CallerDep, deps: DepsDep) -> Response:
    """Check an input before a model sees it, or an output before the caller does, against a policy of guard.yaml."""
    (verdict,) = await _verdicts((body,), caller, deps)
    return Response(verdict.model_dump_json(), media_type="application/json")


@router.post(
    "/check/batch",
    summary="May these texts go on?",
    response_model=BatchVerdicts,
    responses=problem_responses(Unauthorized, UnknownPolicy, AmbiguousText, TooMuchText, DeadlineExceeded),
)
async def check_batch(body: BatchCheckRequest, caller: CallerDep, deps: DepsDep) -> Response:
    """Check up to 64 inputs and outputs at once; the limits on size and time are for all of them together."""
    reply = BatchVerdicts(data=await _verdicts(body.checks, caller, deps))
    return Response(reply.model_dump_json(), media_type="application/json")


@router.post(
    "/redact",
    summary="Put placeholders in the place of personal data and secrets",
    responses=problem_responses(Unauthorized, UnknownPolicy, AmbiguousText, TooMuchText, DeadlineExceeded),
)
async def redact_text(body: RedactRequest, caller: CallerDep, deps: DepsDep) -> RedactReply:
    """Mask what the policy's detectors find, and return the values in a sealed vault that POST /restore opens."""
    policy = deps.policies.current.get(body.policy)
    size = require_size(body, deps.settings.max_characters)
    with deadline_in(deps.settings.max_check_s), deps.tracing.span("redact", attributes={names.TENANT: caller.tenant}):
        verdict = await _run(size, deps, lambda: masked(body, policy, _checkpoint, Tools(names=deps.names)))
    sealed = deps.seal.seal(verdict.vault, caller.tenant)
    return RedactReply(
        text=verdict.filtered_input,
        segments=verdict.filtered_segments,
        counts=counted(verdict.vault),
        vault=sealed.token,
        expires_at=sealed.expires_at,
        policy=policy.name,
        policy_hash=policy.hash,
    )


@router.post(
    "/restore",
    summary="Put the values of a vault back",
    responses=problem_responses(Unauthorized, AmbiguousText, TooMuchText, UnreadableVault),
)
async def restore_text(body: RestoreRequest, caller: CallerDep, deps: DepsDep) -> RestoreReply:
    """Put the values back into a text with placeholders; in JSON strings they are escaped."""
    size = require_size(body, deps.settings.max_characters)
    entries = deps.seal.open(body.vault, caller.tenant)
    return await _run(size, deps, lambda: restored(body, entries))


@router.post(
    "/v1/guard/approvals/confirm",
    summary="Confirm a tool call that waits",
    responses=problem_responses(Unauthorized, UnreadableApproval),
)
async def confirm_call(body: ConfirmApproval, caller: CallerDep, deps: DepsDep) -> ApprovedCall:
    """Say that a person allows the call, and return it; who confirmed it is logged."""
    waiting = deps.approvals.open(body.approval, caller.tenant)
    deps.metrics.approved.labels(waiting.risk).inc()
    _log.info(
        "tool call %s of %r confirmed for tenant %s by %s", waiting.id, waiting.name, caller.tenant, caller.subject
    )
    return ApprovedCall(
        id=waiting.id,
        name=waiting.name,
        arguments=waiting.arguments,
        kind=waiting.kind,
        risk=waiting.risk,
        policy=waiting.policy,
        approved_by=caller.subject,
        approved_at=deps.clock.now(),
        note=body.note,
    )


@router.get(
    "/policies",
    summary="Which policies are in force?",
    responses=problem_responses(Unauthorized),
)
async def list_policies(caller: CallerDep, deps: DepsDep) -> PolicyListing:
    """Return every policy with its hash, and what is wrong with a changed guard.yaml that was not taken over."""
    del caller
    current = deps.policies.current
    return PolicyListing(
        version=current.version,
        data=tuple(
            PolicySummary(
                name=policy.name, description=policy.rules.description, mode=policy.rules.mode, hash=policy.hash
            )
            for policy in current.policies.values()
        ),
        reload_error=deps.policies.error,
    )


@router.post(
    "/policies/dry-run",
    summary="What would this policy do?",
    responses=problem_responses(Unauthorized, UnknownPolicy, AmbiguousText, TooMuchText, DeadlineExceeded, WrongPolicy),
)
async def try_policy(body: DryRunRequest, caller: CallerDep, deps: DepsDep) -> DryRunReply:
    """Count what a policy that is not in force would do with up to 1,000 checks, beside what the one in force does."""
    del caller
    tried, current = tried_policy(body, deps.policies.asked_in_vain), deps.policies.current
    _require_sizes(body.checks, deps.settings.max_characters)
    loop = asyncio.get_running_loop()

    def judge(one: CheckRequest, policy: NamedPolicy) -> InputVerdict | OutputVerdict:
        return _judged(one, policy, deps, judges=_beside(one, policy, deps, loop))

    with deadline_in(deps.settings.max_dry_run_s):
        return await asyncio.to_thread(dry_run, body, tried, current, judge)


async def _verdicts(
    checks: Sequence[CheckRequest], caller: Caller, deps: Deps
) -> tuple[InputVerdict | OutputVerdict, ...]:
    policies = [deps.policies.current.get(one.policy) for one in checks]
    sizes = _require_sizes(checks, deps.settings.max_characters)
    verdicts = []
    with deadline_in(deps.settings.max_check_s):
        for one, policy, size in zip(checks, policies, sizes, strict=True):
            verdicts.append(await _verdict(one, policy, size, caller, deps))
    return tuple(verdicts)


def _require_sizes(checks: Sequence[CheckRequest], left: int) -> list[int]:
    sizes = []
    for one in checks:
        sizes.append(require_size(one, left))
        left -= sizes[-1]
    return sizes


async def _verdict(
    body: CheckRequest, policy: NamedPolicy, size: int, caller: Caller, deps: Deps
) -> InputVerdict | OutputVerdict:
    started = time.perf_counter()
    with deps.tracing.span(f"guard {body.stage}", attributes={names.TENANT: caller.tenant}) as span:
        runs: list[DetectorRun] = []
        judges = _beside(body, policy, deps, asyncio.get_running_loop())
        if judges is not None:
            # The check waits in its own thread for models, which are asked in this loop.
            verdict = await asyncio.to_thread(_judged, body, policy, deps, runs.append, judges, caller.tenant)
        else:
            verdict = await _run(size, deps, lambda: _judged(body, policy, deps, runs.append, None, caller.tenant))
        span.set_attribute(names.GUARD_ISSUES, verdict.issues)
        if is_logged(verdict, deps.settings.log_verdicts):
            _log.info("verdict", extra=line_of(body, verdict, deps.hashes.of, caller.tenant))
    deps.metrics.checked(verdict, size, time.perf_counter() - started, runs)
    if isinstance(verdict, OutputVerdict) and verdict.tool_calls:
        return deps.approvals.sealed(verdict, body, caller.tenant)
    return verdict


def _beside(body: CheckRequest, policy: NamedPolicy, deps: Deps, loop: asyncio.AbstractEventLoop) -> AskedBeside | None:
    if not asks_models(body, policy.rules):
        return None
    limit_ms = policy.rules.deadline_ms or deps.settings.max_check_s * 1000
    return AskedBeside(deps.models, loop, limit_ms / 1000)


def _judged(
    body: CheckRequest,
    policy: NamedPolicy,
    deps: Deps,
    note: Callable[[DetectorRun], object] = lambda run: None,
    judges: AskedBeside | None = None,
    tenant: str | None = None,
) -> InputVerdict | OutputVerdict:
    scanned, ends = (_over(limit) for limit in (policy.rules.scan_ms, policy.rules.deadline_ms))
    return check(
        body,
        policy,
        _checkpoint,
        deps.heads,
        Tools(
            deps.languages,
            scanned,
            ends,
            time.perf_counter,
            note,
            judges,
            deps.names,
            None if tenant is None else deps.remembered,
            tenant or "",
        ),
    )


def _over(limit_ms: int | None) -> Callable[[], bool]:
    if limit_ms is None:
        return lambda: False
    ends = time.monotonic() + limit_ms / 1000
    return lambda: time.monotonic() > ends


async def _run(size: int, deps: Deps, work: Callable[[], T]) -> T:
    # What takes long runs in a thread, so that short questions need not wait for it.
    return await asyncio.to_thread(work) if size > deps.settings.thread_characters else work()


def _checkpoint() -> None:
    remaining(1.0)
