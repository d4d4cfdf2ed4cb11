"""The hub's own shapes: answers, chunks and token counts of OpenAI's chat completions.

Beyond OpenAI's fields the hub knows the two that many providers and clients share: `reasoning_content` is what a model let
be seen of its thinking, `reasoning_details` are the signed pieces of it that have to come back with the next request. Each
detail has `type` `reasoning.text` (with `text`, `signature`) or `reasoning.encrypted` (with `data`), a `format` that says whose
signature it is, and `id` when it belongs to one tool call.
"""

import hashlib
import re

from sluice_gateway.tokens import TokenDetails, count_of, counts_of
from sluice_gateway.translate.shapes import Asked, FinishReason, Json, Usage

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_-]")


def chunk(asked: Asked, delta: Json, finish: FinishReason | None = None, index: int = 0) -> Json:
    """Return a chunk with one choice."""
    return {
        "id": asked.id,
        "object": "chat.completion.chunk",
        "created": asked.created,
        "model": asked.model,
        "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }


def usage_chunk(asked: Asked, usage: Usage) -> Json:
    """Return the chunk that carries nothing but token counts."""
    found = chunk(asked, {})
    return {**found, "choices": [], "usage": usage_json(usage)}


def choice(message: Json, finish: FinishReason, index: int = 0) -> Json:
    """Return one choice of a whole answer."""
    return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}


def answer(asked: Asked, choices: list[Json], usage: Usage | None) -> Json:
    """Return a whole answer."""
    found: Json = {
        "id": asked.id,
        "object": "chat.completion",
        "created": asked.created,
        "model": asked.model,
        "choices": choices,
    }
    if usage is not None:
        found["usage"] = usage_json(usage)
    return found


def usage_json(usage: Usage) -> Json:
    """Return token counts in OpenAI's shape."""
    rare = {name: getattr(usage, name) for name in ("cache_write_1h_tokens", "audio_tokens", "image_tokens")}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            **{name: number for name, number in rare.items() if number},
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def read_cost(found: Json) -> Json:
    """Return the `sluice` object beside the counts of an answer or chunk, which tells its cost; {} when there is none."""
    usage = found.get("usage")
    return {"sluice": usage["sluice"]} if type(usage) is dict and "sluice" in usage else {}


def read_usage(found: Json) -> Usage | None:
    """Return the token counts of an answer or chunk, None if it has none that make sense."""
    usage = found.get("usage")
    counts = counts_of(usage) if type(usage) is dict else None
    if counts is None:
        return None
    kinds = counts.details or TokenDetails()
    return Usage(
        counts.prompt,
        counts.completion,
        kinds.cached,
        kinds.cache_write,
        kinds.reasoning,
        kinds.cache_write_1h,
        kinds.audio_input,
        kinds.image_input,
    )


def details(found: Json, name: str) -> Json:
    """Return an object member, an empty one when it is missing or something else."""
    value = found.get(name)
    return value if type(value) is dict else {}


def count(found: Json, name: str) -> int:
    """Return a count, 0 when it is missing or no count."""
    return count_of(found.get(name)) or 0


def is_chunk(found: Json) -> bool:
    """Tell whether a provider's chunk has the shape that a translator walks through."""
    choices = found.get("choices")
    if choices is None:
        return True
    return _objects(choices) and all(
        type(item.get("delta", {})) is dict
        and all(_objects(item.get("delta", {}).get(name)) for name in ("tool_calls", "reasoning_details"))
        for item in choices
    )


def is_answer(found: Json) -> bool:
    """Tell whether a provider's answer has the shape that a translator walks through."""
    choices = found.get("choices")
    return (
        choices is not None
        and _objects(choices)
        and all(
            type(item.get("message")) is dict
            and all(_objects(item["message"].get(name)) for name in ("tool_calls", "reasoning_details"))
            for item in choices
        )
    )


def _objects(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(type(item) is dict for item in value))


def objects(found: Json, name: str) -> list[Json]:
    """Return the objects of a list member; none when it is missing or something else."""
    value = found.get(name)
    return [item for item in value if type(item) is dict] if type(value) is list else []


def word(found: Json, name: str) -> str:
    """Return a string member, an empty one when it is missing or something else."""
    value = found.get(name)
    return value if type(value) is str else ""


def tool_call(identity: str, name: str, arguments: str, index: int | None = None) -> Json:
    """Return a tool call, with its place among the calls for a chunk."""
    found: Json = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
    return found if index is None else {"index": index, **found}


def safe_id(identity: str) -> str:
    """Return an id that every provider accepts (letters, digits, `_`, `-`, at most 64), the same for the same id."""
    if _ID.fullmatch(identity):
        return identity
    digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    return f"{_NOT_IN_ID.sub('_', identity)[:47]}_{digest}"


def assistant(content: list[str], calls: list[Json], thoughts: list[str], signed: list[Json]) -> Json:
    """Return the message of a whole answer."""
    message: Json = {
        "role": "assistant",
        "content": "".join(content) if content or not calls else None,
        "refusal": None,
    }
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if signed:
        message["reasoning_details"] = signed
    return message
