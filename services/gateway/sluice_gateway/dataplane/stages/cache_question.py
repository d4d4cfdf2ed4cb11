"""The question of a request: what is compared with other questions, and what has to be equal besides."""

from typing import Any, NamedTuple

from sluice.contracts.routing import SemanticCache
from sluice_gateway.domain.questions import Question, read

_TEXT_PARTS = frozenset({"text", "input_text"})


class Asking(NamedTuple):
    """A request's question, the place where questions like it lie, and how near they must be."""

    question: Question
    place: bytes
    policy: SemanticCache


class Apart(NamedTuple):
    """A body without its question, and the question."""

    text: str
    rest: dict[str, Any]


def apart(body: dict[str, Any]) -> Apart | None:
    """Return the last user message's text and all the rest of a body; None when it ends in anything but one text of the user."""
    name = "messages" if "messages" in body else "input"
    turns = body.get(name)
    if isinstance(turns, str):
        return Apart(turns, {**body, name: None})
    if not isinstance(turns, list) or not turns:
        return None
    last = turns[-1]
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    text = _only_text(last.get("content"))
    return None if text is None else Apart(text, {**body, name: [*turns[:-1], {**last, "content": None}]})


def _only_text(content: object) -> str | None:
    if isinstance(content, str):
        return content
    part = content[0] if isinstance(content, list) and len(content) == 1 else None
    if not isinstance(part, dict) or part.keys() != {"type", "text"} or part["type"] not in _TEXT_PARTS:
        return None
    text = part["text"]
    return text if isinstance(text, str) else None


def readable(body: dict[str, Any]) -> tuple[Question, dict[str, Any]] | None:
    """Return a body's question as it is compared, and the rest; None when it has none that can be."""
    found = apart(body)
    question = None if found is None else read(found.text)
    return None if found is None or question is None else (question, found.rest)
