"""An OpenAI-compatible provider of images and speech, with the wire formats of OpenAI's API.

Source: https://platform.openai.com/docs/api-reference/images and /audio
"""

import asyncio
import base64
import json
from typing import Any

from tests.simulators.openai_provider import Behaviour, Provider, Seen

PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(64))).decode()
SOUND = b"ID3\x04\x00" + bytes(range(256)) * 300
IMAGE_USAGE = {
    "total_tokens": 1070,
    "input_tokens": 14,
    "output_tokens": 1056,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 4},
}
SPEECH_USAGE = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}


class MediaProvider(Provider):
    """The server; what `Behaviour` says of failures holds here too, `text` and `usage` say nothing but whether counts are sent."""

    async def _reply(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour) -> bool:
        if behaviour.status != 200 or behaviour.body is not None or behaviour.drop or behaviour.stall_s:
            return await super()._reply(writer, seen, behaviour)
        fields = seen.json
        if seen.path.endswith("/audio/speech"):
            if fields.get("stream_format") == "sse":
                return await self._send_events(writer, seen, behaviour, _speech_events())
            return await self._send_sound(writer, behaviour)
        if fields.get("stream"):
            return await self._send_events(writer, seen, behaviour, _image_events())
        answer: dict[str, Any] = {"created": 1_763_900_000, "data": [{"b64_json": PICTURE}] * (fields.get("n") or 1)}
        if behaviour.usage:
            answer["usage"] = IMAGE_USAGE
        return await super()._reply(writer, seen, Behaviour(body=json.dumps(answer).encode()))

    async def _send_sound(self, writer: asyncio.StreamWriter, behaviour: Behaviour) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
        pieces = [SOUND[start : start + 8192] for start in range(0, len(SOUND), 8192)]
        for number, piece in enumerate(pieces):
            if behaviour.cut_after == number:
                await writer.drain()
                writer.transport.abort()
                return False
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _send_events(
        self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour, events: list[dict[str, Any]]
    ) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _image_events() -> list[dict[str, Any]]:
    shared = {"b64_json": PICTURE, "created_at": 1_763_900_000, "size": "1024x1024", "quality": "high",
              "background": "opaque", "output_format": "png"}  # fmt: skip
    return [
        {"type": "image_generation.partial_image", "partial_image_index": 0, **shared},
        {"type": "image_generation.completed", "usage": IMAGE_USAGE, **shared},
    ]


def _speech_events() -> list[dict[str, Any]]:
    halves = SOUND[: len(SOUND) // 2], SOUND[len(SOUND) // 2 :]
    deltas = [{"type": "speech.audio.delta", "audio": base64.b64encode(half).decode()} for half in halves]
    return [*deltas, {"type": "speech.audio.done", "usage": SPEECH_USAGE}]
