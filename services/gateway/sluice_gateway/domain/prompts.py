"""Prompts: which variables a template has, and the messages that it becomes.

Sections stand in the order that models are said to read best: who they are, what is known, examples, what is to be done, with
what, and in which form the answer should be (handbook F103).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sluice.contracts.prompts import PromptMessage, PromptSections, PromptTemplate
from sluice_gateway.domain.errors import PromptVariablesWrong

Value = str | bool | int | float
_VARIABLE = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]*\}\}")
_SECTIONS = ("context", "examples", "task", "input", "output_format")


class StoredVersion(NamedTuple):
    """One version as it is stored; times are unix seconds."""

    prompt: str
    version: int
    template: PromptTemplate
    created_by: str
    created_at: int


def variables_of(sections: PromptSections) -> tuple[str, ...]:
    """Return the names of the variables, in the order in which they are read."""
    texts = [sections.system or "", *(text for _, text in _of_user(sections))]
    return tuple(dict.fromkeys(match[1] for text in texts for match in _VARIABLE.finditer(text)))


def rendered(template: PromptTemplate, given: Mapping[str, Value]) -> tuple[PromptMessage, ...]:
    """Return the messages of a template with the values of its variables, which are taken as they are and not looked through.

    Raises:
        PromptVariablesWrong: a variable has no value, or a value belongs to none.
    """
    sections = template.sections
    names = variables_of(sections)
    _check(names, template.defaults, given)
    values = {**template.defaults, **{name: _text(value) for name, value in given.items()}}

    def filled(text: str) -> str:
        return _VARIABLE.sub(lambda match: values[match[1]], text)

    parts = [(name, filled(text)) for name, text in _of_user(sections)]
    messages = [] if sections.system is None else [PromptMessage(role="system", content=filled(sections.system))]
    if parts:
        messages.append(PromptMessage(role="user", content=_joined(parts, template.style)))
    return tuple(messages)


def values_in_system(template: PromptTemplate, given: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the texts among the given values that stand in the system message, each once: a message that guards trust, and not these words in it."""
    names = (match[1] for match in _VARIABLE.finditer(template.sections.system or ""))
    texts = (value for name in names if isinstance(value := given.get(name), str) and value.strip())
    return tuple(dict.fromkeys(texts))


def request_of(
    template: PromptTemplate, messages: tuple[PromptMessage, ...], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of the chat completion: the template's, and over them what was asked; messages of the request follow."""
    own = {name: value for name, value in asked.items() if name not in ("prompt", "messages")}
    said = {"model": template.model} if template.model is not None else {}
    following = asked.get("messages") or []
    return {**said, **template.parameters, **own, "messages": [*(one.model_dump() for one in messages), *following]}


def _of_user(sections: PromptSections) -> Iterator[tuple[str, str]]:
    for name in _SECTIONS:
        if name == "examples":
            if sections.examples:
                yield name, "\n\n".join(f"Input: {one.input}\nOutput: {one.output}" for one in sections.examples)
        elif (text := getattr(sections, name)) is not None:
            yield name, text


def _joined(parts: list[tuple[str, str]], style: str) -> str:
    if len(parts) == 1:
        return parts[0][1]
    if style == "xml":
        return "\n\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in parts)
    return "\n\n".join(f"# {name.replace('_', ' ').capitalize()}\n\n{text}" for name, text in parts)


def _check(names: tuple[str, ...], defaults: Mapping[str, str], given: Mapping[str, Value]) -> None:
    missing = [name for name in names if name not in given and name not in defaults]
    if missing:
        raise PromptVariablesWrong(
            f"The prompt has variables without a value: {', '.join(missing)}. Send them in `prompt.variables`."
        )
    strange = [name for name in given if name not in names]
    if strange:
        raise PromptVariablesWrong(
            f"The prompt has no variables {', '.join(strange)}; it has {', '.join(names) or 'none'}. Leave them out."
        )


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
