"""A cross-encoder behind `POST /rerank`, the shape that vLLM, Jina, Cohere and Sluice's own gateway speak."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.clients.http import Transport
from sluice.clients.models import ModelEndpoint
from sluice.errors import UpstreamFailed
from sluice_retrieval.domain.rerank import Candidate, Reranked


class _Result(BaseModel):
    model_config = ConfigDict(extra="ignore")
    index: Annotated[int, Field(ge=0)]
    relevance_score: Annotated[float, Field(allow_inf_nan=False)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    results: tuple[_Result, ...]


class _Question(BaseModel):
    model: str
    query: str
    documents: list[str]
    top_n: int


class CrossEncoder:
    """The `Reranker` port over HTTP; five failures in a row and it is left alone for five seconds."""

    def __init__(self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float) -> None:
        self._endpoint = ModelEndpoint(transport, url, "/rerank", api_key, "reranking model")
        self._model = model
        self._timeout_s = timeout_s

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> Reranked:
        """Return one score for each candidate; headings are given with the text."""
        if not candidates:
            return Reranked(self._model, [])
        documents = [f"{one.heading}\n{one.text}" if one.heading else one.text for one in candidates]
        asked = _Question(model=self._model, query=query, documents=documents, top_n=len(documents))

        def scores(answer: _Answer) -> list[float]:
            found = {result.index: result.relevance_score for result in answer.results}
            if sorted(found) != list(range(len(documents))):
                raise UpstreamFailed("The reranking model did not score every passage once.")
            return [found[at] for at in range(len(documents))]

        return Reranked(self._model, await self._endpoint.ask(asked, _Answer, self._timeout_s, scores))
