"""A stored prompt as a request to /v1/responses: its fields are those of a chat completion, and are renamed."""

from collections.abc import Mapping
from typing import Any

from sluice.contracts.prompts import PromptMessage, PromptTemplate

_SAME = frozenset(
    {"temperature", "top_p", "top_logprobs", "user", "metadata", "parallel_tool_calls", "service_tier", "safety_identifier",
     "prompt_cache_key", "sluice"}
)  # fmt: skip


class Unsuited(Exception):
    """The prompt says something that /v1/responses has no name for."""


def response_of(
    template: PromptTemplate, messages: tuple[PromptMessage, ...], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of the request: the template's, and over them what was asked; the request's input follows the prompt's messages.

    Raises:
        Unsuited: a parameter of the template has no counterpart.
    """
    said: dict[str, Any] = {"model": template.model} if template.model is not None else {}
    for name, value in template.parameters.items():
        said |= _renamed(name, value)
    own = {name: value for name, value in asked.items() if name not in ("prompt", "input")}
    return {**said, **own, "input": [*(one.model_dump() for one in messages), *_following(asked.get("input"))]}


def _following(given: Any) -> list[Any]:
    if given is None or given == "":
        return []
    return given if isinstance(given, list) else [{"role": "user", "content": given}]


def _renamed(name: str, value: Any) -> dict[str, Any]:
    match name:
        case "max_tokens" | "max_completion_tokens":
            return {"max_output_tokens": value}
        case "reasoning_effort":
            return {"reasoning": {"effort": value}}
        case "response_format" if isinstance(value, dict):
            schema = value.get("json_schema")
            return {"text": {"format": {"type": value.get("type"), **(schema if isinstance(schema, dict) else {})}}}
        case "tools" if isinstance(value, list):
            return {"tools": [_flat(tool) for tool in value]}
        case "tool_choice":
            return {"tool_choice": _flat(value)}
        case _ if name in _SAME:
            return {name: value}
    raise Unsuited(
        f"The prompt's parameter `{name}` has no counterpart in /v1/responses. Ask with /v1/prompts/…/chat/completions, or leave it out of "
        "a new version."
    )


def _flat(value: Any) -> Any:
    if isinstance(value, dict) and value.get("type") == "function" and isinstance(value.get("function"), dict):
        return {"type": "function", **value["function"]}
    return value
