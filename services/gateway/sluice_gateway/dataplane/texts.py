"""The pieces of text in a request body: found for guards, put back when a guard changed them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sluice_gateway.dataplane.body import Fields, Kind

Path = tuple[str | int, ...]
# Where engines read words besides: vLLM takes parts of the type `input_text`, its templates read `reasoning` and `documents`.
_SAID = frozenset(
    {"text", "thinking", "refusal", "reasoning", "reasoning_content", "summary", "content", "transcript", "title"}
)
_OF_MESSAGE = frozenset({"reasoning_content", "reasoning", "refusal"})
# Whoever calls himself otherwise is a user: the guardrail has roles of its own, which no message may claim.
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_PARTS = frozenset(
    {
        "text", "input_text", "output_text", "refusal", "thinking", "redacted_thinking", "reasoning", "summary_text", "image_url", "input_image", "image", "image_embeds",
        "input_audio", "audio", "audio_url", "video_url", "video", "file", "input_file", "document", "tool_result",
    }
)  # fmt: skip
_MAX_SYSTEM = 50_000  # characters
_PLAIN = 2  # names of a message that holds a text and no more


class Piece(NamedTuple):
    """One text with its place in the body."""

    path: Path
    role: str
    text: str


def pieces(fields: Fields, kind: Kind) -> list[Piece]:
    """Return every text that a model will read as words: messages, tool results and arguments, prompts and inputs."""
    if kind == "rerank":
        return list(_of_ranking(fields))
    if kind == "chat":
        found = [piece for index, message in enumerate(fields["messages"]) for piece in _of_message(index, message)]
        for name, role in (("documents", "context"), ("prediction", "assistant")):
            found += _said((name,), name, fields[name], role) if name in fields else ()
        return found
    name = "input" if kind in ("embedding", "speech") else "prompt"
    value = fields.get(name) or ()
    suffix = fields.get("suffix")
    after = [Piece(("suffix",), "user", suffix)] if isinstance(suffix, str) else []
    if isinstance(value, str):
        return [Piece((name,), "user", value), *after]
    return [*(Piece((name, index), "user", item) for index, item in enumerate(value) if isinstance(item, str)), *after]


def replaced(fields: Fields, changes: list[tuple[Path, str]]) -> Fields:
    """Return a copy of the body in which the given texts stand; what did not change is shared with the original."""
    out = dict(fields)
    for path, text in changes:
        _put(out, path, text)
    return out


def question(found: list[Piece]) -> str:
    """Return the text of the last user message, or the last text there is: what routing and retrieval ask with."""
    last = next((piece.path[:2] for piece in reversed(found) if piece.role == "user"), None)
    if last is None:
        return found[-1].text if found else ""
    return "\n".join(piece.text for piece in found if piece.path[:2] == last)


def system_prompts(fields: Fields) -> list[str]:
    """Return the system prompts of a chat, of each its beginning: the guardrail looks for them in the answer."""
    found = []
    messages = fields.get("messages")
    for message in messages if isinstance(messages, list) else ():
        speaks = isinstance(message, dict) and message.get("role") in ("system", "developer")
        content = message.get("content") if speaks else None
        if isinstance(content, list):
            content = "\n".join(piece.text for part in content for piece in _said((), "content", part, ""))
        if content and isinstance(content, str):
            found.append(content[:_MAX_SYSTEM])
    return found


def size(found: list[Piece]) -> int:
    """Return how many bytes of text there are."""
    return sum(len(piece.text.encode()) for piece in found)


def _of_message(index: int, message: dict[str, Any]) -> Iterator[Piece]:
    role = message["role"] if message["role"] in ROLES else "user"
    content = message.get("content")
    if isinstance(content, str):
        yield Piece(("messages", index, "content"), role, content)
    elif isinstance(content, list):
        for place, part in enumerate(content):
            yield from _of_part(("messages", index, "content", place), part, role)
    elif content:
        yield from _said(("messages", index, "content"), "", content, role)
    for name in _OF_MESSAGE.intersection(message) if len(message) > _PLAIN else ():
        yield from _said(("messages", index, name), name, message[name], role)
    yield from _arguments(("messages", index), message, role)
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        for place, call in enumerate(calls):
            if isinstance(call, dict):
                yield from _arguments(("messages", index, "tool_calls", place), call, role, "function")
                if "custom" in call:
                    yield from _arguments(("messages", index, "tool_calls", place), call, role, "custom", "input")


def _of_part(at: Path, part: object, role: str) -> Iterator[Piece]:
    # Nobody knows which words of a part that is not known are read, so all are.
    if isinstance(part, dict) and part.get("type") not in _PARTS:
        for name, item in part.items():
            if name != "type":
                yield from _leaves((*at, name), item, role)
    else:
        yield from _said(at, "content", part, role)


def _arguments(
    at: Path, holder: dict[str, Any], role: str, name: str = "function_call", given: str = "arguments"
) -> Iterator[Piece]:
    function = holder.get(name)
    if not isinstance(function, dict) or given not in function:
        return
    if isinstance(function[given], str):
        yield Piece((*at, name, given), role, function[given])
    else:
        yield from _leaves((*at, name, given), function[given], role)


def _leaves(at: Path, value: object, role: str) -> Iterator[Piece]:
    # Every text in what should be one, and is an object with some engines.
    if isinstance(value, str):
        yield Piece(at, role, value)
    elif isinstance(value, list | dict):
        for place, item in enumerate(value) if isinstance(value, list) else value.items():
            yield from _leaves((*at, place), item, role)


def _said(at: Path, name: str, value: object, role: str) -> Iterator[Piece]:
    # Every text under a name for words, at any depth.
    if isinstance(value, str):
        if name in _SAID:
            yield Piece(at, role, value)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _said((*at, place), name, item, role)
    elif isinstance(value, dict):
        for inner, item in value.items():
            yield from _said((*at, inner), inner, item, role)


def _of_ranking(fields: Fields) -> Iterator[Piece]:
    yield Piece(("query",), "user", fields["query"])
    for place, document in enumerate(fields["documents"]):
        if isinstance(document, str):
            yield Piece(("documents", place), "context", document)
        else:
            yield Piece(("documents", place, "text"), "context", document["text"])


def _put(target: Any, path: Path, text: str) -> None:
    # Copies each container on the way down, so that the caller's parsed body stays as it came.
    for step in path[:-1]:
        child = target[step]
        target[step] = list(child) if isinstance(child, list) else dict(child)
        target = target[step]
    target[path[-1]] = text
