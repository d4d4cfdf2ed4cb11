"""The kinds of tokens that have a count and a price of their own."""

from typing import Any, NamedTuple


class TokenDetails(NamedTuple):
    """How many tokens of a request were of a special kind; each is also part of its prompt or completion tokens.

    The prompt holds those read from a provider's cache, written to one, and of sound and images; the completion holds
    those of thinking and of sound.
    """

    cached: int = 0
    cache_write: int = 0
    audio_input: int = 0
    image_input: int = 0
    reasoning: int = 0
    audio_output: int = 0


def details_of(usage: dict[str, Any]) -> TokenDetails | None:
    """Return the special kinds in a `usage` object of OpenAI's shape, None when there are none."""
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    found = TokenDetails(
        _count(prompt, "cached_tokens"),
        _count(prompt, "cache_write_tokens"),
        _count(prompt, "audio_tokens"),
        _count(prompt, "image_tokens"),
        _count(completion, "reasoning_tokens"),
        _count(completion, "audio_tokens"),
    )
    return found if any(found) else None


def _count(details: object, name: str) -> int:
    value = details.get(name) if isinstance(details, dict) else None
    return value if type(value) is int and value > 0 else 0
