"""Asks a model that classifies texts: behind `POST /classify` as vLLM and SGLang have it, or `POST /predict` as Text Embeddings Inference has it.

Prompt Guard is a DeBERTa, which Text Embeddings Inference serves and vLLM (0.32) does not; vLLM and SGLang serve classifiers made of a
language model or of ModernBERT.
"""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel

from sluice.clients.http import Transport
from sluice.clients.models import ModelEndpoint
from sluice_guardrail.domain.classifying import Window, classified, harmless_first, windows
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import JudgeQuestion

_AT_ONCE = 32  # `--max-client-batch-size` of Text Embeddings Inference, unless it is told otherwise


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


class _Inputs(BaseModel):
    inputs: list[tuple[str]]
    truncate: bool = False


class _Prediction(BaseModel):
    model_config = ConfigDict(extra="ignore")

    label: str
    score: float


class _Predictions(RootModel[list[list[_Prediction]]]):
    pass


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
        asked = _Question(model=question.model or self._model, input=_texts(question, parts))
        answer = await self._endpoint.ask(asked, _Answer, timeout_s, lambda found: found)
        by_place = sorted(answer.data, key=lambda one: one.index)
        return classified(parts, [one.probs for one in by_place])


class Predictor:
    """A `Classifier` behind Text Embeddings Inference: a server has one model, takes 32 texts at once, and names classes by their labels."""

    def __init__(self, transport: Transport, url: str, api_key: str, timeout_s: float) -> None:
        self._endpoint = ModelEndpoint(transport, url, "/predict", api_key, "classifying model")
        self.timeout_s = timeout_s

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the model finds.

        Raises:
            DeadlineExceeded, DependencyUnavailable, UpstreamFailed: it gave no answer.
            Unclear: it did not answer for every part of the text, or the text has too many, or none of its labels is known as the harmless one.
        """
        parts = windows(question.text)
        asked = [_Inputs(inputs=[(text,) for text in some]) for some in _some(_texts(question, parts))]
        answers = await asyncio.gather(
            *(self._endpoint.ask(one, _Predictions, timeout_s, lambda found: found.root) for one in asked)
        )
        return classified(parts, [harmless_first({p.label: p.score for p in one}) for one in chain(*answers)])


def _texts(question: JudgeQuestion, parts: Sequence[Window]) -> list[str]:
    return [question.text[part.start : part.end] for part in parts]


def _some(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[at : at + _AT_ONCE] for at in range(0, len(texts), _AT_ONCE)]
