"""Retry: when every deployment that may answer has failed, wait and ask them again, within deadline and budget."""

import asyncio
import random

from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import Gone
from sluice_gateway.domain.retries import RetryOutcome, pause


class Retries:
    """Decides on retries. What a deployment would answer again (a refusal, a wrong credential) is not retried."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps

    async def wait(self, ctx: RequestContext, tries: int) -> None:
        """Wait for the right moment of the next round, and open the deployments that may be asked in it.

        Raises:
            ApiError: the last failure, when there is no further round.
            Gone: the client went away.
        """
        failure = ctx.failure
        assert failure is not None
        options, metrics = self._deps.options, ctx.chain[0].metrics
        asked = ctx.tried or frozenset()
        attempts = ctx.plan.attempts
        rounds = options.retries if attempts.retries is None else attempts.retries
        if tries >= rounds or ctx.attempts >= attempts.most or asked <= ctx.hopeless:
            raise failure
        seconds = self._rest_s(ctx) + pause(tries, options.retry_base_s, options.retry_cap_s, random.random())  # noqa: S311 - jitter
        outcome: RetryOutcome = "made"
        if seconds > options.retry_patience_s or self._is_too_late(ctx, seconds):
            outcome = "no_time"
        elif not metrics.retries.take(self._deps.clock.monotonic(), metrics.answered(), options.retry_share):
            outcome = "no_budget"
        metrics.retry(outcome)
        if outcome != "made":
            raise failure
        await asyncio.sleep(seconds)
        if ctx.gone:
            raise Gone
        ctx.tried = ctx.hopeless

    def _rest_s(self, ctx: RequestContext) -> float:
        # A deployment that asked for a pause gets it; one that failed may be asked at once.
        now = self._deps.clock.monotonic()
        waits = [
            0.0 if state.failures else max(0.0, state.paused_until - now)
            for entry in ctx.chain
            for state in entry.open_to(ctx.key.regions)
            if state.id not in ctx.hopeless
        ]
        return min(waits, default=0.0)

    def _is_too_late(self, ctx: RequestContext, seconds: float) -> bool:
        return ctx.deadline is not None and asyncio.get_running_loop().time() + seconds >= ctx.deadline
