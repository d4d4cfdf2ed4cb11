"""A cross-encoder behind `POST /rerank`, the shape that vLLM, Jina, Cohere and Sluice's own gateway speak."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice.clients.http import Breaker, Transport
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_retrieval.domain.rerank import Candidate, Reranked

_OK = 200


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
        self._transport = transport
        self._url = f"{url.rstrip('/')}/rerank"
        self._model = model
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._timeout_s = timeout_s
        self._breaker = Breaker()

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> Reranked:
        """Return one score for each candidate; headings are given with the text."""
        if not candidates:
            return Reranked(self._model, [])
        if not self._breaker.allows():
            raise DependencyUnavailable("The reranking model failed several times and is left alone for a moment.")
        documents = [f"{one.heading}\n{one.text}" if one.heading else one.text for one in candidates]
        asked = _Question(model=self._model, query=query, documents=documents, top_n=len(documents))
        try:
            found = await self._asked(asked, len(documents))
        except (DependencyUnavailable, DeadlineExceeded, UpstreamFailed):
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return Reranked(self._model, found)

    async def _asked(self, asked: _Question, expected: int) -> list[float]:
        body = asked.model_dump_json().encode()
        try:
            answer = await self._transport.send("POST", self._url, self._headers, body, self._timeout_s)
        except TimeoutError as exc:
            raise DeadlineExceeded("The reranking model did not answer in time.") from exc
        except OSError as exc:
            raise DependencyUnavailable("The reranking model cannot be reached.") from exc
        if answer.status != _OK:
            raise UpstreamFailed(f"The reranking model answered with status {answer.status}.")
        try:
            results = _Answer.model_validate_json(answer.body).results
        except ValidationError as exc:
            raise UpstreamFailed("The reranking model's answer cannot be read.") from exc
        scores = {result.index: result.relevance_score for result in results}
        if sorted(scores) != list(range(expected)):
            raise UpstreamFailed("The reranking model did not score every passage once.")
        return [scores[at] for at in range(expected)]
