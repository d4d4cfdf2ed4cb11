"""Answers of SDKs made whole, so that a client of OpenAI's API finds what it expects: pure functions."""

from typing import Any


def completion(answer: dict[str, Any], model: str, created: int) -> dict[str, Any]:
    """Return a chat completion under the model's name, with a time (unix seconds) and thinking where clients look for it."""
    for choice in answer.get("choices", ()):
        _tell_thinking(choice.get("message") or {})
    return {**answer, "model": model, "object": "chat.completion", "created": answer.get("created") or created}


class Chunks:
    """The chunks of one stream: one id, one time, and the tokens once, at the end, if they were asked for."""

    def __init__(self, stream_id: str, created: int, model: str, *, usage: bool) -> None:
        self._head = {"id": stream_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._wanted = usage
        self._usage: dict[str, Any] | None = None
        self._begun = False

    def next(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        """Return the chunk to send, None when an SDK's own event says nothing to a client."""
        self._usage = chunk.get("usage") or self._usage
        choices = [choice for choice in chunk.get("choices", ()) if choice.get("delta") or choice.get("finish_reason")]
        if not choices:
            return None
        for choice in choices:
            delta = choice.setdefault("delta", {})
            _tell_thinking(delta)
            if not self._begun:
                delta["role"] = "assistant"
            choice.setdefault("finish_reason", None)
        self._begun = True
        return {**self._head, "choices": choices}

    def last(self) -> dict[str, Any] | None:
        """Return the chunk with the tokens, None when nobody asked for it or the provider did not say."""
        return {**self._head, "choices": [], "usage": self._usage} if self._wanted and self._usage else None


def _tell_thinking(message: dict[str, Any]) -> None:
    thinking = message.pop("reasoning", None)
    text = thinking.get("content") if isinstance(thinking, dict) else thinking
    if text and "reasoning_content" not in message:
        message["reasoning_content"] = text
