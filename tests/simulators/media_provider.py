"""An OpenAI-compatible provider of images and speech, with the wire formats of OpenAI's API.

Source: https://platform.openai.com/docs/api-reference/images and /audio
"""

import asyncio
import base64
import json
from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP
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
TRANSCRIPT_USAGE = {
    "type": "tokens",
    "input_tokens": 20,
    "input_token_details": {"text_tokens": 2, "audio_tokens": 18},
    "output_tokens": 4,
    "total_tokens": 24,
}
SUBTITLES = "1\n00:00:00,000 --> 00:00:01,500\nThe fox\n"


def parts_of(seen: Seen) -> dict[str, bytes]:
    """Return the parts of a form by their names, a file's by `name:filename`."""
    head = f"Content-Type: {seen.headers['content-type']}\r\n\r\n".encode()
    found = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + seen.body).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        filename = part.get_filename()
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found[name if filename is None else f"{name}:{filename}"] = content
    return found


class MediaProvider(Provider):
    """The server; what `Behaviour` says of failures holds here too, `text` and `usage` say nothing but whether counts are sent."""

    async def _reply(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour) -> bool:
        form = seen.headers["content-type"].startswith("multipart/form-data")
        if form and (behaviour.status != 200 or behaviour.body is not None):
            return await self._whole(writer, seen, replace(behaviour, body=behaviour.body or b"{}"))
        if behaviour.status != 200 or behaviour.body is not None or behaviour.drop or behaviour.stall_s:
            return await super()._reply(writer, seen, behaviour)
        if form:
            return await self._answer_form(writer, seen, behaviour)
        fields = seen.json
        if seen.path.endswith("/chat/completions"):
            return await super()._reply(writer, seen, behaviour)
        if seen.path.endswith("/audio/speech"):
            if fields.get("stream_format") == "sse":
                return await self._send_events(writer, seen, behaviour, _speech_events())
            return await self._send_sound(writer, behaviour)
        if fields.get("stream"):
            return await self._send_events(writer, seen, behaviour, _image_events())
        answer: dict[str, Any] = {"created": 1_763_900_000, "data": [{"b64_json": PICTURE}] * (fields.get("n") or 1)}
        if behaviour.usage:
            answer["usage"] = IMAGE_USAGE
        return await super()._reply(writer, seen, replace(behaviour, body=json.dumps(answer).encode()))

    async def _answer_form(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour) -> bool:
        parts = parts_of(seen)
        if seen.path.startswith("/v1/images"):
            answer = {"created": 1_763_900_000, "data": [{"b64_json": PICTURE}], "usage": IMAGE_USAGE}
            return await self._whole(writer, seen, Behaviour(body=json.dumps(answer).encode()))
        if parts.get("stream") == b"true":
            events = [
                {"type": "transcript.text.delta", "delta": "The fox"},
                {"type": "transcript.text.done", "text": "The fox", "usage": TRANSCRIPT_USAGE},
            ]
            return await self._send_events(writer, seen, behaviour, events)
        if parts.get("response_format") == b"srt":
            body = SUBTITLES.encode()
            return await self._whole(
                writer, seen, replace(behaviour, body=body, content_type="text/plain; charset=utf-8")
            )
        usage = TRANSCRIPT_USAGE if behaviour.usage else {"type": "duration", "seconds": 90}
        return await self._whole(
            writer, seen, replace(behaviour, body=json.dumps({"text": "The fox", "usage": usage}).encode())
        )

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
