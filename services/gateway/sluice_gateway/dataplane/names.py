"""Names in a body that another reader takes for ours. Go's JSON reader (Ollama, LocalAI) matches names whatever their case, so that a `Content` beside
the `content` that was guarded would be what the model reads; the last one counts there. Source: https://pkg.go.dev/encoding/json#Unmarshal

Folding is Unicode's, as in Go: the long s of `meſſages` and the Kelvin sign of `top_K` are caught as well.
"""

from collections.abc import Iterable
from typing import Any

from sluice_gateway.dataplane.errors import wrong_value

# What the gateway decides on, guards or rewrites, and the usual ones beside, so that the usual body needs one look only.
USUAL = frozenset(
    {
        "model", "messages", "prompt", "suffix", "input", "query", "documents", "instructions", "system", "sluice", "stream", "stream_options",
        "max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "top_p", "top_k", "min_p", "n", "best_of", "stop",
        "stop_sequences", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "text",
        "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "reasoning", "reasoning_effort", "thinking", "user",
        "metadata", "store", "service_tier", "encoding_format", "dimensions", "top_n", "return_documents", "modalities", "audio", "prediction",
        "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "prompt_cache_key", "safety_identifier",
        "previous_response_id", "conversation", "background", "include", "options", "format", "voice", "size", "quality", "style",
    }
)  # fmt: skip
_OF_MESSAGES = frozenset(
    {
        "role", "content", "name", "text", "type", "refusal", "image_url", "url", "detail", "input_audio", "data", "file", "file_data", "file_id",
        "file_url", "filename", "tool_calls", "tool_call_id", "function", "arguments", "id", "call_id", "output", "source", "media_type",
        "tool_use_id", "is_error", "thinking", "signature", "reasoning_content", "images", "cache_control", "index",
    }
)  # fmt: skip
_FREE = frozenset({"input", "output", "metadata", "arguments"})  # their names are the caller's own
_DEEPEST = 8  # levels below a message; a source in a part in a tool's result is the third


def check_fields(fields: dict[str, Any]) -> None:
    """Refuse a field of the body that differs from one of ours only in case.

    Raises:
        InvalidRequest: there is one.
    """
    _check(fields, USUAL, "")


def check_messages(messages: Iterable[Any], where: str, level: int = 0) -> None:
    """Refuse the same inside of messages, their parts and their calls; `where` is the name of their list, `level` how deep it stands.

    Raises:
        InvalidRequest: there is one.
    """
    for place, message in enumerate(messages):
        if type(message) is dict:
            check_message(message, f"{where}[{place}].", level)


def check_message(message: dict[str, Any], where: str, level: int = 0) -> None:
    """Refuse the same inside of one message, which stands at `where`, `level` levels deep; too deep for any server's names is not looked at.

    Raises:
        InvalidRequest: there is one.
    """
    if not _OF_MESSAGES.issuperset(message):
        _check(message, _OF_MESSAGES, where)
    if level == _DEEPEST:
        return
    for name, value in message.items():
        if name in _FREE:
            continue
        if type(value) is dict:
            check_message(value, f"{where}{name}.", level + 1)
        elif type(value) is list:
            check_messages(value, f"{where}{name}", level + 1)


def _check(found: dict[str, Any], known: frozenset[str], where: str) -> None:
    for name in found:
        if name not in known and (meant := name.casefold()) in known:
            raise wrong_value(
                f"{where}{name}",
                f"differs from `{meant}` only in case, and some servers would read it in its place. Write `{meant}`, or leave it out.",
            )
