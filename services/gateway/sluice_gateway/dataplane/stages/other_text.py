"""Text of an answer beside the fields that are rewritten: what some servers add to a message has to be read by the guardrail as well."""

from collections.abc import Iterator
from typing import Any

TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")
"""Where a message holds text that is shown; `reasoning` is what vLLM and OpenRouter call `reasoning_content`."""

DETAILS = "reasoning_details"
NOTES = "annotations"
"""Where a message holds what its words refer to: pages and files with their titles and places."""

OF_ANSWER = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "provider", "sluice", "prompt_filter_results", "x_groq"}
)  # fmt: skip
"""Fields of an answer that hold no text of a model or of a page."""

OF_CHOICE = frozenset(
    {"index", "message", "delta", "text", "finish_reason", "native_finish_reason", "stop_reason", "matched_stop", "logprobs", "token_ids", "content_filter_results"}
)  # fmt: skip
"""The same of a choice, and those that are handled by themselves."""

_HANDLED = frozenset({"role", "tool_calls", NOTES})
_NO_TEXT = frozenset({"type", "format", "signature", "data", "id", "url", "name", "role", "encrypted_content"})


def texts_of(value: object, without: frozenset[str] = _NO_TEXT) -> Iterator[str]:
    """Give all texts in a field of a message, but those of names `without`: in parts, details, transcripts, whatever they are called."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item, without)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in without:
                yield from texts_of(item, without)


def others(message: dict[str, Any]) -> dict[str, str]:
    """Return the fields of a whole message that hold text and are not rewritten, each with that text; parts in place of a text are one of them."""
    found = {}
    for name, value in message.items():
        if name in _HANDLED or name == "function_call" or (name in TEXT_FIELDS and isinstance(value, str)):
            continue
        if text := "\n".join(texts_of(value)):
            found[name] = text
    return found


def written_in(note: object) -> str:
    """Return all that a note says, its places too: a value may stand in a link as well as in a title."""
    return "\n".join(texts_of(note, frozenset({"type"})))


def silent(delta: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of a piece of a stream without fields that hold text: half of it cannot be judged.

    Of `reasoning_details` signed ones stay, which are whole, and those without text.
    """
    left = {}
    for name, value in delta.items():
        if name == DETAILS and isinstance(value, list):
            left[name] = [item for item in value if _is_whole(item)]
        elif name in _HANDLED or not any(texts_of(value)):
            left[name] = value
    return left


def _is_whole(item: object) -> bool:
    return isinstance(item, dict) and (isinstance(item.get("signature"), str) or not any(texts_of(item)))
