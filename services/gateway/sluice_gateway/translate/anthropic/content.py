"""Turns of a conversation as Anthropic's messages and content blocks."""

import orjson

from sluice_gateway.translate import conversation
from sluice_gateway.translate.conversation import Conversation, Document, Piece, Text, Thought, ToolResult, Turn
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.hub import safe_id
from sluice_gateway.translate.media import Inline, Media
from sluice_gateway.translate.shapes import Json

FORMAT = "anthropic-claude-v1"
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_DOCUMENTS = ("application/pdf",)


def system(found: Conversation) -> list[Json]:
    """Return the instructions as text blocks."""
    return [_text(piece) for piece in found.system]


def messages(found: Conversation) -> list[Json]:
    """Return the turns as messages."""
    out: list[Json] = []
    for turn in found.turns:
        blocks = _turn(turn)
        if blocks:
            out.append({"role": "user" if turn.by_user else "assistant", "content": blocks})
    if out and out[-1]["role"] == "assistant":
        _trim(out[-1]["content"])
    return out


def _trim(blocks: list[Json]) -> None:
    # an answer that is to be continued must not end in white space
    last = blocks[-1]
    if last["type"] == "text" and last["text"] != (kept := last["text"].rstrip()):
        blocks[-1] = {**last, "text": kept}


def _turn(turn: Turn) -> list[Json]:
    thoughts = [block for piece in turn.pieces if isinstance(piece, Thought) and (block := thought(piece))]
    return thoughts + [_block(piece) for piece in turn.pieces if not isinstance(piece, Thought)]


def thought(piece: Thought) -> Json | None:
    """Return a thinking block, None when it was signed by another provider's model."""
    if piece.format != FORMAT:
        return None
    if piece.data is not None:
        return {"type": "redacted_thinking", "data": piece.data}
    if piece.signature is None:
        return None
    return {"type": "thinking", "thinking": piece.text, "signature": piece.signature}


def _block(piece: Piece) -> Json:
    match piece:
        case conversation.Text():
            return _text(piece)
        case conversation.Picture():
            return _marked({"type": "image", "source": _source(piece.media, piece.where, _IMAGES)}, piece.cache)
        case conversation.Document():
            return _document(piece)
        case conversation.ToolUse():
            return {"type": "tool_use", "id": safe_id(piece.id), "name": piece.name, "input": piece.arguments}
        case conversation.ToolResult():
            return _result(piece)
        case _:
            raise AssertionError(piece)


def _text(piece: Text) -> Json:
    return _marked({"type": "text", "text": piece.text}, piece.cache)


def _document(piece: Document) -> Json:
    block = {"type": "document", "source": _source(piece.media, piece.where, _DOCUMENTS), "title": piece.name}
    return _marked(block, piece.cache)


def _result(piece: ToolResult) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": safe_id(piece.id)}
    if piece.parts:
        block["content"] = [_block(part) for part in piece.parts]
    if piece.failed:
        block["is_error"] = True
    return block


def _source(medium: Media, where: str, types: tuple[str, ...]) -> Json:
    if isinstance(medium, Inline):
        if medium.media_type not in types:
            raise Untranslatable(where, f"must be {' or '.join(types)} for this model, not {medium.media_type}.")
        return {"type": "base64", "media_type": medium.media_type, "data": medium.data}
    if not medium.url.startswith("https://"):
        raise Untranslatable(where, "must be an https address or base64 data for this model.")
    return {"type": "url", "url": medium.url}


def _marked(block: Json, cache: Json | None) -> Json:
    if cache is not None:
        block["cache_control"] = cache
    return block


def arguments(block: Json) -> str:
    """Return the input of a tool_use block as the string that the hub holds."""
    return orjson.dumps(block.get("input") or {}).decode()
