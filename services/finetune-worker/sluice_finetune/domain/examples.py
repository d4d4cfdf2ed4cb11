"""Reads one line of a training file: OpenAI chat, Alpaca or ShareGPT (handbook F232–F234)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

from sluice.contracts.finetune import DatasetFormat

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_SPEAKERS = {
    "system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "tool": "tool", "observation": "tool", "function_call": "assistant",
}  # fmt: skip
_NAMES: Mapping[DatasetFormat, str] = {
    "openai_chat": "OpenAI chat (`messages`)",
    "alpaca": "Alpaca (`instruction`, `output`)",
    "sharegpt": "ShareGPT (`conversations`)",
}


class LineUnusable(ValueError):
    """The line is no example; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of an example."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """What goes in and what should come out: `output` is all that the assistant says, `input` is the rest."""

    format: DatasetFormat
    turns: tuple[Turn, ...]

    @property
    def input_characters(self) -> int:
        """How many characters are given."""
        return sum(len(turn.text) for turn in self.turns if turn.role != "assistant")

    @property
    def output(self) -> str:
        """What should come out."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "assistant")

    @property
    def digest(self) -> bytes:
        """A digest that is the same in every process and differs when a border between fields moves."""
        hashed = sha256()
        for turn in self.turns:
            for part in (turn.role, turn.text):
                encoded = part.encode("utf-8", "surrogatepass")
                hashed.update(len(encoded).to_bytes(8, "big"))
                hashed.update(encoded)
        return hashed.digest()


def read_example(line: bytes, expected: DatasetFormat | None) -> Example:
    """Return the example on a line.

    Raises:
        LineUnusable: it is not JSON, of no known format, of another format than `expected`, or incomplete.
    """
    row = _json_object(line)
    found = _format_of(row)
    if expected is not None and found != expected:
        raise LineUnusable(f"this line is {_NAMES[found]}, and the file began as {_NAMES[expected]}")
    readers = {"openai_chat": _chat, "alpaca": _alpaca, "sharegpt": _sharegpt}
    return Example(found, readers[found](row))


def _json_object(line: bytes) -> Mapping[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as exc:
        raise LineUnusable(f"byte {exc.start + 1} is not UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise LineUnusable(f"not JSON: {exc.msg} at column {exc.colno}") from exc
    except RecursionError as exc:
        raise LineUnusable("nested too deeply") from exc
    if isinstance(row, list):
        raise LineUnusable("this is a JSON array; write one JSON object per line")
    if not isinstance(row, dict):
        raise LineUnusable("the line must be a JSON object")
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise LineUnusable(f"{name} is not JSON")


def _format_of(row: Mapping[str, Any]) -> DatasetFormat:
    if "messages" in row:
        return "openai_chat"
    if "conversations" in row:
        return "sharegpt"
    if "instruction" in row or "output" in row:
        return "alpaca"
    raise LineUnusable(
        "none of the known formats: give `messages` (OpenAI chat), `instruction` and `output` (Alpaca), or `conversations` (ShareGPT)"
    )


def _chat(row: Mapping[str, Any]) -> tuple[Turn, ...]:
    messages = _list_of(row, "messages")
    turns = tuple(_message(message, f"messages[{at}]") for at, message in enumerate(messages))
    return _complete(turns, "messages", "a message with role `assistant`")


def _message(message: Any, where: str) -> Turn:
    if not isinstance(message, dict):
        raise LineUnusable(f"{where} must be an object")
    role = message.get("role")
    if role not in _ROLES:
        raise LineUnusable(f"{where}.role must be one of {', '.join(sorted(_ROLES))}")
    weight = message.get("weight")
    if weight is not None and weight not in (0, 1):
        raise LineUnusable(f"{where}.weight must be 0 or 1")
    content = message.get("content")
    if content is None and role == "assistant" and (message.get("tool_calls") or message.get("function_call")):
        return Turn(role, json.dumps(message.get("tool_calls") or message.get("function_call"), sort_keys=True))
    return Turn(role, _content(content, where))


def _content(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "\n".join(part["text"] for part in content)
    raise LineUnusable(f"{where}.content must be a string, or a list of text parts")


def _alpaca(row: Mapping[str, Any]) -> tuple[Turn, ...]:
    given = [_text(row, "instruction")]
    if row.get("input"):
        given.append(_text(row, "input"))
    # Two turns, so that instruction and input keep their border in the digest.
    turns = (*(Turn("user", text) for text in given), Turn("assistant", _text(row, "output")))
    return _complete(turns, "output", "a text in `output`")


def _sharegpt(row: Mapping[str, Any]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for at, said in enumerate(_list_of(row, "conversations")):
        where = f"conversations[{at}]"
        if not isinstance(said, dict):
            raise LineUnusable(f"{where} must be an object")
        speaker = said.get("from")
        if not isinstance(speaker, str) or speaker not in _SPEAKERS:
            raise LineUnusable(f"{where}.from must be one of {', '.join(sorted(_SPEAKERS))}")
        if not isinstance(said.get("value"), str):
            raise LineUnusable(f"{where}.value must be a string")
        turns.append(Turn(_SPEAKERS[speaker], said["value"]))
    return _complete(tuple(turns), "conversations", "a turn from `gpt`")


def _complete(turns: tuple[Turn, ...], where: str, needed: str) -> tuple[Turn, ...]:
    if not any(turn.role == "assistant" and turn.text.strip() for turn in turns):
        raise LineUnusable(f"{where}: there is nothing to learn without {needed} that is not empty")
    if not any(turn.role != "assistant" and turn.text.strip() for turn in turns):
        raise LineUnusable(f"{where}: there is nothing to answer")
    return turns


def _list_of(row: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = row[name]
    if not isinstance(value, list) or not value:
        raise LineUnusable(f"`{name}` must be a list that is not empty")
    return value


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise LineUnusable(f"`{name}` must be a string")
    return value
