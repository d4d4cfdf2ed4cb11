"""How a coroutine hears and answers a client: noticing that it has gone, and whole answers in one write."""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from sluice.server import CLOSE
from sluice_gateway.dataplane.context import RequestContext


class Disconnects:
    """Listens to the clients of requests that take longer than a tick, and of all streams.

    A listener is a task of its own, which costs more than a short request; so one timer for all requests looks now and
    then which are still unanswered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_s: float) -> None:
        self._loop = loop
        self._tick_s = tick_s
        self._waiting: dict[RequestContext, bool] = {}
        self._listeners: dict[RequestContext, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, ctx: RequestContext) -> None:
        """Look after a request."""
        self._waiting[ctx] = False
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_s, self._tick)

    def listen(self, ctx: RequestContext) -> None:
        """Listen to the client of this request from now on."""
        if ctx in self._waiting and ctx not in self._listeners:
            self._listeners[ctx] = self._loop.create_task(_listen(ctx))

    def stop(self, ctx: RequestContext) -> None:
        """Stop listening: the last bytes go out, and what the client does after them changes nothing."""
        listener = self._listeners.pop(ctx, None)
        if listener is not None:
            listener.cancel()

    def end(self, ctx: RequestContext) -> None:
        """The request is answered."""
        del self._waiting[ctx]
        if self._listeners:
            self.stop(ctx)

    def give_up(self) -> None:
        """End the calls of all requests that are not answered yet."""
        for ctx in list(self._waiting):
            ctx.stop()

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        return len(self._waiting)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._tick) if self._waiting else None
        for ctx, old in list(self._waiting.items()):
            if old:
                self.listen(ctx)
            else:
                self._waiting[ctx] = True


async def _listen(ctx: RequestContext) -> None:
    while (await ctx.receive())["type"] != "http.disconnect":
        pass
    ctx.gone = True
    ctx.stop()
    if ctx.waits_for is not None:
        ctx.waits_for.cancel()


def send_whole(cycle: RequestResponseCycle, head: bytes, body: bytes) -> bool:
    """Send a whole answer with status 200 and tell whether that was possible; `head` holds finished header lines.

    It is not possible when part of an answer was sent before, or while the client is too slow to take more.
    """
    if cycle.response_started or cycle.flow.write_paused:
        return False
    if cycle.disconnected:
        return True
    cycle.response_started = True
    cycle.response_complete = True
    lines: list[bytes] = [STATUS_LINE[200]]
    for name, value in cycle.default_headers:
        lines += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive and CLOSE not in cycle.default_headers:
        lines.append(b"connection: close\r\n")
    lines += (head, b"\r\n", body)
    cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
