"""What the simulators of providers with an API of their own share: the socket, the faults, whole answers and streams."""

import asyncio
import json
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from openai_provider import Behaviour as OpenAIBehaviour
from openai_provider import Provider, Seen

Json = dict[str, Any]
GARBAGE = {"text/event-stream; charset=utf-8": b'data: {"half": \n\n', "application/vnd.amazon.eventstream": b"x" * 64}
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests",
            500: "Internal Server Error", 503: "Service Unavailable", 529: "Overloaded"}  # fmt: skip


@dataclass(frozen=True)
class Behaviour(OpenAIBehaviour):
    """As of the OpenAI simulator, and what the others have besides."""

    calls: tuple[tuple[str, Json], ...] = ()
    thinking: str | None = None
    cached: int = 0
    bad_json: bool = False


def vector_of(text: str, length: int) -> list[float]:
    """Return a vector that tells its text: how long it is, the sum of its bytes, and zeros."""
    return [len(text) / 8, sum(text.encode()) / 8, *(0.0 for _ in range(length - 2))]


class Refused(Exception):
    """The simulator does not take a request, as the provider would not."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


class ForeignProvider(Provider):
    """A server on a free port; subclasses say what is written."""

    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self) -> None:
        super().__init__(default=Behaviour())

    @property
    def root_url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def is_streamed(self, seen: Seen) -> bool:
        """Tell whether a request wants a stream."""

    @abstractmethod
    def check(self, seen: Seen) -> None:
        """Refuse what the provider would refuse."""

    @abstractmethod
    def whole(self, seen: Seen, behaviour: Behaviour) -> Json:
        """Return a whole answer."""

    @abstractmethod
    def events(self, seen: Seen, behaviour: Behaviour) -> Iterator[bytes]:
        """Return the pieces of a stream."""

    @abstractmethod
    def error(self, status: int, kind: str | None, message: str) -> tuple[Json, dict[str, str]]:
        """Return the body of an error and the headers that belong to it."""

    async def _reply(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: OpenAIBehaviour) -> bool:
        assert isinstance(behaviour, Behaviour)
        if behaviour.stall_s:
            await asyncio.sleep(behaviour.stall_s)
        if behaviour.drop:
            writer.transport.abort()
            return False
        headers: dict[str, str] = {}
        refused = self._refusal(seen, behaviour)
        if refused is not None:
            found, headers = self.error(refused.status, refused.kind or None, refused.message)
            behaviour = replace(behaviour, status=refused.status, body=json.dumps(found).encode())
        if behaviour.bad_json:
            behaviour = replace(behaviour, body=b'{"half":')
        if behaviour.body is None and self.is_streamed(seen):
            return await self._pieces(writer, seen, behaviour)
        body = behaviour.body if behaviour.body is not None else json.dumps(self.whole(seen, behaviour)).encode()
        if behaviour.retry_after is not None:
            headers["Retry-After"] = behaviour.retry_after
        head = self._head(behaviour.status, "application/json", {"Content-Length": str(len(body)), **headers})
        data = head + (body if behaviour.cut_after is None else body[: behaviour.cut_after])
        await _send(writer, await self.gated(writer, seen, behaviour, data), behaviour.split)
        return behaviour.cut_after is None

    def _refusal(self, seen: Seen, behaviour: Behaviour) -> Refused | None:
        try:
            self.check(seen)
        except Refused as refused:
            return refused
        if behaviour.status != 200 and behaviour.body is None:
            return Refused(behaviour.status, "", "secret-host:9000 said no")
        return None

    async def _pieces(self, writer: asyncio.StreamWriter, seen: Seen, behaviour: Behaviour) -> bool:
        writer.write(self._head(200, self.stream_type, {"Transfer-Encoding": "chunked"}))
        pieces = list(self.events(seen, behaviour))
        for number, piece in enumerate(pieces):
            if behaviour.cut_after == number:
                await writer.drain()
                writer.transport.abort()
                return False
            if behaviour.line_end != b"\n":
                piece = piece.replace(b"\n", behaviour.line_end)
            if behaviour.garble_after == number:
                piece = GARBAGE[self.stream_type]
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
            if behaviour.hold_after == number:
                await self.hold(writer, seen, chunk if behaviour.hold_within else b"")
            await _send(writer, chunk, behaviour.split)
            self.events_sent += 1
            if behaviour.chunk_delay_s:
                await asyncio.sleep(behaviour.chunk_delay_s)
        if behaviour.hold_after == len(pieces):
            await self.hold(writer, seen)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", f"Content-Type: {kind}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _send(writer: asyncio.StreamWriter, data: bytes, split: int | None) -> None:
    for start in range(0, len(data), split or len(data)):
        writer.write(data[start : start + (split or len(data))])
        await writer.drain()
        if split:
            await asyncio.sleep(0)
