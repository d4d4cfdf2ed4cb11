"""A provider that speaks OpenAI's wire format over a real socket, with the faults that real ones have.

async with Provider() as provider:
    provider.next(Behaviour(status=429, retry_after="2"))   # for the next request; then the default again
    ... provider.base_url, provider.seen[-1].json ...
"""

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered; times are seconds, `cut_after` counts bytes of a body or chunks of a stream."""

    text: str = "The quick brown fox jumps over the lazy dog."
    status: int = 200
    body: bytes | None = None
    content_type: str | None = None
    retry_after: str | None = None
    usage: bool = True
    done: bool = True
    stall_s: float = 0.0
    chunk_delay_s: float = 0.0
    cut_after: int | None = None
    drop: bool = False
    close: bool = False
    no_length: bool = False
    interim: bool = False
    one_write: bool = False
    line_end: bytes = b"\n"
    null_usage: bool = False
    repeat: int = 1
    tool_arguments: str | None = None
    stream_error_after: int | None = None
    split: int | None = None
    hold_after: int | None = None  # so many chunks of a stream come, and then nothing until the caller leaves
    garble_after: int | None = None  # after so many chunks of a stream comes one that is none
    hold_within: bool = False  # of the next chunk half comes as well
    gate: asyncio.Event | None = None  # a whole answer waits for it
    gate_after: int = 0  # when so many of its bytes have gone out


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> dict[str, Any]:
        """The body, parsed."""
        found: dict[str, Any] = json.loads(self.body or b"{}")  # a probe has none
        return found


@dataclass
class Provider:
    """The server; `default` answers whatever neither `for_request`, `for_path` nor `next` was set for."""

    default: Behaviour = field(default_factory=Behaviour)
    seen: list[Seen] = field(default_factory=list)
    for_request: dict[str, Behaviour] = field(default_factory=dict)  # by `x-request-id`
    for_path: dict[str, Behaviour] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)  # the requests that get nothing more
    working: int = 0  # requests between their head and the first byte of their answer, where that takes `stall_s`
    aborted: int = 0
    events_sent: int = 0
    connections: int = 0
    open: int = 0

    def __post_init__(self) -> None:
        self._next: deque[Behaviour] = deque()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def base_url(self) -> str:
        """The base URL in the sense of the `openai` client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def next(self, *behaviours: Behaviour) -> None:
        """Answer the next requests so."""
        self._next.extend(behaviours)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on a free port, or again on the port that it had."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=64 * 1024 * 1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break all connections."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        while self.open:
            await asyncio.sleep(0.001)
        await self._server.wait_closed()

    def close_idle(self) -> None:
        """Close every connection, as a server does whose keep-alive time is over."""
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.open += 1
        self._writers.add(writer)
        try:
            while True:
                seen = await self._read(reader, number)
                self.seen.append(seen)
                behaviour = self._behaviour(seen)
                if not await self._answer(reader, writer, seen, behaviour):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.open -= 1

    def _behaviour(self, seen: Seen) -> Behaviour:
        named = self.for_request.get(seen.headers.get("x-request-id", ""))
        if named is not None:
            return named
        if seen.path in self.for_path:
            return self.for_path[seen.path]
        return self._next.popleft() if self._next else self.default

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, path, _ = first.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(method, path, headers, body, number)

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour
    ) -> bool:
        gone = asyncio.ensure_future(reader.read(1))
        try:
            work = asyncio.ensure_future(self._reply(writer, seen, behaviour))
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.aborted += 1
                work.cancel()
                return False
            return work.result()
        finally:
            if not gone.done():
                gone.cancel()
                await asyncio.wait({gone})

    async def _reply(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour) -> bool:
        if behaviour.stall_s:
            self.working += 1
            try:
                await asyncio.sleep(behaviour.stall_s)
            finally:
                self.working -= 1
        if behaviour.drop:
            writer.transport.abort()
            return False
        if behaviour.interim:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        streamed = seen.json.get("stream") is True and behaviour.status == 200 and behaviour.body is None
        if streamed:
            return await self._stream(writer, seen, behaviour)
        return await self._whole(writer, seen, behaviour)

    async def _whole(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour) -> bool:
        body = behaviour.body if behaviour.body is not None else json.dumps(_whole(seen, behaviour)).encode()
        lines = [
            f"HTTP/1.1 {behaviour.status} {_REASONS.get(behaviour.status, 'Status')}",
            f"Content-Type: {behaviour.content_type or 'application/json'}",
        ]
        if not behaviour.no_length:
            lines.append(f"Content-Length: {len(body)}")
        if behaviour.retry_after is not None:
            lines.append(f"Retry-After: {behaviour.retry_after}")
        if behaviour.close or behaviour.no_length:
            lines.append("Connection: close")
        data = ("\r\n".join(lines) + "\r\n\r\n").encode() + (
            body if behaviour.cut_after is None else body[: behaviour.cut_after]
        )
        await _send(writer, await self.gated(writer, seen, behaviour, data), behaviour.split)
        await writer.drain()
        return not (behaviour.close or behaviour.no_length or behaviour.cut_after is not None)

    async def _stream(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour) -> bool:
        kind = (behaviour.content_type or "text/event-stream").encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
        events = list(_events(seen, behaviour))
        if behaviour.line_end != b"\n":
            events = [event.replace(b"\n", behaviour.line_end) for event in events]
        if behaviour.garble_after is not None and behaviour.garble_after < len(events):
            events[behaviour.garble_after] = b'data: {"half": \n\n'
        if behaviour.one_write:
            await _send(writer, head + _chunked(b"".join(events)) + b"0\r\n\r\n", behaviour.split)
            await writer.drain()
            return True
        writer.write(head)
        for number, event in enumerate(events):
            if behaviour.cut_after == number:
                await writer.drain()
                writer.transport.abort()
                return False
            if behaviour.hold_after == number:
                await self.hold(writer, seen, _chunked(event) if behaviour.hold_within else b"")
            await _send(writer, _chunked(event), behaviour.split)
            await writer.drain()
            self.events_sent += 1
            if behaviour.chunk_delay_s:
                await asyncio.sleep(behaviour.chunk_delay_s)
        if behaviour.hold_after == len(events):
            await self.hold(writer, seen)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def gated(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour, data: bytes) -> bytes:
        """Send the first part of a whole answer, wait at the gate, and return the rest."""
        if behaviour.gate is None:
            return data
        writer.write(data[: behaviour.gate_after])
        await writer.drain()
        self.held.add(seen.headers.get("x-request-id", ""))
        await behaviour.gate.wait()
        return data[behaviour.gate_after :]

    async def hold(self, writer: asyncio.StreamWriter, seen: Seen, following: bytes = b"") -> None:
        """Send half of what follows, then nothing, and wait until the caller leaves."""
        writer.write(following[: len(following) // 2])
        await writer.drain()
        self.held.add(seen.headers.get("x-request-id", ""))
        await asyncio.Event().wait()


async def _send(writer: asyncio.StreamWriter, data: bytes, split: int | None) -> None:
    if split is None:
        writer.write(data)
        return
    for start in range(0, len(data), split):
        writer.write(data[start : start + split])
        await writer.drain()
        await asyncio.sleep(0)


def _chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def words(text: str) -> list[str]:
    """Cut a text into the pieces in which it is streamed; each counts as a token."""
    found = text.split(" ")
    return [word + " " for word in found[:-1]] + [found[-1]]


def usage_for(seen: Seen, behaviour: Behaviour) -> dict[str, int]:
    """The token counts that the provider reports."""
    prompt = len(seen.body.split())
    completion = len(words(behaviour.text)) * behaviour.repeat
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _whole(seen: Seen, behaviour: Behaviour) -> dict[str, Any]:
    fields = seen.json
    if seen.path.endswith("/embeddings"):
        texts = fields["input"] if isinstance(fields["input"], list) else [fields["input"]]
        return {
            "object": "list",
            "model": fields["model"],
            "data": [
                {"object": "embedding", "index": i, "embedding": [0.1, len(text)]} for i, text in enumerate(texts)
            ],
            "usage": {"prompt_tokens": 4 * len(texts), "total_tokens": 4 * len(texts)},
        }
    if seen.path.endswith("/rerank"):
        return _ranking(fields)
    if seen.path.endswith("/messages/count_tokens"):  # as llama.cpp and vLLM have it; OpenAI has not
        return {"input_tokens": len(seen.body.split())}
    answer: dict[str, Any] = {"id": "chatcmpl-1", "created": 1_763_900_000, "model": fields["model"]}
    text = behaviour.text * behaviour.repeat
    if seen.path.endswith("/chat/completions"):
        answer["object"] = "chat.completion"
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if behaviour.tool_arguments is not None:
            function = {"name": _called(fields), "arguments": behaviour.tool_arguments}
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": function}],
            }
        answer["choices"] = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    else:
        answer["object"] = "text_completion"
        answer["choices"] = [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}]
    if behaviour.usage:
        answer["usage"] = usage_for(seen, behaviour)
    return answer


