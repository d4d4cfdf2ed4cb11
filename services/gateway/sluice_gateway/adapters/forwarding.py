"""Passes requests on to the service that owns their path, and answers back, without holding either in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from pydantic import ValidationError
from starlette.types import Message, Receive, Send
from yarl import URL

from sluice.clients.deadline import DEADLINE_HEADER, remaining
from sluice.errors import DeadlineExceeded, DependencyUnavailable, PayloadTooLarge, Problem
from sluice.telemetry.tracing import inject
from sluice_gateway.domain.errors import ServiceRefused

_PASSED_ON = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"openai-beta",
        b"range",
        b"user-agent",
    }
)
_NOT_PASSED_BACK = frozenset(
    {
        "connection",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "server",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    }
)
_CONNECT_S = 3.0
_ERROR_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: a service, its base URL, and the token that shows for whom."""

    service: str
    base_url: str
    token: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a body may be (bytes), how long a multipart one, and how long an answer may take (seconds)."""

    body_bytes: int
    upload_bytes: int
    timeout_s: float


class Incoming(NamedTuple):
    """What is needed of the request's head; `path` and `query` are the raw bytes that came."""

    method: str
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    request_id: str


class Forwarder:
    """Streams requests to services over one pool of connections."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=limits.timeout_s),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def forward(self, target: Target, request: Incoming, receive: Receive, send: Send) -> None:
        """Pass a request on and its answer back.

        Raises:
            PayloadTooLarge: the body is over the limit.
            DependencyUnavailable: the service cannot be reached, or broke off before it answered.
            DeadlineExceeded: it did not begin to answer in time.
            ServiceRefused: it answered with an error.
        """
        timeout = remaining(self._limits.timeout_s)
        body = _Body(request.headers, receive, self._limits)
        try:
            async with asyncio.timeout(timeout) as clock:
                async with self._session.request(
                    request.method,
                    URL(_address(target, request), encoded=True),
                    headers=_request_headers(target, request, timeout),
                    data=body.chunks() if body.expected else None,
                    allow_redirects=False,
                ) as answer:
                    clock.reschedule(None)  # from here on each read has its own limit, so that streams may be long
                    await _refuse_errors(target, answer)
                    await _relay(target, answer, body, receive, send)
        except TimeoutError as exc:
            raise DeadlineExceeded(f"The {target.service} service did not answer within {timeout:.0f} s.") from exc
        except (aiohttp.ClientError, OSError) as exc:
            if body.too_long:
                raise body.too_long from exc
            raise DependencyUnavailable(
                f"The {target.service} service cannot be reached; try again in a few seconds.",
                headers={"Retry-After": "2"},
            ) from exc


class _Body:
    """The request's body as it arrives, counted."""

    def __init__(self, headers: list[tuple[bytes, bytes]], receive: Receive, limits: Limits) -> None:
        found = dict(headers)
        multipart = found.get(b"content-type", b"").lower().startswith(b"multipart/")
        self._limit = limits.upload_bytes if multipart else limits.body_bytes
        self._receive = receive
        declared = found.get(b"content-length", b"")
        length = int(declared) if declared.isdigit() else None
        self.expected = length != 0 if length is not None else b"transfer-encoding" in found
        self.finished = not self.expected
        self.too_long: PayloadTooLarge | None = None
        if length is not None and length > self._limit:
            raise self._over()

    async def chunks(self) -> AsyncIterator[bytes]:
        seen = 0
        while not self.finished:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the caller went away")
            chunk: bytes = message.get("body", b"")
            seen += len(chunk)
            if seen > self._limit:
                self.too_long = self._over()
                raise self.too_long
            self.finished = not message.get("more_body", False)
            if chunk:
                yield chunk

    def _over(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The request body is over {self._limit} bytes; send less, or raise the gateway's limit."
        )


def _address(target: Target, request: Incoming) -> str:
    query = f"?{request.query.decode('latin-1')}" if request.query else ""
    return f"{target.base_url}{request.path.decode('latin-1')}{query}"


def _request_headers(target: Target, request: Incoming, timeout: float) -> list[tuple[str, str]]:
    ours = {
        "authorization": f"Bearer {target.token}",
        "x-request-id": request.request_id,
        DEADLINE_HEADER: str(max(1, int(timeout * 1000))),
    }
    inject(ours)
    passed = (
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers if name in _PASSED_ON
    )
    return [*passed, *ours.items()]


async def _refuse_errors(target: Target, answer: aiohttp.ClientResponse) -> None:
    if answer.status < 400:
        return
    problem: Problem | None = None
    if answer.content_type == "application/problem+json":
        try:
            problem = Problem.model_validate_json(await answer.content.read(_ERROR_BYTES))
        except ValidationError:
            problem = None
    retry = {"Retry-After": answer.headers["Retry-After"]} if "Retry-After" in answer.headers else {}
    raise ServiceRefused(target.service, answer.status, problem, headers=retry)


async def _relay(target: Target, answer: aiohttp.ClientResponse, body: _Body, receive: Receive, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": list(_answer_headers(target, answer.headers)),
        }
    )
    passing = asyncio.ensure_future(_pass_back(answer, send))
    gone = asyncio.ensure_future(_disconnected(receive)) if body.finished else None
    try:
        await asyncio.wait([task for task in (passing, gone) if task is not None], return_when=asyncio.FIRST_COMPLETED)
        if passing.done():
            passing.result()
    finally:
        for task in (passing, gone):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in (passing, gone) if task is not None), return_exceptions=True)


async def _pass_back(answer: aiohttp.ClientResponse, send: Send) -> None:
    async for chunk in answer.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return


def _answer_headers(target: Target, headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    for name, value in headers.items():
        lower = name.lower()
        if lower in _NOT_PASSED_BACK:
            continue
        if lower == "location":
            value = value.removeprefix(target.base_url)
        yield lower.encode("latin-1"), value.encode("latin-1")
