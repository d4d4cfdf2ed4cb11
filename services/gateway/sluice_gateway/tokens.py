"""The kinds of tokens that have a count and a price of their own, and how providers tell of them in OpenAI's shape."""

import re
from typing import Any, NamedTuple

_PLAIN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_MOST = 1_000_000_000
_DIGITS = re.compile(r"[0-9]{1,10}")


class TokenDetails(NamedTuple):
    """How many tokens of a request were of a special kind; each is also part of its prompt or completion tokens.

    The prompt holds those read from a provider's cache, written to one, and of sound and images; the completion holds
    those of thinking and of sound.
    `cache_write_1h` are those of `cache_write` that stay there for an hour, which Anthropic sells at a price of their own; records do
    not have them.
    """

    cached: int = 0
    cache_write: int = 0
    audio_input: int = 0
    image_input: int = 0
    reasoning: int = 0
    audio_output: int = 0
    cache_write_1h: int = 0


class Beside(NamedTuple):
    """A `usage` object that does not stand where OpenAI writes it, and the index of the answer that it is of."""

    number: int
    usage: dict[str, Any]


def usage_beside(chunk: dict[str, Any]) -> Beside | None:
    """Return the `usage` object of a chunk that stands where only some servers write it, None where there is none.

    Moonshot writes it into the choice that ends, one for each answer; Groq's older streams into `x_groq`.
    """
    choices = chunk.get("choices")
    for place in (*(choices if type(choices) is list else ()), chunk.get("x_groq")):
        if type(place) is dict and type(place.get("usage")) is dict:
            index = place.get("index")
            return Beside(index if type(index) is int else 0, place["usage"])
    return None


class Counts(NamedTuple):
    """How many tokens a request and its answer had."""

    prompt: int
    completion: int
    details: TokenDetails | None = None


def count_of(value: object) -> int | None:
    """Return a count of tokens, None for what is none.

    Some servers write counts as floats (`12.0`) or as texts (`"12"`). More than a billion are no count, and sums of such would
    leave the integers of databases.
    """
    if type(value) is str and _DIGITS.fullmatch(value):
        value = int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MOST else None


def are_counted(usage: dict[str, Any], prompt: str, completion: str) -> bool:
    """Tell whether a `usage` object counts a prompt under one name and, if it tells of one, the answer under the other."""
    return count_of(usage.get(prompt)) is not None and (
        usage.get(completion) is None or count_of(usage[completion]) is not None
    )


def counts_of(usage: dict[str, Any]) -> Counts | None:
    """Return the counts in a `usage` object of OpenAI's shape, None if it has none that make sense.

    Thinking is part of the answer and what a cache held is part of the prompt, also for providers that count them beside: xAI and
    Gemini's OpenAI API have thinking in `total_tokens` alone.
    """
    prompt, completion, total = usage.get("prompt_tokens"), usage.get("completion_tokens"), usage.get("total_tokens")
    if (
        type(prompt) is type(completion) is type(total) is int
        and total == prompt + completion <= _MOST
        and prompt >= 0 <= completion
        and len(usage) == len(_PLAIN)
    ):
        return Counts(prompt, completion)  # as most tell it
    prompt, completion, total = count_of(prompt), 0 if completion is None else count_of(completion), count_of(total)
    if prompt is None or completion is None:
        return None
    details = None if _PLAIN.issuperset(usage) else details_of(usage)
    if details is not None and (kept := details.cached + details.cache_write) > prompt:
        prompt += kept
    if total is not None and total > prompt + completion:
        completion = total - prompt
    elif details is not None and details.reasoning > completion:
        completion += details.reasoning
    return Counts(prompt, completion, details)


def details_of(usage: dict[str, Any]) -> TokenDetails | None:
    """Return the special kinds in a `usage` object of OpenAI's shape, None when there are none."""
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    found = TokenDetails(
        # DeepSeek's name, and Moonshot's
        _count(prompt, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens") or _count(usage, "cached_tokens"),
        _count(prompt, "cache_write_tokens"),
        _count(prompt, "audio_tokens"),
        _count(prompt, "image_tokens"),
        _count(completion, "reasoning_tokens"),
        _count(completion, "audio_tokens"),
        _count(prompt, "cache_write_1h_tokens"),
    )
    return found if any(found) else None


def _count(details: object, name: str) -> int:
    return (count_of(details.get(name)) or 0) if isinstance(details, dict) else 0
