"""The messages of a hub request in a neutral form that every provider can be written from.

Messages of the same side are joined into one turn, and the results of tool calls stand first in the user's turn, as
Anthropic, Gemini and Bedrock demand.
"""

from dataclasses import dataclass, field

from sluice_gateway.translate import media
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.media import Media
from sluice_gateway.translate.reading import items, json_object, mapping, named, text
from sluice_gateway.translate.shapes import Json

_MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Text:
    """Words; `cache` is a provider's cache mark that came with them."""

    text: str
    cache: Json | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """An image, and where in the request it stands."""

    media: Media
    where: str
    cache: Json | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file such as a PDF."""

    media: Media
    name: str
    where: str
    cache: Json | None = None


@dataclass(frozen=True, slots=True)
class Thought:
    """A signed piece of a model's thinking; `call` is the tool call that it belongs to."""

    format: str
    text: str
    signature: str | None = None
    data: str | None = None
    call: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call that the model asked for."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call returned."""

    id: str
    name: str
    parts: tuple["Piece", ...]
    failed: bool = False


Piece = Text | Picture | Document | Thought | ToolUse | ToolResult


@dataclass(slots=True)
class Turn:
    """All that one side said before the other spoke."""

    by_user: bool
    pieces: list[Piece] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """The instructions and the turns of a request, and the tools that it has calls of."""

    system: list[Text] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    called: dict[str, str] = field(default_factory=dict)

    def add(self, *, by_user: bool, pieces: list[Piece]) -> None:
        """Add what one message says to the turn that it belongs to."""
        if not pieces:
            return
        if not self.turns or self.turns[-1].by_user is not by_user:
            self.turns.append(Turn(by_user))
        self.turns[-1].pieces.extend(pieces)


def read(fields: Json) -> Conversation:
    """Read the messages of a hub request.

    Raises:
        Untranslatable: a message has a role, part or value that has no neutral form.
    """
    found = Conversation()
    for index, message in enumerate(items(fields.get(_MESSAGES), _MESSAGES)):
        where = f"messages[{index}]"
        _READERS.get(named(mapping(message, where), "role", where), _unknown_role)(message, where, found)
    if not found.turns:
        raise Untranslatable(_MESSAGES, "must hold at least one message of the user.")
    return found


def _system(message: Json, where: str, found: Conversation) -> None:
    for piece in _parts(message.get("content"), f"{where}.content"):
        if not isinstance(piece, Text):
            raise Untranslatable(f"{where}.content", "must be text in a system message.")
        found.system.append(piece)


def _user(message: Json, where: str, found: Conversation) -> None:
    found.add(by_user=True, pieces=_parts(message.get("content"), f"{where}.content"))


def _assistant(message: Json, where: str, found: Conversation) -> None:
    if message.get("function_call") is not None:
        raise Untranslatable(f"{where}.function_call", "is out of use; send `tool_calls` instead.")
    if message.get("audio") is not None:
        raise Untranslatable(f"{where}.audio", "has no counterpart on this model.")
    pieces: list[Piece] = list(_thoughts(message.get("reasoning_details"), f"{where}.reasoning_details"))
    content = message.get("content")
    pieces += _parts(content, f"{where}.content")
    refused = message.get("refusal")
    if type(refused) is str and refused and not content:
        pieces.append(Text(refused))
    for place, call in enumerate(items(message.get("tool_calls") or [], f"{where}.tool_calls")):
        use = _tool_use(call, f"{where}.tool_calls[{place}]")
        found.called[use.id] = use.name
        pieces.append(use)
    found.add(by_user=False, pieces=pieces)


def _tool_use(call: object, where: str) -> ToolUse:
    fields = mapping(call, where)
    if fields.get("type", "function") != "function":
        raise Untranslatable(f"{where}.type", 'must be "function" for this model.')
    function = mapping(fields.get("function"), f"{where}.function")
    return ToolUse(
        named(fields, "id", where),
        named(function, "name", f"{where}.function"),
        json_object(function.get("arguments", ""), f"{where}.function.arguments"),
    )


