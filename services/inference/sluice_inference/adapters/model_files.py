"""What model files say of their chat template and vocabulary: GGUF files, and folders as Hugging Face lays them out."""

import json
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sluice_inference.domain.errors import EngineFailed

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_LONGEST = 64 * 1024 * 1024
_TEMPLATE, _TOKENS = "tokenizer.chat_template", "tokenizer.ggml.tokens"


class Chat(NamedTuple):
    """The chat template of a model, None if it has none, and its vocabulary."""

    template: str | None
    vocabulary: Collection[str]


def chat_of_gguf(file: Path) -> Chat:
    """Read the chat template and the vocabulary of a GGUF file.

    Raises:
        EngineFailed: it is no GGUF file.
    """
    found = head_of_gguf(file, (_TEMPLATE, _TOKENS))
    return Chat(found.get(_TEMPLATE), frozenset(found.get(_TOKENS) or ()))


def head_of_gguf(file: Path, keys: Collection[str]) -> dict[str, Any]:
    """Read these texts and lists of texts, where they are there, from the head of a GGUF file of version 2 or 3.

    The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

    Raises:
        EngineFailed: it is no GGUF file.
    """
    try:
        with file.open("rb") as source:
            magic, version, _, count = struct.unpack("<4sIQQ", source.read(24))
            if magic != b"GGUF" or version not in (2, 3):
                raise EngineFailed(
                    f"{file} is no GGUF file of version 2 or 3. Convert the model with a current llama.cpp.",
                    lasting=True,
                )
            found: dict[str, Any] = {}
            for _ in range(count):
                key = _text(source)
                value = _value(source, _whole(source, 4), wanted=key in keys)
                if key in keys:
                    found[key] = value
    except (struct.error, UnicodeDecodeError, ValueError, OSError) as exc:
        raise EngineFailed(
            f"{file} cannot be read as a GGUF file: {exc}. Fetch or convert it again.", lasting=True
        ) from exc
    return found


def _value(source: BinaryIO, kind: int, *, wanted: bool) -> Any:
    if kind == _STRING:
        return _text(source)
    if kind == _ARRAY:
        inner, count = _whole(source, 4), _whole(source, 8)
        if inner in _SIZES:
            source.seek(_SIZES[inner] * count, 1)
            return None
        items = (_value(source, inner, wanted=wanted) for _ in range(count))
        if wanted:
            return list(items)
        for _ in items:
            pass
        return None
    source.seek(_SIZES[kind] if kind in _SIZES else _unknown(kind), 1)
    return None


def _unknown(kind: int) -> int:
    raise ValueError(f"unknown type {kind} in its head")


def _text(source: BinaryIO) -> str:
    length = _whole(source, 8)
    if length > _LONGEST:
        raise ValueError("a text in its head is longer than the file can hold")
    return source.read(length).decode("utf-8", errors="replace")


def _whole(source: BinaryIO, size: int) -> int:
    data = source.read(size)
    if len(data) < size:
        raise ValueError("it ends in its head")
    return int.from_bytes(data, "little")


def chat_of_folder(folder: Path) -> Chat | None:
    """Read a model's folder, None if it has no `tokenizer.json` to judge by."""
    tokens = _json(folder / "tokenizer.json")
    if tokens is None:
        return None
    vocabulary = {str(one.get("content")) for one in tokens.get("added_tokens") or ()}
    known = (tokens.get("model") or {}).get("vocab")
    vocabulary |= set(known) if isinstance(known, dict) else {str(one[0]) for one in known or ()}
    file = folder / "chat_template.jinja"
    if file.is_file():
        return Chat(file.read_text(encoding="utf-8"), vocabulary)
    said = (_json(folder / "tokenizer_config.json") or {}).get("chat_template")
    if isinstance(said, list):  # several by name
        said = next((one.get("template") for one in said if one.get("name") == "default"), None)
    return Chat(said if isinstance(said, str) else None, vocabulary)


def _json(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
