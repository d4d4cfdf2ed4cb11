"""Asks a model about texts behind `POST /chat/completions`: an engine's, a provider's, or the gateway's own."""

import math

from sluice.clients.http import Transport
from sluice.clients.models import ChatAnswer, ChatMessage, ChatQuestion, ModelEndpoint
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.judging import JudgeAnswer, JudgeFormat, JudgeQuestion, messages, read

_MOST_TOKENS = 100


class ChatJudge:
    """One model that is asked; five failures in a row and it is left alone for five seconds."""

    def __init__(
        self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float, style: JudgeFormat
    ) -> None:
        self._endpoint = ModelEndpoint(transport, url, "/chat/completions", api_key, "judging model")
        self._model = model
        self._style: JudgeFormat = style
        self.timeout_s = timeout_s

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the model finds.

        Raises:
            DeadlineExceeded, DependencyUnavailable, UpstreamFailed: it gave no answer.
            Unclear: its answer is not one that it was asked for.
        """
        said = [ChatMessage(role=one.role, content=one.content) for one in messages(question, self._style)]
        model = question.model or self._model
        asked = ChatQuestion(model=model, messages=said, max_tokens=_MOST_TOKENS, logprobs=True)
        return read(question, await self._endpoint.ask(asked, ChatAnswer, timeout_s, _first))


def _first(answer: ChatAnswer) -> JudgeAnswer:
    choice = answer.choices[0]
    tokens = None if choice.logprobs is None else choice.logprobs.content
    return JudgeAnswer(choice.message.content, math.exp(min(0.0, tokens[0].logprob)) if tokens else None)
