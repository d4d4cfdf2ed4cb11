"""Noticing that a client has gone, at no cost for requests that are answered at once."""

import asyncio

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
    if ctx.call is not None:
        ctx.call.cancel()
