"""An embedding model behind OpenAI's `POST /embeddings`: OpenAI itself, vLLM, Ollama, TEI, or Sluice's own gateway."""

import asyncio
import base64
import binascii
import math
import random
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice.clients.http import Breaker, HttpAnswer, Transport
from sluice.errors import DeadlineExceeded, DependencyUnavailable, SluiceError, UpstreamFailed
from sluice_retrieval.domain.embedding import Embedded, Lane
from sluice_retrieval.domain.errors import EmbeddingInputInvalid
from sluice_retrieval.domain.tokens import TokenCounter
from sluice_retrieval.metrics import Metrics

_OK, _BAD_REQUEST, _TOO_LARGE, _UNPROCESSABLE, _TOO_MANY, _SERVER = 200, 400, 413, 422, 429, 500
_REFUSED = frozenset({_BAD_REQUEST, _TOO_LARGE, _UNPROCESSABLE})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 20.0
_QUERY_ATTEMPTS = 2


class Endpoint(NamedTuple):
    """Where a model is and how it is asked; `at_once` requests of one lane run beside each other."""

    name: str
    url: str
    model: str
    dimensions: int
    api_key: str = ""
    batch_size: int = 64
    at_once: int = 4
    timeout_s: float = 30.0
    retries: int = 4
    send_dimensions: bool = False
    normalize: bool = True


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore")
    index: Annotated[int, Field(ge=0)]
    embedding: str | tuple[Annotated[float, Field(allow_inf_nan=False)], ...]


class _Usage(BaseModel):
    model_config = ConfigDict(extra="ignore")
    prompt_tokens: Annotated[int, Field(ge=0)] = 0


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: tuple[_Item, ...]
    usage: _Usage = _Usage()


class _Question(BaseModel):
    model: str
    input: list[str]
    encoding_format: str = "float"
    dimensions: int | None = None


class _Retry(Exception):
    """Worth another attempt, after `pause_s` if the provider says how long."""

    def __init__(self, error: SluiceError, pause_s: float | None = None) -> None:
        super().__init__(error.detail)
        self.error = error
        self.pause_s = pause_s


