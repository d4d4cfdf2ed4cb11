"""The guardrail's REST API."""

import asyncio
import time

from fastapi import APIRouter, Response

from sluice.auth import CallerDep
from sluice.clients.deadline import deadline_in, remaining
from sluice.contracts.guard import CheckRequest, InputVerdict, OutputVerdict, PolicyListing, PolicySummary
from sluice.errors import DeadlineExceeded, Unauthorized, problem_responses
from sluice.telemetry import names
from sluice_guardrail.domain.check import check, require_size
from sluice_guardrail.domain.errors import AmbiguousText, TooMuchText, UnknownPolicy
from sluice_guardrail.wiring import DepsDep

router = APIRouter(tags=["guardrail"])


@router.post(
    "/check",
    summary="May this text go on, and what may go on in its place?",
    response_model=InputVerdict | OutputVerdict,
    responses=problem_responses(Unauthorized, UnknownPolicy, AmbiguousText, TooMuchText, DeadlineExceeded),
)
async def check_text(body: CheckRequest, caller: CallerDep, deps: DepsDep) -> Response:
    """Check an input before a model sees it, or an output before the caller does, against a policy of guard.yaml."""
    policy = deps.policies.current.get(body.policy)
    size = require_size(body, deps.settings.max_characters)
    started = time.perf_counter()
    with (
        deadline_in(deps.settings.max_check_s),
        deps.tracing.span(f"guard {body.stage}", attributes={names.TENANT: caller.tenant}) as span,
    ):
        if size > deps.settings.thread_characters:
            verdict = await asyncio.to_thread(check, body, policy, _checkpoint, deps.head)
        else:
            verdict = check(body, policy, _checkpoint, deps.head)
        span.set_attribute(names.GUARD_ISSUES, verdict.issues)
    deps.metrics.checked(verdict, size, time.perf_counter() - started)
    return Response(verdict.model_dump_json(), media_type="application/json")


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


def _checkpoint() -> None:
    remaining(1.0)
