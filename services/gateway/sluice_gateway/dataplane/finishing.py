"""Finishing: a whole answer that nobody waits for any more is read to its end, for the counts that stand there.

Its provider charges for it whether or not the connection is closed, and nobody else knows how long it became. It is waited for within
bounds; until then it keeps what it has of limits, and its deployment counts it. Beyond them it is charged as long as it may have become.
"""

import logging
import math

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.limiter import Limiter
from sluice_gateway.dataplane.media import units_of
from sluice_gateway.dataplane.stages.attempt import AttemptFailed, Attempts, is_callers_own, is_late
from sluice_gateway.dataplane.stages.record import aside, record
from sluice_gateway.dataplane.stages.settle import take_whole
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.upstream import Call, Reason, Rest, UpstreamReply
from sluice_gateway.dataplane.worst_case import worst_case

_log = logging.getLogger(__name__)
_ENGINES = frozenset({"llamacpp", "vllm"})  # they stop when their caller leaves, and send nobody a bill
_FASTEST = 1000  # tokens of one answer in a second


class GivenUp:
    """One answer that nobody waits for; `blamed` says that it is charged even when nobody knows how long it became."""

    def __init__(
        self, owner: "Finishing", ctx: RequestContext, entry: ModelEntry, state: DeploymentState, *, blamed: bool
    ) -> None:
        self.ctx, self.entry, self.state, self.blamed = ctx, entry, state, blamed
        self.rest: Rest | None = None
        self.ended: float | None = None
        self.outcome: UpstreamReply | Reason | None = None
        self._owner = owner

    def end(self, now: float) -> None:
        """Note when the request ended; it is recorded now if all is known, else later."""
        self.ended = now
        if self.outcome is not None:
            self._owner.settle(self, self.outcome)

    def came(self, outcome: UpstreamReply | Reason) -> None:
        """Take what came of the call."""
        self.outcome = outcome
        self._owner.over(self)
        if self.ended is not None:
            self._owner.settle(self, outcome)


class Finishing:
    """All answers that nobody waits for."""

    def __init__(self, deps: DataPlaneDeps, attempts: Attempts, limits: Limiter) -> None:
        self._clock, self._usage, self._outcomes = deps.clock, deps.usage, deps.metrics.given_up
        self._attempts = attempts
        self._limits = limits
        self._seconds, self._most = deps.options.given_up_s, deps.options.given_up_answers
        self._open: set[GivenUp] = set()
        deps.metrics.finishing.set_function(lambda: float(len(self._open)))

    def __len__(self) -> int:
        return len(self._open)

    def take(
        self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState, call: Call | None, reason: Reason
    ) -> None:
        """Take over the rest of a call that nobody waits for, if it has one: cancelled, or out of time.

        It belongs to the request's own record if that ends with it: the client has left, its deadline has passed, or the process
        is stopped. What another deployment answers instead, or a retry, has a record beside it.
        """
        rest = None if call is None else call.rest
        if call is None or rest is None:
            return
        call.rest = None
        beaten = ctx.race is not None and ctx.race.over
        own = ctx.given_up is None and not beaten and (reason == "cancelled" or is_late(ctx))
        slow = not own and reason == "timeout" and not is_late(ctx) and not is_callers_own(ctx, state)
        if ctx.body.stream or ctx.endpoint.counts or (slow and state.config.provider in _ENGINES):
            rest.close()
            return
        alone = ctx
        if not own:
            alone = aside(ctx, "timeout" if reason == "timeout" else "hedge")
            alone.reservation = self._limits.part(ctx, entry, second=ctx.race is not None and ctx.race.second)
        one = GivenUp(self, alone, entry, state, blamed=not slow)
        if ctx.race is not None:
            ctx.race.calls.pop(state, None)
        if own:
            ctx.given_up = one
        else:
            one.ended = self._clock.monotonic()
        self._keep(one, rest)

    def _keep(self, one: GivenUp, rest: Rest) -> None:
        one.state.in_flight += 1
        self._open.add(one)
        if self._seconds <= 0 or len(self._open) > self._most:
            self._give_up(one, rest)
        else:
            one.rest = rest
            rest.take(self._seconds, one.came)

    def _give_up(self, one: GivenUp, rest: Rest) -> None:
        rest.close()
        one.came("timeout")

    def close(self) -> None:
        """Wait for none any more."""
        self._most = 0
        for one in list(self._open):
            if one.rest is not None:
                self._give_up(one, one.rest)

    def over(self, one: GivenUp) -> None:
        """Note that a call has ended."""
        self._open.discard(one)
        one.state.in_flight -= 1

    def settle(self, one: GivenUp, outcome: UpstreamReply | Reason) -> None:
        """Record a request that has ended, with what came of its call."""
        ctx, now = one.ctx, self._clock.monotonic()
        ctx.uncounted = outcome == "timeout" and one.blamed
        if isinstance(outcome, UpstreamReply):
            try:
                self._count(one, outcome)
            except Exception:  # noqa: BLE001 - the top of what nobody waits for: what it holds of limits must come back
                _log.exception("an answer that was given up could not be read")
                ctx.uncounted = True
        if ctx.uncounted:
            ctx.chunks = _longest(ctx, one.entry, now - ctx.started)
        self._outcomes.labels("counted" if ctx.answering else "estimated" if ctx.uncounted else "failed").inc()
        if ctx.given_up is not one and not (ctx.answering or ctx.uncounted):
            if ctx.reservation is not None:
                ctx.reservation.settle(0, 0)
            return  # a failure beside the answer costs nothing, and has no record
        ctx.model, ctx.deployment = one.entry, one.state
        try:
            record(ctx, self._usage, now if one.ended is None else one.ended)
        except DependencyUnavailable:
            _log.warning(
                "an answer that was given up could not be recorded", extra={"request_id": ctx.heads.request_id}
            )
        finally:
            ctx.deployment = None  # whoever answers a request gives back what it has of one

    def _count(self, one: GivenUp, reply: UpstreamReply) -> None:
        # What was refused, or failed, costs nothing, as it would if somebody had waited for it.
        ctx = one.ctx
        try:
            found = self._attempts.judge(ctx, one.entry, one.state, reply)
        except (ApiError, AttemptFailed):
            return
        if found is None:
            return
        if ctx.endpoint.shape is not None:
            found = ctx.endpoint.shape(found, ctx.fields)
        if ctx.endpoint.is_media:
            ctx.units = units_of(ctx.endpoint.kind, ctx.fields, found, 0 if ctx.form is None else ctx.form.size)
        take_whole(ctx, found)
        ctx.answering = True


def _longest(ctx: RequestContext, entry: ModelEntry, seconds: float) -> int:
    # Tokens that an answer can have come to in so many seconds.
    kind, sampling = ctx.endpoint.kind, ctx.plan.sampling
    if ctx.endpoint.is_media and entry.unit_prices is not None:
        return 0  # it is charged by what was asked for
    bound = None if sampling is None else sampling.max_tokens
    worst = worst_case(entry, kind, ctx.fields, 0, plain=True, most=bound)
    answer = worst.tokens - worst.prompt
    if kind != "chat":
        return answer
    choices: int = ctx.fields.get("n") or 1
    return min(answer, math.ceil(seconds * _FASTEST) * choices)