class OpenAIEmbedder:
    """The `Embedder` port over HTTP.

    Texts go in batches, some at once. What is overloaded, away or late (429, 5xx, no connection, no answer in time) is asked again with growing pauses
    and jitter, or after the provider's Retry-After; a question of a search is asked twice at most, since somebody waits for it. After five failures in a row
    the model is left alone for five seconds. Vectors are brought to length 1 unless `normalize` is off; one of another length than configured is an
    error and is never stored. Chunks are counted in the tokens of `counter`, not of this model: keep them well below what it reads.
    """

    def __init__(self, transport: Transport, endpoint: Endpoint, counter: TokenCounter, metrics: Metrics) -> None:
        self.name = endpoint.name
        self.dimensions = endpoint.dimensions
        self._counter = counter
        self._transport = transport
        self._endpoint = endpoint
        self._url = f"{endpoint.url.rstrip('/')}/embeddings"
        self._headers = {"content-type": "application/json", "accept": "application/json"}
        if endpoint.api_key:
            self._headers["authorization"] = f"Bearer {endpoint.api_key}"
        self._metrics = metrics
        self._breaker = Breaker()
        self._slots: Mapping[Lane, asyncio.Semaphore] = {
            "query": asyncio.Semaphore(endpoint.at_once),
            "bulk": asyncio.Semaphore(endpoint.at_once),
        }

    @property
    def counter(self) -> TokenCounter:
        """Counts tokens for chunking."""
        return self._counter

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        """Return one vector for each text.

        Raises:
            EmbeddingInputInvalid: the model refuses the texts, as too long for instance.
            DependencyUnavailable, DeadlineExceeded, UpstreamFailed: it is away, late, or answers in another way than agreed.
        """
        started = time.perf_counter()
        size = self._endpoint.batch_size
        batches = [list(texts[at : at + size]) for at in range(0, len(texts), size)]
        answers = await asyncio.gather(*(self._batch(batch, lane) for batch in batches))
        tokens = sum(used for _, used in answers)
        self._metrics.embed_seconds.labels(lane).observe(time.perf_counter() - started)
        self._metrics.embed_tokens.labels(lane).inc(tokens)
        return Embedded(tuple(vector for vectors, _ in answers for vector in vectors), tokens)

    async def load(self) -> None:
        """Nothing is loaded: the model is elsewhere."""

    def loaded(self) -> bool:
        """Tell that nothing has to be loaded here."""
        return True

    async def close(self) -> None:
        """Nothing is held: the transport belongs to who made it."""

    async def _batch(self, texts: list[str], lane: Lane) -> tuple[list[tuple[float, ...]], int]:
        attempts = min(_QUERY_ATTEMPTS, 1 + self._endpoint.retries) if lane == "query" else 1 + self._endpoint.retries
        async with self._slots[lane]:
            for attempt in range(1, attempts + 1):
                try:
                    return await self._asked(texts)
                except _Retry as exc:
                    if attempt == attempts:
                        raise exc.error from exc
                    growing = min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S)
                    pause = growing * (0.5 + random.random() / 2) if exc.pause_s is None else exc.pause_s  # noqa: S311 - jitter
                await asyncio.sleep(pause)
            raise AssertionError("the last attempt returns or raises")

    async def _asked(self, texts: list[str]) -> tuple[list[tuple[float, ...]], int]:
        if not self._breaker.allows():
            raise DependencyUnavailable(
                f"The embedding model {self.name!r} failed several times and is left alone for a moment."
            )
        try:
            answer = await self._sent(texts)
        except _Retry:
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return self._read(answer, len(texts))

    async def _sent(self, texts: list[str]) -> HttpAnswer:
        dimensions = self.dimensions if self._endpoint.send_dimensions else None
        asked = _Question(model=self._endpoint.model, input=texts, dimensions=dimensions)
        body = asked.model_dump_json(exclude_none=True).encode()
        try:
            answer = await self._transport.send("POST", self._url, self._headers, body, self._endpoint.timeout_s)
        except TimeoutError as exc:
            raise _Retry(DeadlineExceeded(f"The embedding model {self.name!r} did not answer in time.")) from exc
        except OSError as exc:
            raise _Retry(DependencyUnavailable(f"The embedding model {self.name!r} cannot be reached.")) from exc
        if answer.status == _TOO_MANY or answer.status >= _SERVER:
            failed = UpstreamFailed(f"The embedding model {self.name!r} answered with status {answer.status}.")
            raise _Retry(failed, _pause(answer.headers.get("retry-after")))
        return answer

    def _read(self, answer: HttpAnswer, expected: int) -> tuple[list[tuple[float, ...]], int]:
        if answer.status in _REFUSED:
            raise EmbeddingInputInvalid(
                f"The embedding model {self.name!r} refuses a text (status {answer.status}), perhaps as too long. Send shorter ones, or make "
                "the store's `max_tokens` smaller."
            )
        if answer.status != _OK:
            raise UpstreamFailed(
                f"The embedding model {self.name!r} answered with status {answer.status}; look at its key and address."
            )
        try:
            found = _Answer.model_validate_json(answer.body)
            vectors = {item.index: _vector(item.embedding, self._endpoint.normalize) for item in found.data}
        except (ValidationError, ValueError, struct.error, binascii.Error) as exc:
            raise UpstreamFailed(f"The answer of the embedding model {self.name!r} cannot be read.") from exc
        if sorted(vectors) != list(range(expected)):
            raise UpstreamFailed(f"The embedding model {self.name!r} did not give each text one vector.")
        wrong = next((len(one) for one in vectors.values() if len(one) != self.dimensions), None)
        if wrong is not None:
            raise UpstreamFailed(
                f"The embedding model {self.name!r} makes vectors of {wrong} numbers, not {self.dimensions}. Correct its "
                "`dimensions` in SLUICE_RETRIEVAL_EMBEDDING_MODELS, or set its `send_dimensions`."
            )
        return [vectors[at] for at in range(expected)], found.usage.prompt_tokens


def _vector(given: str | Sequence[float], normalize: bool) -> tuple[float, ...]:  # noqa: FBT001 - as configured
    vector: Sequence[float] = given if not isinstance(given, str) else _unpacked(given)
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not math.isfinite(length) or length == 0:
        raise ValueError("a vector has no direction")
    return tuple(value / length for value in vector) if normalize else tuple(vector)


def _unpacked(given: str) -> tuple[float, ...]:
    raw = base64.b64decode(given, validate=True)
    return struct.unpack(f"<{len(raw) // 4}f", raw)


def _pause(said: str | None) -> float | None:
    try:
        return None if said is None else min(max(float(said), 0.0), _LONGEST_PAUSE_S)
    except ValueError:
        return None
