"""Two further ways through the gateway's front: browsers of other origins, and clients that are made for Azure OpenAI."""

import re
from collections.abc import Sequence
from typing import Protocol

import orjson
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from sluice_gateway import nesting
from sluice_gateway.dataplane.wire import ShortWay

_NAMED = re.compile(
    r"/openai/deployments/(.+?)/(chat/completions|completions|embeddings|audio/(?:transcriptions|translations|speech)|images/(?:generations|edits))"
)
_PLAIN = re.compile(r"/openai(?:/v1)?(/.+)")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Front(Protocol):
    """The gateway's application, in which the protocol finds the request path."""

    @property
    def short_way(self) -> ShortWay | None:
        """The request path for the protocol, None before everything is open."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


class Browsers(CORSMiddleware):
    """Tells browsers that pages of these origins may call (the Fetch standard's CORS), for all paths. Keys are asked for all the same."""

    def __init__(self, app: Front, origins: Sequence[str]) -> None:
        super().__init__(app, origins, allow_methods=_METHODS, allow_headers=("*",), expose_headers=("*",))
        self._front = app

    @property
    def short_way(self) -> ShortWay | None:
        """The request path for the protocol."""
        return self._front.short_way


class AzureClients:
    """Answers the paths of Azure OpenAI as their counterparts below /v1: the key may come in `api-key`, and the path's deployment is the model."""

    def __init__(self, app: Front, max_body_bytes: int) -> None:
        self._front = app
        self._most = max_body_bytes

    @property
    def short_way(self) -> ShortWay | None:
        """The request path for the protocol."""
        return self._front.short_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if not path.startswith("/openai/"):
            await self._front(scope, receive, send)
            return
        headers = list(scope["headers"])
        names = dict(headers)
        if b"authorization" not in names and b"api-key" in names:
            headers.append((b"authorization", b"Bearer " + names[b"api-key"]))
        named, plain = _NAMED.fullmatch(path), _PLAIN.fullmatch(path)
        if named is not None:
            path = f"/v1/{named[2]}"
            if names.get(b"content-type", b"").split(b";")[0].strip().lower() != b"multipart/form-data":
                receive = _Named(named[1], receive, self._most)
        elif plain is not None:
            path = f"/v1{plain[1]}"
        await self._front({**scope, "path": path, "raw_path": path.encode(), "headers": headers}, receive, send)


class _Named:
    """Reads a body when it is asked for, and puts the path's model into it; what is no JSON object, or too long, is refused further on."""

    def __init__(self, model: str, receive: Receive, most: int) -> None:
        self._model, self._receive, self._most = model, receive, most
        self._asked = False

    async def __call__(self) -> Message:
        """Return the whole body, then what comes after it."""
        if self._asked:
            return await self._receive()
        self._asked = True
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= self._most:
            message = await self._receive()
            if message["type"] != "http.request":
                return message  # the client has gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
        raw = b"".join(parts)
        try:
            found = None if more else nesting.loads(raw)
        except orjson.JSONDecodeError:
            found = None
        if type(found) is dict:
            raw = orjson.dumps({**found, "model": self._model})
        return {"type": "http.request", "body": raw, "more_body": more}
