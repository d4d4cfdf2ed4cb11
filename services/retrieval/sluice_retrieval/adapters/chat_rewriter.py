"""A chat model that writes a follow-up anew as a question that stands alone, behind `POST /chat/completions`."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice.clients.http import Breaker, Transport
from sluice.contracts.questions import Turn
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_retrieval.domain.questions.understanding import Rewritten

_OK = 200
_TURNS = 8
_TURN_CHARS = 1000
_MOST_CHARS = 1000
_MOST_TOKENS = 160
_ORDER = (
    "You prepare questions for a search engine. Write the user's last question anew so that it can be understood without the "
    "conversation: put what it points back to in its place, keep its language, add nothing else. If it can be understood "
    "already, repeat it word for word. Answer with the question alone, and do not answer it."
)


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")
    content: str


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")
    message: _Message


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    choices: Annotated[tuple[_Choice, ...], Field(min_length=1)]


class _Said(BaseModel):
    role: str
    content: str


class _Question(BaseModel):
    model: str
    messages: list[_Said]
    temperature: float = 0.0
    max_tokens: int = _MOST_TOKENS


class ChatRewriter:
    """The `Rewriter` port over HTTP; five failures in a row and it is left alone for five seconds.

    The last eight messages are given, each cut to 1,000 characters. An answer that is empty, has several lines or is far
    longer than a question counts as a failure.
    """

    def __init__(self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float) -> None:
        self._transport = transport
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._timeout_s = timeout_s
        self._breaker = Breaker()

    async def rewrite(self, question: str, earlier: Sequence[Turn], model: str | None) -> Rewritten:
        """Return the question as the chat model wrote it."""
        if not self._breaker.allows():
            raise DependencyUnavailable("The rewriting model failed several times and is left alone for a moment.")
        name = model or self._model
        said = "\n".join(f"{turn.role}: {turn.content[:_TURN_CHARS]}" for turn in earlier[-_TURNS:])
        asked = _Question(
            model=name,
            messages=[
                _Said(role="system", content=_ORDER),
                _Said(role="user", content=f"Conversation:\n{said}\n\nLast question: {question[:_MOST_CHARS]}"),
            ],
        )
        try:
            text = await self._asked(asked)
        except (DependencyUnavailable, DeadlineExceeded, UpstreamFailed):
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return Rewritten(text, name)

    async def _asked(self, asked: _Question) -> str:
        body = asked.model_dump_json().encode()
        try:
            answer = await self._transport.send("POST", self._url, self._headers, body, self._timeout_s)
        except TimeoutError as exc:
            raise DeadlineExceeded("The rewriting model did not answer in time.") from exc
        except OSError as exc:
            raise DependencyUnavailable("The rewriting model cannot be reached.") from exc
        if answer.status != _OK:
            raise UpstreamFailed(f"The rewriting model answered with status {answer.status}.")
        try:
            text = _Answer.model_validate_json(answer.body).choices[0].message.content.strip().strip('"').strip()
        except ValidationError as exc:
            raise UpstreamFailed("The rewriting model's answer cannot be read.") from exc
        if not text or "\n" in text or len(text) > _MOST_CHARS:
            raise UpstreamFailed("The rewriting model did not answer with one question.")
        return text
