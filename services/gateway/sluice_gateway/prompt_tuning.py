"""Splits of prompts that tune themselves: what is measured of their versions, and the rounds that follow it."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from sluice.clock import Clock
from sluice.contracts.feedback import PromptVersionFeedback
from sluice.contracts.prompts import PromptObjective, PromptSplitState, PromptTuningState
from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.domain.prompt_tuning import Measured, Seen, TunedSplit, Verdict, judged, of_scores

_log = logging.getLogger(__name__)
_LONGEST_S = 30 * 86_400


class Outcomes(Protocol):
    """Where usage is; raises DependencyUnavailable while it is away."""

    async def outcomes(
        self, tenant: str, prompt: str, objective: PromptObjective, since: float, until: float
    ) -> tuple[dict[int, Seen], dict[int, Seen]]:
        """Return by version what an objective is measured by, and the form of answers."""
        ...


class Told(Protocol):
    """What is known of feedback by version; `missing` says why nothing is."""

    @property
    def versions(self) -> Mapping[int, PromptVersionFeedback]:
        """By version."""
        ...

    @property
    def missing(self) -> str | None:
        """Why nothing is known."""
        ...


class Feedback(Protocol):
    """What people said of answers."""

    async def of(self, tenant: str, prompt: str, since: float, until: float) -> Told:
        """Return the feedback on answers of a period; while it cannot be counted, why."""
        ...


class Splits(Protocol):
    """Where splits are; raises DependencyUnavailable while it is away."""

    async def tuned(self) -> list[TunedSplit]:
        """Return all splits that tune themselves."""
        ...

    async def follow(self, split: TunedSplit, verdict: Verdict, now: float) -> bool:
        """Change a split as its tuning says; tell whether it was still as it was looked at."""
        ...


class PromptJudge:
    """Measures the versions of a split since it began, of the last thirty days at most, and says what its tuning would do.

    Degraded mode: while the feedback service is off or away a split whose objective is feedback stays as it is, and says why.
    """

    def __init__(self, outcomes: Outcomes, feedback: Feedback) -> None:
        self._outcomes = outcomes
        self._feedback = feedback

    async def verdict(self, tenant: str, state: PromptSplitState, now: float) -> Verdict | None:
        """Return what follows from what is known now, None for a split that does not tune itself."""
        tuning = state.tune
        if tuning is None:
            return None
        since = max(float(state.began_at), now - _LONGEST_S)
        objective, form = await self._outcomes.outcomes(tenant, state.prompt, tuning.objective, since, now)
        missing = None
        if tuning.objective == "feedback":
            told = await self._feedback.of(tenant, state.prompt, since, now)
            missing = told.missing
            objective = {v: of_scores(one.answers, one.answers * one.score) for v, one in told.versions.items()}
        return judged(state, tuning, Measured(objective, form, missing))

    async def shown(self, tenant: str, state: PromptSplitState, now: float) -> PromptSplitState:
        """Return a split with what its tuning knows."""
        found = await self.verdict(tenant, state, now)
        if found is None:
            return state
        return state.model_copy(update={"tuning": PromptTuningState(why=found.why, versions=found.evidence)})


class PromptTuner:
    """Looks every `every_s` seconds which splits that tune themselves are due, and moves those.

    One is due when its last change, and the last time that its outcomes were counted here, are as old as its own `every_s`: counting reads up to thirty days of usage.
    Several workers may do it at once: a split that another one has changed meanwhile is left alone. Degraded mode: while the database
    is away nothing changes, and the next round comes as usual.
    """

    def __init__(
        self, splits: Splits, judge: PromptJudge, clock: Clock, registry: MetricRegistry, *, every_s: float
    ) -> None:
        self._splits = splits
        self._judge = judge
        self._clock = clock
        self._every_s = every_s
        self._counted: dict[tuple[str, str], float] = {}
        self._looks = registry.counter(
            "sluice_gateway_prompt_tuning_total",
            "Looks at splits of prompts that tune themselves, by what followed (wait, hold, tune, promote, overtaken)",
            ("outcome",),
        )

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self.look()
            except DependencyUnavailable as exc:
                _log.warning("prompts cannot be tuned (%s); the next try is in %.0f s", exc.detail, self._every_s)
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Look at every split that is due."""
        splits = await self._splits.tuned()
        names = {(split.tenant, split.state.prompt) for split in splits}
        self._counted = {name: at for name, at in self._counted.items() if name in names}
        for split in splits:
            now, tuning, name = self._clock.now(), split.state.tune, (split.tenant, split.state.prompt)
            if tuning is None or now - max(split.changed_at, self._counted.get(name, 0.0)) < tuning.every_s:
                continue
            self._counted[name] = now
            found = await self._judge.verdict(split.tenant, split.state, now)
            if found is None:
                continue
            outcome: str = found.does
            if found.does in ("tune", "promote") and not await self._splits.follow(split, found, now):
                outcome = "overtaken"
            self._looks.labels(outcome).inc()
