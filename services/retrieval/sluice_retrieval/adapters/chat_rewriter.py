"""A chat model that writes a follow-up anew as a question that stands alone, behind `POST /chat/completions`."""

from collections.abc import Sequence

from sluice.clients.http import Transport
from sluice.clients.models import ChatAnswer, ChatMessage, ChatQuestion, ModelEndpoint
from sluice.contracts.questions import Turn
from sluice.errors import UpstreamFailed
from sluice_retrieval.domain.questions.understanding import Rewritten

_TURNS = 8
_TURN_CHARS = 1000
_MOST_CHARS = 1000
_MOST_TOKENS = 160
_ORDER = (
    "You prepare questions for a search engine. Write the user's last question anew so that it can be understood without the "
    "conversation: put what it points back to in its place, keep its language, add nothing else. If it can be understood "
    "already, repeat it word for word. Answer with the question alone, and do not answer it."
)


class ChatRewriter:
    """The `Rewriter` port over HTTP; five failures in a row and it is left alone for five seconds.

    The last eight messages are given, each cut to 1,000 characters. An answer that is empty, has several lines or is far
    longer than a question counts as a failure.
    """

    def __init__(self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float) -> None:
        self._endpoint = ModelEndpoint(transport, url, "/chat/completions", api_key, "rewriting model")
        self._model = model
        self._timeout_s = timeout_s

    async def rewrite(self, question: str, earlier: Sequence[Turn], model: str | None) -> Rewritten:
        """Return the question as the chat model wrote it."""
        name = model or self._model
        said = "\n".join(f"{turn.role}: {turn.content[:_TURN_CHARS]}" for turn in earlier[-_TURNS:])
        asked = ChatQuestion(
            model=name,
            messages=[
                ChatMessage(role="system", content=_ORDER),
                ChatMessage(role="user", content=f"Conversation:\n{said}\n\nLast question: {question[:_MOST_CHARS]}"),
            ],
            max_tokens=_MOST_TOKENS,
        )
        return Rewritten(await self._endpoint.ask(asked, ChatAnswer, self._timeout_s, _question), name)


def _question(answer: ChatAnswer) -> str:
    text = answer.choices[0].message.content.strip().strip('"').strip()
    if not text or "\n" in text or len(text) > _MOST_CHARS:
        raise UpstreamFailed("The rewriting model did not answer with one question.")
    return text
