"""Asks a model about texts behind `POST /chat/completions`: an engine's, a provider's, or the gateway's own."""

import asyncio
import concurrent.futures
import math
import time
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice.clients.http import Breaker, Transport
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import Begun, JudgeAnswer, JudgeFormat, JudgeQuestion, NoJudge, messages, read

_OK = 200
_MOST_TOKENS = 100


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Token(_Loose):
    logprob: float


class _Logprobs(_Loose):
    content: tuple[_Token, ...] | None = None


class _Message(_Loose):
    content: str


class _Choice(_Loose):
    message: _Message
    logprobs: _Logprobs | None = None


class _Answer(_Loose):
    choices: Annotated[tuple[_Choice, ...], Field(min_length=1)]


class _Said(BaseModel):
    role: str
    content: str


class _Question(BaseModel):
    model: str
    messages: list[_Said]
    temperature: float = 0.0
    max_tokens: int = _MOST_TOKENS
    logprobs: bool = True


class ChatJudge:
    """One model that is asked; five failures in a row and it is left alone for five seconds."""

    def __init__(
        self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float, style: JudgeFormat
    ) -> None:
        self._transport = transport
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._style: JudgeFormat = style
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self.timeout_s = timeout_s
        self._breaker = Breaker()

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the model finds.

        Raises:
            DeadlineExceeded, DependencyUnavailable, UpstreamFailed: it gave no answer.
            Unclear: its answer is not one that it was asked for.
        """
        if not self._breaker.allows():
            raise DependencyUnavailable("The judging model failed several times and is left alone for a moment.")
        said = [_Said(role=one.role, content=one.content) for one in messages(question, self._style)]
        body = _Question(model=question.model or self._model, messages=said).model_dump_json().encode()
        try:
            answer = await self._asked(body, timeout_s)
        except (DependencyUnavailable, DeadlineExceeded, UpstreamFailed):
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return read(question, answer)

    async def _asked(self, body: bytes, timeout_s: float) -> JudgeAnswer:
        try:
            answer = await self._transport.send("POST", self._url, self._headers, body, timeout_s)
        except TimeoutError as exc:
            raise DeadlineExceeded("The judging model did not answer in time.") from exc
        except OSError as exc:
            raise DependencyUnavailable("The judging model cannot be reached.") from exc
        if answer.status != _OK:
            raise UpstreamFailed(f"The judging model answered with status {answer.status}.")
        try:
            choice = _Answer.model_validate_json(answer.body).choices[0]
        except ValidationError as exc:
            raise UpstreamFailed("The judging model's answer cannot be read.") from exc
        tokens = None if choice.logprobs is None else choice.logprobs.content
        return JudgeAnswer(choice.message.content, math.exp(min(0.0, tokens[0].logprob)) if tokens else None)


class AskedBeside:
    """The `Judges` of one check: questions run in the event loop while the check's own thread computes."""

    def __init__(self, judge: ChatJudge | None, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self._judge = judge
        self._loop = loop
        self._ends = time.monotonic() + (limit_s if judge is None else min(limit_s, judge.timeout_s))

    def begin(self, question: JudgeQuestion) -> Begun:
        """Start asking, and return what waits for the findings."""
        judge = self._judge
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
        "A policy asks a model and none is set up. Set SLUICE_GUARDRAIL_JUDGE_URL and SLUICE_GUARDRAIL_JUDGE_MODEL."
    )
