"""The client for https providers: one shared aiohttp session behind the same interface as the plain pool."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from sluice.clients.egress import proxy_for
from sluice_gateway.dataplane.upstream import (
    EVENT_STREAMS,
    Call,
    FormCall,
    Reason,
    Receiver,
    UpstreamError,
    UpstreamReply,
)

_log = logging.getLogger(__name__)
_OUR_SIDE = ("certificate", "proxy")  # for the operator to mend, who is told why
_READ_SIZE = 64 * 1024


class ProviderClient:
    """Calls one https origin; the session (and its connection pool) belongs to the whole data plane."""

    def __init__(self, origin: str, session: aiohttp.ClientSession, *, max_reply_bytes: int) -> None:
        self._origin = origin
        self._session = session
        self._max_reply_bytes = max_reply_bytes
        self._proxy = proxy_for(origin)

    def submit(self, call: Call, receiver: Receiver) -> bool:
        """Return False: aiohttp always needs a coroutine that waits."""
        return False

    async def send(self, call: Call) -> UpstreamReply:
        """Send a call and return its reply."""
        loop = asyncio.get_running_loop()
        limit = call.timeout_s if call.deadline is None else min(call.timeout_s, call.deadline - loop.time())
        task = loop.create_task(self._exchange(call, loop.time() + call.timeout_s))
        call.on_cancel(lambda: _cancel(task))
        if call.cancelled:
            task.cancel()
        try:
            async with asyncio.timeout(limit):
                return await task
        except TimeoutError as exc:
            raise UpstreamError("timeout") from exc
        except asyncio.CancelledError:
            if call.cancelled:
                raise UpstreamError("cancelled") from None
            task.cancel()
            raise

    async def close(self) -> None:
        """Nothing of its own to close."""

    async def _exchange(self, call: Call, due: float) -> UpstreamReply:
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "x-request-id": call.request_id,
            **dict(call.headers),
        }
        data: bytes | memoryview | AsyncIterator[bytes] = call.body
        if isinstance(call, FormCall):
            headers["content-length"] = str(len(call.lead) + len(call.body))
            data = _pieces(call)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=call.connect_timeout_s)
        try:
            # as it stands: what was signed must not be written in another way
            url = URL(self._origin + call.path, encoded=True)
            response = await self._session.post(
                url, data=data, headers=headers, timeout=timeout, allow_redirects=False, proxy=self._proxy
            )
            return await self._reply(call, response, due)
        except aiohttp.ServerTimeoutError as exc:
            raise UpstreamError("connect_timeout") from exc
        except aiohttp.ClientError as exc:
            reason = _reason(exc)
            if reason in _OUR_SIDE:
                _log.warning("%s could not be called: %s", self._origin, exc, extra={"reason": reason})
            raise UpstreamError(reason) from exc

    async def _reply(self, call: Call, response: aiohttp.ClientResponse, due: float) -> UpstreamReply:
        content_type = response.headers.get("content-type", "").encode()
        retry_after = response.headers.get("retry-after")
        after = retry_after.encode() if retry_after is not None else None
        if content_type.startswith(EVENT_STREAMS):
            stream = ProviderStream(call, response, due)
            call.on_cancel(stream.cancel)
            return UpstreamReply(response.status, content_type, after, b"", stream)
        async with response:
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > self._max_reply_bytes:
                    response.close()
                    raise UpstreamError("too_large")
        call.on_cancel(None)
        return UpstreamReply(response.status, content_type, after, b"".join(parts), None)


class ProviderStream:
    """The body of an event stream over aiohttp, which does the backpressure itself; its first bytes must have come at `due`."""

    def __init__(self, call: Call, response: aiohttp.ClientResponse, due: float) -> None:
        self._due: float | None = due
        self._call = call
        self._response = response
        self._reading: asyncio.Task[bytes] | None = None

    async def read(self) -> bytes:
        """Return what has come; b"" at the end."""
        loop = asyncio.get_running_loop()
        limit = self._call.idle_s if self._due is None else self._due - loop.time()
        self._due = None
        if self._call.deadline is not None:
            limit = min(limit, self._call.deadline - loop.time())
        if self._call.cancelled:
            raise UpstreamError("cancelled")
        self._reading = loop.create_task(self._response.content.readany())
        try:
            async with asyncio.timeout(limit):
                return await self._reading
        except TimeoutError as exc:
            self.close()
            raise UpstreamError("timeout") from exc
        except aiohttp.ClientError as exc:
            self.close()
            raise UpstreamError(_reason(exc)) from exc
        except asyncio.CancelledError:
            self.close()
            if self._call.cancelled:
                raise UpstreamError("cancelled") from None
            raise

    def close(self) -> None:
        """Stop reading; a stream that is not at its end takes its connection with it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    def cancel(self) -> None:
        """Stop whoever reads."""
        if self._reading is not None:
            self._reading.cancel()
        self._response.close()


async def _pieces(call: FormCall) -> AsyncIterator[bytes]:
    yield call.lead
    for start in range(0, len(call.body), _READ_SIZE):
        yield bytes(call.body[start : start + _READ_SIZE])


def _cancel(task: asyncio.Task[UpstreamReply]) -> None:
    task.cancel()


def _reason(error: aiohttp.ClientError) -> Reason:
    if isinstance(error, aiohttp.ClientSSLError):  # also a certificate that is not to be trusted
        return "certificate"
    if isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        return "proxy"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect"
    return "protocol" if isinstance(error, aiohttp.ClientResponseError) else "reset"
