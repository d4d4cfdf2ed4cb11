"""Wire samples of the providers, written from their public documentation, and what several test files ask of them."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from sluice_gateway.translate.shapes import Asked, ProviderStream

Json = dict[str, Any]
ASKED = Asked("chatcmpl-1", "public-model", 1_794_000_000, include_usage=True)

TOOLS: list[Json] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    },
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

# a conversation with everything that a chat can hold: instructions, an image, two calls at once, their results
TALK: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "Use metric units."}]},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this place, and how is the weather there?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "high"}},
        ],
    },
    {
        "role": "assistant",
        "content": "It looks like Oslo.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain, 4 °C"},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "17:05"}]},
    {"role": "user", "content": "Thank you. And tomorrow?"},
]


def sse(events: Iterable[Json], *, named: bool = False) -> bytes:
    """Write events as a provider does."""
    out = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        out.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join(out).encode()


def run(make: Callable[[], ProviderStream], pieces: Iterable[bytes]) -> tuple[list[Json], ProviderStream]:
    """Feed a stream and return its chunks and itself."""
    stream = make()
    chunks: list[Json] = []
    for piece in pieces:
        chunks += stream.feed(piece)
    chunks += stream.finish()
    return chunks, stream


def joined(chunks: list[Json]) -> Json:
    """Put a stream's chunks together as a client does."""
    found: Json = {"content": "", "reasoning": "", "calls": {}, "finish": None, "usage": None, "details": []}
    for chunk in chunks:
        found["usage"] = chunk.get("usage") or found["usage"]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            found["content"] += delta.get("content") or ""
            found["reasoning"] += delta.get("reasoning_content") or ""
            found["details"] += delta.get("reasoning_details") or []
            found["finish"] = choice["finish_reason"] or found["finish"]
            for call in delta.get("tool_calls") or ():
                into = found["calls"].setdefault(call["index"], {"id": None, "name": None, "arguments": ""})
                into["id"] = call.get("id") or into["id"]
                into["name"] = call["function"].get("name") or into["name"]
                into["arguments"] += call["function"].get("arguments") or ""
    return found
