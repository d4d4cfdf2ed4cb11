"""Turns of a conversation as Converse messages and content blocks."""

import re

from sluice_gateway.translate import conversation
from sluice_gateway.translate.conversation import (
    Conversation,
    Document,
    Picture,
    Piece,
    Text,
    Thought,
    ToolResult,
    Turn,
)
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.hub import safe_id
from sluice_gateway.translate.media import Inline, Media
from sluice_gateway.translate.shapes import Json

FORMAT = "anthropic-claude-v1"
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")


def system(found: Conversation) -> list[Json]:
    """Return the instructions."""
    return [block for piece in found.system for block in _marked({"text": piece.text}, piece.cache)]


def messages(found: Conversation) -> list[Json]:
    """Return the turns."""
    out: list[Json] = []
    for turn in found.turns:
        blocks = _turn(turn)
        if blocks:
            out.append({"role": "user" if turn.by_user else "assistant", "content": blocks})
    _name_apart(out)
    return out


def _name_apart(turns: list[Json]) -> None:
    # Bedrock refuses two documents of one name, in results of tools too.
    blocks = [block for turn in turns for block in turn["content"]]
    blocks += [inner for block in blocks for inner in block.get("toolResult", {}).get("content", ())]
    taken: set[str] = set()
    for document in (block["document"] for block in blocks if "document" in block):
        name, number = document["name"], 1
        while document["name"] in taken:
            number += 1
            document["name"] = f"{name[:190]} {number}"
        taken.add(document["name"])


def _turn(turn: Turn) -> list[Json]:
    blocks = [block for piece in turn.pieces if isinstance(piece, Thought) for block in _thought(piece)]
    for piece in turn.pieces:
        blocks += _blocks(piece)
    return blocks


def _thought(piece: Thought) -> list[Json]:
    if piece.format != FORMAT:
        return []
    if piece.data is not None:
        return [{"reasoningContent": {"redactedContent": piece.data}}]
    if piece.signature is None:
        return []
    return [{"reasoningContent": {"reasoningText": {"text": piece.text, "signature": piece.signature}}}]


def _blocks(piece: Piece) -> list[Json]:
    match piece:
        case conversation.Text():
            return _marked({"text": piece.text}, piece.cache)
        case conversation.Picture():
            return _marked(_picture(piece), piece.cache)
        case conversation.Document():
            return _marked(_document(piece), piece.cache)
        case conversation.ToolUse():
            return [{"toolUse": {"toolUseId": safe_id(piece.id), "name": piece.name, "input": piece.arguments}}]
        case conversation.ToolResult():
            return [_result(piece)]
        case _:
            return []


def _marked(block: Json, cache: Json | None) -> list[Json]:
    return [block] if cache is None else [block, cache_point(cache)]


def cache_point(cache: Json) -> Json:
    """Return the block that marks the end of what shall be cached."""
    point = {"type": "default"}
    if cache.get("ttl") in ("5m", "1h"):
        point["ttl"] = cache["ttl"]
    return {"cachePoint": point}


def _picture(piece: Picture) -> Json:
    return {
        "image": {"format": _format(piece.media, piece.where, _IMAGES), "source": _source(piece.media, piece.where)}
    }


def _document(piece: Document) -> Json:
    # Bedrock takes names of letters, digits, spaces, hyphens and brackets only
    name = " ".join(_NOT_IN_NAME.sub(" ", piece.name.rpartition(".")[0] or piece.name).split())[:200] or "document"
    return {
        "document": {
            "format": _format(piece.media, piece.where, _DOCUMENTS),
            "name": name,
            "source": _source(piece.media, piece.where),
        }
    }


def _format(medium: Media, where: str, known: dict[str, str]) -> str:
    if medium.media_type is None or medium.media_type not in known:
        raise Untranslatable(where, f"must be one of {', '.join(known.values())} for this model.")
    return known[medium.media_type]


def _source(medium: Media, where: str) -> Json:
    if isinstance(medium, Inline):
        return {"bytes": medium.data}
    if medium.url.startswith("s3://"):
        return {"s3Location": {"uri": medium.url}}
    raise Untranslatable(where, "must be base64 data or an s3:// address: Bedrock fetches no web addresses.")


def _result(piece: ToolResult) -> Json:
    content: list[Json] = []
    for part in piece.parts:
        if isinstance(part, Text):
            content.append({"text": part.text})
        elif isinstance(part, Picture):
            content.append(_picture(part))
        elif isinstance(part, Document):
            content.append(_document(part))
    result: Json = {"toolUseId": safe_id(piece.id), "content": content or [{"text": "(no output)"}]}
    if piece.failed:
        result["status"] = "error"
    return {"toolResult": result}
