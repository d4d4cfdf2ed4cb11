"""Requests in OpenAI's shape, checked and cut to what an SDK is asked: pure functions."""

from typing import Any, NamedTuple

from sluice_bridge.domain.errors import refused

# OpenAI's fields that any-llm translates for every provider, or refuses by name where a provider has none of the kind.
# Source: any_llm.types.completion.CompletionParams, any-llm-sdk 1.40
_CHAT = frozenset(
    {
        "messages", "tools", "tool_choice", "temperature", "top_p", "max_tokens", "response_format", "n", "stop",
        "presence_penalty", "frequency_penalty", "seed", "parallel_tool_calls", "logprobs", "top_logprobs", "logit_bias",
        "reasoning_effort",
    }
)  # fmt: skip
# They change nothing in an answer, so a provider that does not know them answers as well without.
_WITHOUT_EFFECT = frozenset(
    {
        "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier",
        "stream_options", "sluice",
    }
)  # fmt: skip
_EMBEDDING = frozenset({"encoding_format", "dimensions"})
_RERANK = frozenset({"top_n", "return_documents", "max_tokens_per_doc"})


class Asked(NamedTuple):
    """What an SDK is asked for: its provider's id, the model's name there, and the arguments of the call."""

    provider: str
    model: str
    fields: dict[str, Any]


class Chat(NamedTuple):
    """A conversation to be continued; `usage` says whether a stream ends with the tokens it took."""

    asked: Asked
    stream: bool
    usage: bool


def named(body: dict[str, Any]) -> tuple[str, str]:
    """Return provider and model of `provider/model`.

    Raises:
        ProviderFailed: there is no such name in the body.
    """
    model = body.get("model")
    if not isinstance(model, str):
        raise refused("model", "must be a string such as cohere/command-a-03-2025.")
    provider, slash, rest = model.partition("/")
    if not slash or not provider or not rest:
        raise refused("model", "must name its provider first, such as cohere/command-a-03-2025.")
    return provider, rest


def chat(body: dict[str, Any], extra: frozenset[str]) -> Chat:
    """Return what a chat completion asks for; a field that is null counts as not sent.

    Raises:
        ProviderFailed: a field has no counterpart at such a provider, or a value is of the wrong kind.
    """
    provider, model = named(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise refused("messages", "must be a list of one message at least.")
    stream, options = body.get("stream") or False, body.get("stream_options") or {}
    if not isinstance(stream, bool) or not isinstance(options, dict):
        raise refused("stream", "must be true or false, and `stream_options` an object.")
    fields = _picked(body, _CHAT, extra, ignored=_WITHOUT_EFFECT | {"model", "stream", "max_completion_tokens"})
    longest = body.get("max_completion_tokens")
    if longest is not None:
        fields["max_tokens"] = longest
    return Chat(Asked(provider, model, fields), stream, bool(options.get("include_usage")))


def embedding(body: dict[str, Any], extra: frozenset[str]) -> tuple[Asked, str | list[str]]:
    """Return what an embedding asks for, and its texts.

    Raises:
        ProviderFailed: the input is no text (lists of token numbers are some other model's), or a field has no counterpart.
    """
    provider, model = named(body)
    given = body.get("input")
    if not isinstance(given, str) and not (_are_texts(given) and given):
        raise refused("input", "must be a text, or a list of texts; token numbers mean nothing to this provider.")
    assert given is not None
    fields = _picked(body, _EMBEDDING, extra, ignored=_WITHOUT_EFFECT | {"model", "input"})
    return Asked(provider, model, fields), given


def rerank(body: dict[str, Any], extra: frozenset[str]) -> tuple[Asked, str, list[str]]:
    """Return what a ranking asks for, the query and the documents.

    Raises:
        ProviderFailed: the query or the documents are no texts, or a field has no counterpart.
    """
    provider, model = named(body)
    query, documents = body.get("query"), body.get("documents")
    if not isinstance(query, str) or not query:
        raise refused("query", "must be a text.")
    if not _are_texts(documents) or not documents:
        raise refused("documents", "must be a list of one text at least.")
    fields = _picked(body, _RERANK, extra, ignored=_WITHOUT_EFFECT | {"model", "query", "documents"})
    return Asked(provider, model, fields), query, documents


def _are_texts(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(one, str) for one in given)


def _picked(
    body: dict[str, Any], known: frozenset[str], extra: frozenset[str], *, ignored: frozenset[str]
) -> dict[str, Any]:
    found = {}
    for name, value in body.items():
        if name in known or name in extra:
            if value is not None:
                found[name] = value
        elif name not in ignored and value is not None:
            raise refused(
                name,
                "has no counterpart at this provider. Leave it out, or name it in `extra_fields` of the provider in bridge.yaml if it is one of its own.",
            )
    return found
