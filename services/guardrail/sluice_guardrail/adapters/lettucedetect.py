"""Asks LettuceDetect which spans of an answer its context does not support, behind `POST /v1/lettucedetect/spans`.

That is the server of the package itself (`lettucedetect[api]` 0.2). Kovács and Recski, LettuceDetect: a hallucination detection
framework for RAG applications (2025).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.clients.http import Transport
from sluice.clients.models import ModelEndpoint
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import JudgeQuestion
from sluice_guardrail.domain.unsupported import Unsupported, by_sentence


class _Question(BaseModel):
    contexts: tuple[str, ...]
    question: str
    answer: str


class _Span(BaseModel):
    model_config = ConfigDict(extra="ignore")

    start: Annotated[int, Field(ge=0)]
    end: int
    hallucination_score: Annotated[float, Field(ge=0, le=1)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    predictions: tuple[_Span, ...]


class LettuceDetect:
    """One server; five failures in a row and it is left alone for five seconds."""

    def __init__(self, transport: Transport, url: str, api_key: str, timeout_s: float) -> None:
        self._endpoint = ModelEndpoint(transport, url, "/v1/lettucedetect/spans", api_key, "LettuceDetect server")
        self.timeout_s = timeout_s

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return the unsupported spans, and what each sentence makes of them.

        Raises:
            DeadlineExceeded, DependencyUnavailable, UpstreamFailed: it gave no answer.
            Unclear: a span lies outside of the answer.
        """
        # Its spans are counted from the answer's first token, which may leave blanks before it out.
        answer = question.text.lstrip()
        before = len(question.text) - len(answer)
        asked = _Question(contexts=question.context, question=question.question, answer=answer)
        found = await self._endpoint.ask(asked, _Answer, timeout_s, lambda reply: reply)
        spans = [
            Unsupported(before + one.start, before + one.end, one.hallucination_score) for one in found.predictions
        ]
        return by_sentence(question.text, spans)
