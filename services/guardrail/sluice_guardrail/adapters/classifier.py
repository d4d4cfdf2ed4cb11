"""Asks a model that classifies texts, behind `POST /classify` as vLLM and SGLang have it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.clients.http import Transport
from sluice.clients.models import ModelEndpoint
from sluice_guardrail.domain.classifying import classified, windows
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import JudgeQuestion


class _Question(BaseModel):
    model: str
    input: list[str]


class _Classes(BaseModel):
    model_config = ConfigDict(extra="ignore")

    index: int
    probs: Annotated[tuple[float, ...], Field(min_length=1)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: tuple[_Classes, ...]


class Classifier:
    """One model that is asked about windows of a text at once; five failures in a row and it is left alone for five seconds."""

    def __init__(self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float) -> None:
        self._endpoint = ModelEndpoint(transport, url, "/classify", api_key, "classifying model")
        self._model = model
        self.timeout_s = timeout_s

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the model finds.

        Raises:
            DeadlineExceeded, DependencyUnavailable, UpstreamFailed: it gave no answer.
            Unclear: it did not answer for every part of the text, or the text has too many.
        """
        parts = windows(question.text)
        asked = _Question(
            model=question.model or self._model, input=[question.text[part.start : part.end] for part in parts]
        )
        answer = await self._endpoint.ask(asked, _Answer, timeout_s, lambda found: found)
        by_place = sorted(answer.data, key=lambda one: one.index)
        return classified(parts, [one.probs for one in by_place])