def _tool(message: Json, where: str, found: Conversation) -> None:
    identity = named(message, "tool_call_id", where)
    name = found.called.get(identity)
    if name is None:
        raise Untranslatable(f"{where}.tool_call_id", "names no tool call of an earlier message.")
    parts = tuple(_parts(message.get("content"), f"{where}.content"))
    result = ToolResult(identity, name, parts, message.get("is_error") is True)
    # results stand before what else the user says, whatever the order in which they came
    if found.turns and found.turns[-1].by_user:
        pieces = found.turns[-1].pieces
        place = sum(isinstance(piece, ToolResult) for piece in pieces)
        pieces.insert(place, result)
    else:
        found.add(by_user=True, pieces=[result])


def _unknown_role(_message: Json, where: str, _found: Conversation) -> None:
    raise Untranslatable(f"{where}.role", "must be system, developer, user, assistant or tool for this model.")


_READERS = {"system": _system, "developer": _system, "user": _user, "assistant": _assistant, "tool": _tool}


def _parts(content: object, where: str) -> list[Piece]:
    if content is None:
        return []
    if type(content) is str:
        return [Text(content)] if content else []
    found: list[Piece] = []
    for place, part in enumerate(items(content, where)):
        at = f"{where}[{place}]"
        fields = mapping(part, at)
        piece = _PARTS.get(named(fields, "type", at), _unknown_part)(fields, at)
        if not (isinstance(piece, Text) and not piece.text):
            found.append(piece)
    return found


def _cache(part: Json) -> Json | None:
    mark = part.get("cache_control")
    return mark if type(mark) is dict else None


def _text_part(part: Json, where: str) -> Piece:
    return Text(text(part.get("text"), f"{where}.text"), _cache(part))


def _refusal_part(part: Json, where: str) -> Piece:
    return Text(text(part.get("refusal"), f"{where}.refusal"))


def _image_part(part: Json, where: str) -> Piece:
    image = part.get("image_url")
    at = f"{where}.image_url"
    url = image if type(image) is str else named(mapping(image, at), "url", at)
    return Picture(media.read(url, at), at, _cache(part))


def _file_part(part: Json, where: str) -> Piece:
    at = f"{where}.file"
    file = mapping(part.get("file"), at)
    if file.get("file_id") is not None:
        raise Untranslatable(f"{at}.file_id", "names a file of another provider. Send `file_data` instead.")
    name = file.get("filename")
    return Document(
        media.read(named(file, "file_data", at), f"{at}.file_data"),
        name if type(name) is str and name else "document",
        at,
        _cache(part),
    )


def _sound_part(part: Json, where: str) -> Piece:
    at = f"{where}.input_audio"
    sound = mapping(part.get("input_audio"), at)
    url = f"data:audio/{named(sound, 'format', at)};base64,{named(sound, 'data', at)}"
    return Document(media.read(url, f"{at}.data"), "sound", at, _cache(part))


def _unknown_part(part: Json, where: str) -> Piece:
    raise Untranslatable(f"{where}.type", f'"{part.get("type")}" has no counterpart on this model.')


_PARTS = {
    "text": _text_part,
    "image_url": _image_part,
    "file": _file_part,
    "input_audio": _sound_part,
    "refusal": _refusal_part,
}


def _thoughts(value: object, where: str) -> list[Thought]:
    if value is None:
        return []
    found = []
    for place, detail in enumerate(items(value, where)):
        fields = mapping(detail, f"{where}[{place}]")
        found.append(
            Thought(
                _string(fields, "format") or "unknown",
                _string(fields, "text") or "",
                _string(fields, "signature"),
                _string(fields, "data"),
                _string(fields, "id"),
            )
        )
    return found


def _string(fields: Json, name: str) -> str | None:
    value = fields.get(name)
    return value if type(value) is str else None
