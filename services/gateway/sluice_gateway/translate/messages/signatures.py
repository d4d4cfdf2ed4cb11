"""Signed thinking of any provider inside Anthropic's thinking blocks, and back.

Claude's own signatures travel as they are. Another provider's is marked with its format, so that it finds back to a model that
understands it and to no other: `redacted_thinking` with data `sluice:<format>:<tool call id>:<signature>`.
"""

from sluice_gateway.translate.shapes import Json

CLAUDE = "anthropic-claude-v1"
_MARK = "sluice:"


def to_detail(block: Json) -> Json:
    """Return the hub's reasoning detail for a thinking block."""
    if block.get("type") == "thinking":
        return {
            "type": "reasoning.text",
            "text": block.get("thinking", ""),
            "signature": block.get("signature") or None,
            "format": CLAUDE,
        }
    data = block.get("data")
    if not isinstance(data, str) or not data.startswith(_MARK):
        return {"type": "reasoning.encrypted", "data": data, "format": CLAUDE}
    kind, _, rest = data.removeprefix(_MARK).partition(":")
    call, _, signature = rest.partition(":")
    found: Json = {"type": "reasoning.encrypted", "data": signature, "format": kind}
    return {**found, "id": call} if call else found


def to_block(detail: Json) -> Json | None:
    """Return the block that carries a detail's signature, None when it carries none."""
    data, kind = detail.get("data"), detail.get("format")
    if isinstance(data, str):
        marked = data if kind == CLAUDE else f"{_MARK}{kind}:{detail.get('id') or ''}:{data}"
        return {"type": "redacted_thinking", "data": marked}
    if isinstance(detail.get("signature"), str) and kind == CLAUDE:
        return {"type": "thinking", "thinking": detail.get("text") or "", "signature": detail["signature"]}
    return None