def _called(fields: dict[str, Any]) -> str:
    # The first tool that the request offers.
    tools = fields.get("tools")
    name: str = tools[0]["function"]["name"] if tools else "f"
    return name


def _ranking(fields: dict[str, Any]) -> dict[str, Any]:
    # As vLLM answers: in the order of the documents' scores, with the documents, and with the total only.
    texts = [one if isinstance(one, str) else one["text"] for one in fields["documents"]]
    asked = set(fields["query"].lower().split())
    scores = [len(asked & set(text.lower().split())) / len(asked) for text in texts]
    rows: list[dict[str, Any]] = [
        {"index": index, "document": {"text": texts[index]}, "relevance_score": score}
        for index, score in enumerate(scores)
    ]
    rows.sort(key=lambda row: -row["relevance_score"])
    return {
        "id": "rerank-1",
        "model": fields["model"],
        "usage": {"total_tokens": sum(len(text.split()) for text in texts)},
        "results": rows[: fields.get("top_n") or len(rows)],
    }


def _events(seen: Seen, behaviour: Behaviour) -> Any:
    fields = seen.json
    chat = seen.path.endswith("/chat/completions")
    kind = "chat.completion.chunk" if chat else "text_completion"
    base = {"id": "chatcmpl-1", "object": kind, "created": 1_763_900_000, "model": fields["model"]}
    if behaviour.null_usage:
        base["usage"] = None

    def event(choices: list[dict[str, Any]], **extra: Any) -> bytes:
        return b"data: " + json.dumps({**base, "choices": choices, **extra}).encode() + b"\n\n"

    if chat:
        yield event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    number = 0
    if behaviour.tool_arguments is not None:
        for piece in words(behaviour.tool_arguments):
            call = {
                "index": 0,
                "id": "c",
                "type": "function",
                "function": {"name": _called(fields), "arguments": piece},
            }
            yield event([{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}])
    else:
        for word in words(behaviour.text) * behaviour.repeat:
            if behaviour.stream_error_after == number:
                yield b'data: {"error": {"message": "secret-host:9000 ran out of memory", "code": 500}}\n\n'
                return
            number += 1
            said: dict[str, Any] = {"delta": {"content": word}} if chat else {"text": word}
            yield event([{"index": 0, **said, "finish_reason": None}])
    last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    yield event([{"index": 0, **last, "finish_reason": "stop"}])
    if behaviour.usage and (fields.get("stream_options") or {}).get("include_usage"):
        yield event([], usage=usage_for(seen, behaviour))
    if behaviour.done:
        yield b"data: [DONE]\n\n"
