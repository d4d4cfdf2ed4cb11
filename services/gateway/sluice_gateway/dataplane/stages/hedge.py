"""Hedge: ask a second deployment when the first takes long, and take the first good answer.

After J. Dean and L. A. Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013. It runs only for requests and
models that ask for it, never after the first event of a stream, and within the model's budget of retries.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState, choose
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import ApiError, Gone
from sluice_gateway.dataplane.limiter import Limiter
from sluice_gateway.dataplane.sse import usage_of
from sluice_gateway.dataplane.stages.attempt import Answer
from sluice_gateway.dataplane.stages.record import record_beside
from sluice_gateway.dataplane.stages.settle import settle, written
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.texts import pieces, size
from sluice_gateway.dataplane.upstream import Call

Attempt = Callable[[RequestContext, ModelEntry, DeploymentState], Coroutine[Any, Any, Answer | None]]


class Race:
    """The calls of one request that are under way at the same time; cancelling it cancels all."""

    def __init__(self) -> None:
        self.calls: dict[DeploymentState, Call] = {}
        self.second = self.over = False

    def joined(self, state: DeploymentState, call: Call) -> None:
        """Note the call to a deployment."""
        self.calls[state] = call

    def cancel(self) -> None:
        """Stop all calls."""
        for call in self.calls.values():
            call.cancel()


def hedge_after(ctx: RequestContext, entry: ModelEntry, state: DeploymentState) -> float | None:
    """Return the seconds after which a second deployment is asked, None for requests that are not hedged.

    A percentile counts once enough of the deployment's requests were watched.
    """
    attempts = ctx.plan.attempts
    if ctx.endpoint.counts or ctx.attempts + 1 >= attempts.most:
        return None
    said = entry.hedge_s
    if ctx.wishes is not None and ctx.wishes.hedge_s is not None:
        said = ctx.wishes.hedge_s
    if attempts.hedge_share is None:
        return said
    usual = state.watched(streamed=ctx.body.stream).quantile(attempts.hedge_share)
    return min((one for one in (said, usual) if one is not None), default=None)


class Hedge:
    """The stage; `attempt` asks one deployment and returns None when that failed."""

    def __init__(self, deps: DataPlaneDeps, limits: Limiter, attempt: Attempt) -> None:
        self._deps = deps
        self._limits = limits
        self._attempt = attempt

    async def __call__(
        self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState, after_s: float
    ) -> Answer | None:
        """Return the first good answer, None when every deployment that was asked failed.

        Raises:
            ApiError: a deployment refused the caller's parameters.
            Gone: the client went away.
        """
        race = Race()
        ctx.race = race
        first = asyncio.create_task(self._attempt(ctx, entry, state))
        tasks = {first: state}
        winner: DeploymentState | None = None
        over = False  # whether the request has its answer, or will have none
        try:
            done, _ = await asyncio.wait(tasks, timeout=after_s)
            other = None if done else self._other(ctx, entry, state)
            if other is not None:
                race.second = True
                tasks[asyncio.create_task(self._attempt(ctx, entry, other))] = other
            answer, winner = await _first_good(tasks)
            over = winner is not None
            if other is not None and winner is not None:
                entry.metrics.hedge("won" if winner is other else "lost")
        except (ApiError, Gone):
            over = True
            raise
        else:
            return answer
        finally:
            race.over = True
            lost = await self._end(ctx, race, tasks, winner)
            ctx.race = None
            if ctx.gone and winner is None:
                lost = lost[1:]  # one of the calls is charged as the request
            for one, outcome in lost if over else ():
                self._charge(ctx, entry, one, outcome)
            if winner is not None:
                ctx.model, ctx.deployment, ctx.call = entry, winner, race.calls[winner]
            else:
                ctx.deployment = None  # an answer may have come beside the refusal: it has been let go of

    def _other(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState) -> DeploymentState | None:
        # Of the same API, so that what goes out and comes back is translated in one way.
        now, options, metrics = self._deps.clock.monotonic(), self._deps.options, entry.metrics
        alike = [one for one in entry.open_to(ctx.key.regions) if type(one.provider) is type(state.provider)]
        other = choose(alike, now, (ctx.tried or frozenset()) | {state.id})
        if other is None:
            metrics.hedge("no_deployment")
        elif not metrics.retries.take(now, metrics.answered(), options.retry_share):
            metrics.hedge("no_budget")
        elif not self._limits.again(ctx, entry):
            metrics.hedge("no_limit")
        else:
            return other
        return None

    async def _end(
        self,
        ctx: RequestContext,
        race: Race,
        tasks: dict[asyncio.Task[Answer | None], DeploymentState],
        winner: DeploymentState | None,
    ) -> list[tuple[DeploymentState, Answer | None]]:
        # Whoever has not won is stopped at once; what it cost is somebody's money all the same. Whole answers are left to be counted.
        losers = {task: state for task, state in tasks.items() if state is not winner}
        stopped = {task for task in losers if task.cancel()}
        outcomes = await asyncio.gather(*losers, return_exceptions=True)
        lost: list[tuple[DeploymentState, Answer | None]] = []
        for (task, state), outcome in zip(losers.items(), outcomes, strict=True):
            answer = outcome if isinstance(outcome, Answer) else None
            if answer is not None:
                state.in_flight -= 1
                if answer.reply.stream is not None:
                    answer.reply.stream.close()
            worked = ctx.body.stream and (task in stopped or isinstance(outcome, Gone))
            if answer is not None or (worked and state in race.calls):
                lost.append((state, answer))
        return lost

    def _charge(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState, answer: Answer | None) -> None:
        found = None if answer is None else answer.json
        usage, chunks = (None, 0) if found is None else (usage_of(found), written(found))
        bill = settle(entry, usage, prompt_bytes=size(pieces(ctx.fields, ctx.endpoint.kind)), chunks=chunks)
        with suppress(DependencyUnavailable):  # the answer itself meets the same journal in a moment
            record_beside(ctx, entry, state, bill, self._deps.usage, self._deps.clock.monotonic(), "hedge")


async def _first_good(
    tasks: dict[asyncio.Task[Answer | None], DeploymentState],
) -> tuple[Answer | None, DeploymentState | None]:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            answer = task.result()
            if answer is not None:
                return answer, tasks[task]
    return None, None
