"""Asks a model about texts behind `POST /chat/completions`: an engine's, a provider's, or the gateway's own."""

import asyncio
import concurrent.futures
import math
import time
from collections.abc import Sequence
from typing import Protocol

from sluice.clients.http import Transport
from sluice.clients.models import ChatAnswer, ChatMessage, ChatQuestion, ModelEndpoint
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import Begun, JudgeAnswer, JudgeFormat, JudgeQuestion, NoJudge, messages, read

_MOST_TOKENS = 100


class ChatJudge:
    """One model that is asked; five failures in a row and it is left alone for five seconds."""

    def __init__(
        self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float, style: JudgeFormat
    ) -> None:
        self._endpoint = ModelEndpoint(transport, url, "/chat/completions", api_key, "judging model")
        self._model = model
        self._style: JudgeFormat = style
        self.timeout_s = timeout_s

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the model finds.

        Raises:
            DeadlineExceeded, DependencyUnavailable, UpstreamFailed: it gave no answer.
            Unclear: its answer is not one that it was asked for.
        """
        said = [ChatMessage(role=one.role, content=one.content) for one in messages(question, self._style)]
        model = question.model or self._model
        asked = ChatQuestion(model=model, messages=said, max_tokens=_MOST_TOKENS, logprobs=True)
        return read(question, await self._endpoint.ask(asked, ChatAnswer, timeout_s, _first))


def _first(answer: ChatAnswer) -> JudgeAnswer:
    choice = answer.choices[0]
    tokens = None if choice.logprobs is None else choice.logprobs.content
    return JudgeAnswer(choice.message.content, math.exp(min(0.0, tokens[0].logprob)) if tokens else None)


class Asks(Protocol):
    """A model behind HTTP."""

    timeout_s: float

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the model finds."""
        ...


class AskedBeside:
    """The `Judges` of one check: questions run in the event loop while the check's own thread computes.

    The `classifier` is asked for injections, the `judge` for everything else.
    """

    def __init__(
        self, judge: Asks | None, classifier: Asks | None, loop: asyncio.AbstractEventLoop, limit_s: float
    ) -> None:
        self._judge = judge
        self._classifier = classifier
        self._loop = loop
        self._ends = time.monotonic() + min([limit_s, *(one.timeout_s for one in (judge, classifier) if one)])

    def begin(self, question: JudgeQuestion) -> Begun:
        """Start asking, and return what waits for the findings."""
        judge = self._classifier if question.task == "injection_model" else self._judge
        if judge is None:
            return _nobody
        asked = asyncio.run_coroutine_threadsafe(judge.ask(question, self._left()), self._loop)

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


def _nobody() -> Sequence[Finding]:
    raise NoJudge(
        "A policy asks a model and none is set up. Set SLUICE_GUARDRAIL_JUDGE_URL and _JUDGE_MODEL, or for `injection_model` SLUICE_GUARDRAIL_CLASSIFIER_URL and _CLASSIFIER_MODEL."
    )
