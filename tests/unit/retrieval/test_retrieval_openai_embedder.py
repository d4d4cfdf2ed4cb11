"""An embedding model over HTTP: what is sent, what is asked again, and what is never taken for a vector."""

import base64
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from sluice.clients.http import HttpAnswer
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.openai_embedder import Endpoint, OpenAIEmbedder
from sluice_retrieval.domain.errors import EmbeddingInputInvalid
from sluice_retrieval.domain.tokens import Word
from sluice_retrieval.metrics import Metrics

SECRET = "sk-never-shown"


class Wire:
    """Answers in turn; a callable makes the answer from the request, an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.headers: Mapping[str, str] = {}

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        assert (method, url, timeout_s) == ("POST", "http://model/v1/embeddings", 5.0)
        self.headers = headers
        self.asked.append(json.loads(body or b""))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return HttpAnswer(200, {}, json.dumps(answer(self.asked[-1]["input"])).encode())
        assert isinstance(answer, HttpAnswer)
        return answer


class Counter:
    def words(self, text: str) -> Sequence[Word]:
        return []


def vectors(texts: list[str], numbers: Callable[[str], Any] = lambda text: [3.0 * len(text), 4.0 * len(text)]) -> Any:
    data = [{"index": at, "embedding": numbers(text), "object": "embedding"} for at, text in enumerate(texts)]
    return {"data": data[::-1], "usage": {"prompt_tokens": 7}}


def embedder(wire: Wire, **fields: Any) -> OpenAIEmbedder:
    endpoint = Endpoint(
        "ours", "http://model/v1/", "theirs", 2, SECRET, **{"timeout_s": 5.0, "batch_size": 2, **fields}
    )
    return OpenAIEmbedder(wire, endpoint, Counter(), Metrics(MetricRegistry()))


async def test_texts_go_in_batches_and_vectors_come_back_in_order_and_of_length_one() -> None:
    wire = Wire(lambda texts: vectors(texts, lambda text: [float(len(text)), 0.0] if text < "c" else [0.0, 2.0]))
    found = await embedder(wire).embed(["a", "bb", "ccc"], "bulk")
    assert found.vectors == ((1.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    assert found.tokens == 14
    assert [asked["input"] for asked in wire.asked] == [["a", "bb"], ["ccc"]]
    assert wire.asked[0] == {"model": "theirs", "input": ["a", "bb"], "encoding_format": "float"}
    assert wire.headers["authorization"] == f"Bearer {SECRET}"
    sized = Wire(vectors)
    await embedder(sized, send_dimensions=True).embed(["a"], "query")
    assert sized.asked[0]["dimensions"] == 2
    kept = await embedder(Wire(vectors), normalize=False).embed(["aa"], "query")
    assert kept.vectors == ((6.0, 8.0),)


async def test_base64_is_read_too() -> None:
    wire = Wire(lambda texts: vectors(texts, lambda _: base64.b64encode(struct.pack("<2f", 0.0, -2.0)).decode()))
    assert (await embedder(wire).embed(["a"], "query")).vectors == ((0.0, -1.0),)


async def test_what_is_overloaded_or_away_is_asked_again() -> None:
    later = HttpAnswer(429, {"retry-after": "0"}, b"")
    wire = Wire(later, HttpAnswer(503, {"retry-after": "0"}, b""), vectors)
    assert (await embedder(wire).embed(["a"], "bulk")).vectors == ((0.6, 0.8),)
    assert len(wire.asked) == 3


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (HttpAnswer(500, {"retry-after": "0"}, b""), UpstreamFailed, "status 500"),
        (HttpAnswer(400, {}, b"too long"), EmbeddingInputInvalid, "too long"),
        (HttpAnswer(401, {}, b"bad key"), UpstreamFailed, "its key"),
        (HttpAnswer(200, {}, b"{}"), UpstreamFailed, "cannot be read"),
        (lambda texts: vectors([*texts, "one more"]), UpstreamFailed, "each text one vector"),
        (lambda texts: vectors(texts, lambda _: [1.0, 2.0, 3.0]), UpstreamFailed, "3 numbers, not 2"),
        (lambda texts: vectors(texts, lambda _: [0.0, 0.0]), UpstreamFailed, "cannot be read"),
    ],
)
async def test_what_is_not_an_answer_is_an_error_without_the_key(
    answer: Any, error: type[Exception], says: str
) -> None:
    wire = Wire(answer)
    with pytest.raises(error, match=says) as raised:
        await embedder(wire).embed(["a"], "query")
    assert SECRET not in str(raised.value)
    assert len(wire.asked) <= 2, "somebody waits for a question"


@pytest.mark.parametrize(("failure", "error"), [(TimeoutError(), DeadlineExceeded), (OSError(), DependencyUnavailable)])
async def test_what_cannot_be_reached_is_left_alone_after_five_failures(
    failure: Exception, error: type[Exception]
) -> None:
    wire = Wire(failure)
    asked = embedder(wire, retries=0)
    for _ in range(5):
        with pytest.raises(error):
            await asked.embed(["a"], "query")
    with pytest.raises(DependencyUnavailable, match="left alone"):
        await asked.embed(["a"], "query")
    assert len(wire.asked) == 5
