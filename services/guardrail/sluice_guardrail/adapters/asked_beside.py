"""Asks models and their servers while the detectors of a check compute."""

import asyncio
import concurrent.futures
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import Begun, JudgeQuestion, JudgeTask, NoJudge

_SETTINGS: dict[JudgeTask, str] = {
    "injection_model": "SLUICE_GUARDRAIL_CLASSIFIER_URL and _CLASSIFIER_MODEL",
    "groundedness_model": "SLUICE_GUARDRAIL_LETTUCEDETECT_URL, or SLUICE_GUARDRAIL_JUDGE_URL and _JUDGE_MODEL",
    "llm_guard": "SLUICE_GUARDRAIL_LLM_GUARD_URL",
}
_JUDGE = "SLUICE_GUARDRAIL_JUDGE_URL and _JUDGE_MODEL"


def settings_of(task: JudgeTask) -> str:
    """Return the settings that say who answers such questions."""
    return _SETTINGS.get(task, _JUDGE)


class Asks(Protocol):
    """A model behind HTTP."""

    timeout_s: float

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the model finds in `timeout_s` seconds."""
        ...


class AskedBeside:
    """The `Judges` of one check: questions run in the event loop while the check's own thread computes.

    `models` says who is asked what; no answer comes later than `limit_s` seconds after the check began.
    """

    def __init__(self, models: Mapping[JudgeTask, Asks], loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self._models = models
        self._loop = loop
        self._ends = time.monotonic() + min([limit_s, *(one.timeout_s for one in models.values())])

    def begin(self, question: JudgeQuestion) -> Begun:
        """Start asking, and return what waits for the findings."""
        model = self._models.get(question.task)
        if model is None:
            return lambda: _nobody(question.task)
        asked = asyncio.run_coroutine_threadsafe(model.ask(question, self._left()), self._loop)

        def findings() -> Sequence[Finding]:
            try:
                return asked.result(self._left())
            except (concurrent.futures.TimeoutError, DeadlineExceeded) as exc:
                asked.cancel()
                raise TimeoutError from exc
            except (DependencyUnavailable, UpstreamFailed) as exc:
                raise NoJudge(exc.detail) from exc

        return findings

    def _left(self) -> float:
        return max(0.001, self._ends - time.monotonic())


def _nobody(task: JudgeTask) -> Sequence[Finding]:
    raise NoJudge(f"A policy has `{task}` and nobody is set up to answer it: set {settings_of(task)}.")
