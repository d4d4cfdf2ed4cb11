"""Models that a service asks itself, behind OpenAI's API: an engine's, a provider's, or the gateway's own."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice.clients.http import Breaker, Transport
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")
_OK = 200


class ChatMessage(BaseModel):
    """One message to a chat model."""

    role: str
    content: str


class ChatQuestion(BaseModel):
    """What a chat model is asked; one question has one answer."""

    model: str
    messages: list[ChatMessage]
    max_tokens: int
    temperature: float = 0.0
    logprobs: bool | None = None


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Token(_Loose):
    """One token of an answer: the logarithm of its probability."""

    logprob: float


class Logprobs(_Loose):
    """Probabilities of an answer's tokens, where the model gives them."""

    content: tuple[Token, ...] | None = None


class Message(_Loose):
    """What a chat model said."""

    content: str


class Choice(_Loose):
    """One of the answers."""

    message: Message
    logprobs: Logprobs | None = None


class ChatAnswer(_Loose):
    """A chat completion, as far as it is read."""

    choices: Annotated[tuple[Choice, ...], Field(min_length=1)]


class ModelEndpoint:
    """One path of a server that speaks OpenAI's API. After five failures in a row it is left alone for five seconds; nothing is tried twice.

    `called` stands in the sentences of errors, such as `judging model`; `api_key` may be empty.
    """

    def __init__(self, transport: Transport, url: str, path: str, api_key: str, called: str) -> None:
        self._transport = transport
        self._url = f"{url.rstrip('/')}{path}"
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._called = f"The {called}"
        self._breaker = Breaker()

    async def ask(
        self, question: BaseModel, reply: type[Answer], timeout_s: float, read: Callable[[Answer], Result]
    ) -> Result:
        """Ask, and return what `read` makes of the answer; an UpstreamFailed of it counts as a failure of the model.

        Raises:
            DependencyUnavailable: it cannot be reached, or is left alone.
            DeadlineExceeded: it did not answer within `timeout_s` seconds.
            UpstreamFailed: it refused, or its answer is not of the shape.
        """
        if not self._breaker.allows():
            raise DependencyUnavailable(f"{self._called} failed several times and is left alone for a moment.")
        try:
            found = read(await self._asked(question, reply, timeout_s))
        except (DependencyUnavailable, DeadlineExceeded, UpstreamFailed):
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return found

    async def _asked(self, question: BaseModel, reply: type[Answer], timeout_s: float) -> Answer:
        body = question.model_dump_json(exclude_none=True).encode()
        try:
            answer = await self._transport.send("POST", self._url, self._headers, body, timeout_s)
        except TimeoutError as exc:
            raise DeadlineExceeded(f"{self._called} did not answer in time.") from exc
        except OSError as exc:
            raise DependencyUnavailable(f"{self._called} cannot be reached.") from exc
        if answer.status != _OK:
            raise UpstreamFailed(f"{self._called} answered with status {answer.status}.")
        try:
            return reply.model_validate_json(answer.body)
        except ValidationError as exc:
            raise UpstreamFailed(f"{self._called}'s answer cannot be read.") from exc
