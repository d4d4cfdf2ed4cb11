"""The upstream clients in use, one for each origin."""

import asyncio

from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.dialling import origin_of
from sluice_gateway.dataplane.pool import HttpPool
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Upstream


class Upstreams:
    """Opens a client when an origin is first named and closes it when no deployment names it any more."""

    def __init__(self, options: Options, turn: Turn) -> None:
        self._options = options
        self._turn = turn
        self._clients: dict[str, Upstream] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def client(self, origin: str) -> Upstream:
        """Return the client for an origin such as `http://127.0.0.1:8090`."""
        client = self._clients.get(origin)
        if client is None:
            client = self._clients[origin] = self._open(origin)
        return client

    def keep_only(self, origins: set[str]) -> None:
        """Close the clients of all other origins; replies that are under way are not disturbed."""
        for origin in [origin for origin in self._clients if origin not in origins]:
            task = asyncio.get_running_loop().create_task(self._clients.pop(origin).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close everything."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _open(self, origin: str) -> Upstream:
        options = self._options
        return HttpPool(
            origin_of(origin),
            idle_s=options.upstream_idle_s,
            max_idle=options.upstream_max_idle,
            max_reply_bytes=options.max_reply_bytes,
            turn=self._turn,
        )
