"""A provider that speaks Cohere's v2 API over a real socket, with the faults that real ones have.

Wire form: https://docs.cohere.com/reference/chat, /reference/chat-stream, /reference/embed and /reference/rerank, checked with Cohere's own SDK.
"""

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Fault:
    """How the next request fails; `stall_s` waits before the answer, `hold_after` sends so many events and then nothing."""

    status: int = 200
    message: str = ""
    retry_after: str | None = None
    stall_s: float = 0.0
    hold_after: int | None = None


@dataclass
class CohereProvider:
    """The server; `seen` has the requests (path, authorization, body), `left` counts callers that went in mid-stream."""

    text: str = "Oslo is the capital of Norway."
    key: str = "cohere-key-0123456789"
    seen: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    left: int = 0
    _faults: deque[Fault] = field(default_factory=deque)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def base_url(self) -> str:
        """Where it answers."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def next(self, fault: Fault) -> None:
        """Let the next request fail."""
        self._faults.append(fault)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
                body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
                path = head[0].split(" ")[1]
                self.seen.append((path, headers.get("authorization", ""), body))
                await self._answer(path, headers.get("authorization", ""), body, reader, writer)
        writer.close()

    async def _answer(
        self,
        path: str,
        key: str,
        body: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        fault = self._faults.popleft() if self._faults else Fault()
        if fault.stall_s:
            await asyncio.sleep(fault.stall_s)
        if fault.status != 200:
            more = {"retry-after": fault.retry_after} if fault.retry_after else {}
            await _send(writer, fault.status, {"id": "e1", "message": fault.message}, more)
        elif key != f"Bearer {self.key}":
            await _send(writer, 401, {"id": "e1", "message": f"invalid api token {key.removeprefix('Bearer ')}"})
        elif path == "/v2/chat" and body.get("stream"):
            await self._stream(body, fault, reader, writer)
        elif path == "/v2/chat":
            await _send(writer, 200, self._chat(body))
        elif path == "/v2/embed":
            vectors = [[float(len(text)), 0.5, -1.0] for text in body["texts"]]
            usage = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}}
            await _send(
                writer,
                200,
                {
                    "id": "em1",
                    "response_type": "embeddings_by_type",
                    "texts": body["texts"],
                    "embeddings": {"float": vectors},
                    "meta": usage,
                },
            )
        elif path == "/v2/rerank":
            order = sorted(range(len(body["documents"])), key=lambda i: -len(body["documents"][i]))
            results = [{"index": i, "relevance_score": 0.9 - n / 10} for n, i in enumerate(order)]
            await _send(
                writer,
                200,
                {"id": "r1", "results": results[: body.get("top_n")], "meta": {"billed_units": {"search_units": 1}}},
            )
        else:
            await _send(writer, 404, {"id": "e1", "message": f"no such path {path}"})

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": self.text}]}
        reason = "COMPLETE"
        if body.get("tools"):
            name = body["tools"][0]["function"]["name"]
            call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": '{"city":"Oslo"}'}}
            message = {"role": "assistant", "tool_plan": "I will look it up.", "tool_calls": [call]}
            reason = "TOOL_CALL"
        return {"id": "c1", "finish_reason": reason, "message": message, "usage": _USAGE}

    async def _stream(
        self, body: dict[str, Any], fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for number, event in enumerate(self._events(body)):
            if number == fault.hold_after:
                await reader.read()
                self.left += 1
                return
            writer.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    def _events(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        begin = {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}}
        if body.get("tools"):
            name = body["tools"][0]["function"]["name"]
            call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
            middle: list[dict[str, Any]] = [
                {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will look it up."}}},
                {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
                *(
                    {
                        "type": "tool-call-delta",
                        "index": 0,
                        "delta": {"message": {"tool_calls": {"function": {"arguments": part}}}},
                    }
                    for part in ('{"city":', '"Oslo"}')
                ),
                {"type": "tool-call-end", "index": 0},
            ]
            reason = "TOOL_CALL"
        else:
            words = self.text.split(" ")
            pieces = [word if not number else f" {word}" for number, word in enumerate(words)]
            middle = [
                {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
                *(
                    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
                    for piece in pieces
                ),
                {"type": "content-end", "index": 0},
            ]
            reason = "COMPLETE"
        end = {"type": "message-end", "id": "c1", "delta": {"finish_reason": reason, "usage": _USAGE}}
        return [begin, *middle, end]


_USAGE = {"billed_units": {"input_tokens": 5, "output_tokens": 8}, "tokens": {"input_tokens": 70, "output_tokens": 8}}


async def _send(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    text = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(text)}\r\n{more}\r\n".encode() + text)
    await writer.drain()
