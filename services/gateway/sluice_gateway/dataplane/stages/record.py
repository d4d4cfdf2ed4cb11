"""Record: write the request's usage into the journal, before the last bytes of its answer go out."""

from copy import copy
from typing import Literal

from sluice.contracts.usage import UsageStatus
from sluice_gateway.dataplane.context import Heads, RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.randomness import fresh_hex
from sluice_gateway.dataplane.stages.settle import Settlement, settle_request
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.domain.leases import nano_dollars
from sluice_gateway.domain.ports import UsageFields, UsageSink

_TENANT, _TTFT, _ISSUES = map(UsageFields._fields.index, ("tenant", "ttft_ms", "guard_issues"))
_FREE = Settlement(0, 0, exact=True, cost_usd=0.0)
_LONGEST_USER = 128
_LONGEST_NAMED = 57  # with "-repair" as long as a request id may be
Beside = Literal["hedge", "repair", "timeout"]
_BESIDE: dict[Beside, tuple[UsageStatus, int, str]] = {
    "hedge": ("cancelled", 499, "hedge_lost"),
    "timeout": ("error", 504, "answer_timeout"),
    "repair": ("error", 502, "structured_output_repaired"),
}


def event_id(heads: Heads) -> str:
    """Return the event's id, which must be unique: it follows from a request id of ours, but not from one of the client's."""
    return "evt_" + (fresh_hex() if heads.named_by_client else heads.request_id[4:])


def event_of(ctx: RequestContext, bill: Settlement, ended: float, life: str) -> UsageFields:
    """Return the usage event of a request that ends at `ended` (the clock of `ctx.started`) in a life of this process."""
    key, model, deployment = ctx.key, ctx.model, ctx.deployment
    end_user = ctx.fields.get("user")
    if end_user is not None:
        end_user = end_user[:_LONGEST_USER] if type(end_user) is str else None
    # By position: with names, building this object takes twice as long; and in two tuples, since one of more than 30 is made as a list first.
    asked = (
        event_id(ctx.heads),
        ctx.heads.request_id,
        ctx.at,
        key.tenant,
        key.key_id,
        ctx.endpoint.path,
        model.name if model is not None else ctx.body.model,
        ctx.status,
        ctx.http_status,
        ctx.route.name if ctx.route is not None else None,
        deployment.id if deployment is not None else None,
        ctx.error_code,
        ctx.body.stream,
        bill.prompt_tokens,
        bill.completion_tokens,
        bill.exact,
        bill.cost_usd,
    )
    came = (
        ctx.ttft * 1000 if ctx.ttft is not None else None,
        (ended - ctx.started) * 1000,
        ctx.guard_issues,
        len(ctx.citations),
        ctx.trace_id,
        1,
        life,
        key.organization_id,
        key.team_id,
        end_user,
        None if bill.details is None else bill.details[:-1],
        None if model is None else model.price_source,
        ctx.user_type,
        ctx.tags,
        ctx.prompt,
        ctx.prompt_version,
    )
    return UsageFields._make(asked + came)


def record_beside(
    ctx: RequestContext,
    model: ModelEntry,
    state: DeploymentState,
    bill: Settlement,
    usage: UsageSink,
    ended: float,
    why: Beside,
) -> None:
    """Write down what an answer cost besides the one that the client gets; it is charged with the request.

    `hedge`: another deployment was faster. `repair`: it had not the demanded form, and the model was asked again.

    Raises:
        DependencyUnavailable: the journal cannot be written.
    """
    ctx.lost_tokens += bill.prompt_tokens + bill.completion_tokens
    ctx.lost_money += nano_dollars(bill.cost_usd or 0.0)
    event = event_of(ctx, bill, ended, usage.life)
    status, http_status, code = _BESIDE[why]
    usage.record(
        event._replace(
            event_id="evt_" + fresh_hex(),
            request_id=f"{ctx.heads.request_id[:_LONGEST_NAMED]}-{why}",
            model=model.name,
            deployment=state.id,
            status=status,
            http_status=http_status,
            error_code=code,
            ttft_ms=None,
        )
    )


def aside(ctx: RequestContext, why: Beside) -> RequestContext:
    """Return a call of a request as a request of its own, for one that is still under way: it is recorded by itself, for `why` as above.

    `timeout`: it took longer than was allowed for one attempt.
    """
    alone = copy(ctx)
    alone.heads = ctx.heads._replace(request_id=f"{ctx.heads.request_id[:_LONGEST_NAMED]}-{why}", named_by_client=True)
    alone.status, alone.http_status, alone.error_code = _BESIDE[why]
    alone.reservation = alone.given_up = alone.usage = alone.ttft = None
    alone.lost_tokens = alone.lost_money = alone.chunks = 0
    return alone


def record_again(ctx: RequestContext, usage: UsageSink, ended: float, row: UsageFields) -> None:
    """Write down a request that is answered from memory as the one of `row` was: no model worked for it.

    Raises:
        DependencyUnavailable: as `record`.
    """
    if ctx.reservation is not None:
        ctx.reservation.settle(0, 0)
        ctx.reservation = None
    heads, ttft = ctx.heads, ctx.ttft
    first_word = None if ttft is None else ttft * 1000
    own = event_id(heads), heads.request_id, ctx.at
    took = (ended - ctx.started) * 1000
    event = UsageFields._make((*own, *row[_TENANT:_TTFT], first_word, took, *row[_ISSUES:]))
    usage.record(event if ctx.trace_id is None else event._replace(trace_id=ctx.trace_id))
    ctx.recorded = True
    if ctx.user_type is not None:
        _count_for(ctx.user_type, ctx, ended, _FREE)


def record(ctx: RequestContext, usage: UsageSink, ended: float) -> Settlement:
    """Settle the request and write it down, once; later calls change nothing.

    Raises:
        DependencyUnavailable: the journal cannot be written; the request must not end as a success.
    """
    bill = settle_request(ctx)
    if ctx.recorded:
        return bill
    if ctx.reservation is not None:  # also when the journal refuses: the model has done its work
        tokens, money = bill.prompt_tokens + bill.completion_tokens, nano_dollars(bill.cost_usd or 0.0)
        ctx.reservation.settle(tokens + ctx.lost_tokens, money + ctx.lost_money)
        ctx.reservation = None
    usage.record(event_of(ctx, bill, ended, usage.life))
    ctx.recorded = True
    ctx.cost = bill.cost_usd
    if ctx.model is not None and (bill.prompt_tokens or bill.completion_tokens):
        metrics = ctx.model.metrics
        metrics.input_tokens.value += bill.prompt_tokens
        metrics.output_tokens.value += bill.completion_tokens
        if bill.cost_usd is None:
            metrics.unpriced.value += 1
    if ctx.user_type is not None:
        _count_for(ctx.user_type, ctx, ended, bill)
    return bill


def _count_for(user_type: str, ctx: RequestContext, ended: float, bill: Settlement) -> None:
    if ctx.model is not None:
        tokens = bill.prompt_tokens, bill.completion_tokens
        ctx.model.metrics.of(user_type).observe(ctx.status, ended - ctx.started, ctx.ttft, tokens, bill.cost_usd)
