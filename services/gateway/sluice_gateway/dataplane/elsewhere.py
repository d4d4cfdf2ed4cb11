"""Texts of a request that stand where nobody looks for words: in fields that the gateway does not know, and in parts of messages that only some servers read.

What is sent is sent whole, so whatever may be read as words has to be checked, wherever it stands: that alone is left out which no model reads,
and what others find (`texts`, `naming`, `definitions`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sluice_gateway.dataplane.body import Fields, Kind
from sluice_gateway.dataplane.definitions import HOLDERS, ROLE
from sluice_gateway.dataplane.texts import ROLES, Path, Piece

# Who asks and what for, where an answer ends, and what is no text at all.
_UNREAD = frozenset(
    {
        "model", "user", "safety_identifier", "metadata", "prompt_cache_key", "stop", "stop_sequences", "logit_bias", "tool_choice", "sluice",
        "data", "url", "image_url", "video_url", "audio_url", "image_embeds", "file_data", "file_url", "file_id", "images", "signature", "encrypted_content", "b64_json",
    }
)  # fmt: skip
# Words of a fixed list, and what programs made up: read where they are no such word.
_CODES = frozenset(
    {
        "type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "index", "format", "detail", "media_type", "status", "ttl", "effort", "mode", "language",
        "encoding_format", "input_type", "task_type", "response_format", "output_format", "size", "quality", "style", "background", "moderation", "voice",
        "reasoning_effort", "verbosity", "modalities", "service_tier", "truncation", "prompt_cache_retention", "timestamp_granularities", "include",
    }
)  # fmt: skip
_ADDRESSES = frozenset({"image_url", "video_url", "audio_url"})  # as objects they say more than where something is
_CALLED = frozenset({"function", "custom", "function_call"})
_PLAIN = 2  # names of a message that holds a text and no more


def elsewhere(fields: Fields, kind: Kind, found: Iterable[Piece]) -> list[Piece]:
    """Return the texts of a body that are not among those `found`; names that read as words come together, since they cannot be changed."""
    out: list[Piece] = []
    reader: _Reader | None = None
    for name, value in fields.items():
        if name in _UNREAD or name in HOLDERS or name == "function_call" or not isinstance(value, str | list | dict):
            continue
        reader = _Reader({piece.path for piece in found}, talks=kind == "chat") if reader is None else reader
        if name == "messages" and kind == "chat":
            for index, message in enumerate(value):
                known = message["role"] in ROLES
                if len(message) > _PLAIN or not known or not isinstance(message.get("content"), str):
                    out += reader.texts(message, (name, index), "", message["role"] if known else "user")
        else:
            out += reader.texts(value, (name,), name, "user")
        if reader.names:
            out.append(Piece((name,), ROLE, "\n".join(reader.names)))
            reader.names.clear()
    return out


class _Reader:
    """Walks through a body; `names` are those that read as words since they were last cleared."""

    def __init__(self, known: set[Path], *, talks: bool) -> None:
        self._known = known
        self._talks = talks
        self.names: dict[str, None] = {}

    def texts(self, value: Any, at: Path, name: str, role: str) -> Iterator[Piece]:
        """Yield the texts in a value that stands under `name`."""
        if isinstance(value, str):
            if value.strip() and at not in self._known and not self._is_code(value, at, name):
                yield Piece(at, role, value)
        elif isinstance(value, list):
            for place, item in enumerate(value):
                yield from self.texts(item, (*at, place), name, role)
        elif isinstance(value, dict):
            for inner, item in value.items():
                if _has_words(inner):
                    self.names[inner] = None
                said = inner == "data" and value.get("type") == "text"
                if inner not in _UNREAD or said or (inner in _ADDRESSES and isinstance(item, dict)):
                    yield from self.texts(item, (*at, inner), inner, role)

    def _is_code(self, value: str, at: Path, name: str) -> bool:
        if name == "name" and self._talks and at[0] == "messages":  # of who speaks, and of what was called
            return len(at) == 3 or at[-2] in _CALLED
        return name in _CODES and (value in ROLES if name == "role" else not _has_words(value))


def _has_words(name: str) -> bool:
    return not name.isidentifier() and any(map(str.isspace, name))
