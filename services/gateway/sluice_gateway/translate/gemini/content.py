"""Turns of a conversation as Gemini's contents and parts."""

import orjson

from sluice_gateway import nesting
from sluice_gateway.translate import conversation
from sluice_gateway.translate.conversation import Conversation, Piece, Text, Thought, ToolResult, ToolUse, Turn
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.media import Inline, Media
from sluice_gateway.translate.shapes import Json

FORMAT = "google-gemini-v1"
# Google's own word for a call that no Gemini model made or whose signature was lost on the way
NO_SIGNATURE = "skip_thought_signature_validator"


def system(found: Conversation) -> Json:
    """Return the instructions."""
    return {"parts": [{"text": piece.text} for piece in found.system]}


def contents(found: Conversation) -> list[Json]:
    """Return the turns."""
    out: list[Json] = []
    for turn in found.turns:
        parts = _user(turn) if turn.by_user else _model(turn)
        if parts:
            out.append({"role": "user" if turn.by_user else "model", "parts": parts})
    return out


def _user(turn: Turn) -> list[Json]:
    return [part for piece in turn.pieces for part in _parts(piece)]


def _model(turn: Turn) -> list[Json]:
    own = [piece for piece in turn.pieces if isinstance(piece, Thought) and piece.format == FORMAT and piece.data]
    by_call = {piece.call: piece.data for piece in own if piece.call is not None}
    loose = [piece.data for piece in own if piece.call is None]
    parts: list[Json] = []
    first_call = True
    for piece in turn.pieces:
        if isinstance(piece, ToolUse):
            part: Json = {"functionCall": {"id": piece.id, "name": piece.name, "args": piece.arguments}}
            signature = by_call.get(piece.id)
            if signature is None and first_call and not by_call:
                signature = NO_SIGNATURE
            if signature is not None:
                part["thoughtSignature"] = signature
            first_call = False
            parts.append(part)
        elif not isinstance(piece, Thought):
            parts += _parts(piece)
    if loose:
        _sign_text(parts, loose[-1])
    return parts


def _sign_text(parts: list[Json], signature: str | None) -> None:
    for part in reversed(parts):
        if "text" in part:
            part["thoughtSignature"] = signature
            return


def _parts(piece: Piece) -> list[Json]:
    match piece:
        case conversation.Text():
            return [{"text": piece.text}]
        case conversation.Picture() | conversation.Document():
            return [_medium(piece.media, piece.where)]
        case conversation.ToolResult():
            return [_result(piece)]
        case _:
            return []


def _medium(medium: Media, where: str) -> Json:
    if isinstance(medium, Inline):
        return {"inlineData": {"mimeType": medium.media_type, "data": medium.data}}
    if medium.media_type is None or medium.url.startswith("s3:"):
        raise Untranslatable(
            where,
            "must be base64 data, or an address that ends in .png, .jpg, .webp, .heic, .gif or .pdf, for this model.",
        )
    return {"fileData": {"mimeType": medium.media_type, "fileUri": medium.url}}


def _result(piece: ToolResult) -> Json:
    words = "\n".join(part.text for part in piece.parts if isinstance(part, Text))
    response = {"error": words} if piece.failed else _structured(words)
    found: Json = {"id": piece.id, "name": piece.name, "response": response}
    shown = [part for part in piece.parts if isinstance(part, conversation.Picture | conversation.Document)]
    if shown:
        found["parts"] = [_medium(part.media, part.where) for part in shown]
    return {"functionResponse": found}


def _structured(words: str) -> Json:
    # a JSON object is what Gemini wants; anything else goes under the name that its documentation gives
    if words.lstrip().startswith("{"):
        try:
            found = nesting.loads(words)
        except orjson.JSONDecodeError:
            found = None
        if type(found) is dict:
            return found
    return {"output": words}
