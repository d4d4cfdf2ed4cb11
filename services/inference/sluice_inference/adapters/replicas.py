"""Reads the metrics of every replica that a name stands for."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import aiohttp

from sluice.errors import DependencyUnavailable

_MOST_REPLICAS = 256
_MOST_BYTES = 4 * 1024 * 1024


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Return all addresses of a host, as the system resolves it.

    Raises:
        DependencyUnavailable: it has none, which in Kubernetes means that no replica is ready.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise DependencyUnavailable(f"{host} has no address ({exc.strerror or exc}): no replica is ready.") from exc
    return sorted({str(entry[4][0]) for entry in found})


class ReplicaMetrics:
    """Resolves a host name to all its addresses and asks each; a Kubernetes headless Service has one for each ready pod.

    Degraded mode: replicas that do not answer in time are left out, which the count of those read shows.
    """

    def __init__(
        self, session: aiohttp.ClientSession, *, resolve: Resolve = addresses_of, timeout_s: float = 2.0
    ) -> None:
        self._session = session
        self._resolve = resolve
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def read(self, url: str) -> dict[str, str | None]:
        """Return the text of each address's metrics, None where it did not answer.

        Raises:
            DependencyUnavailable: the name has no address.
        """
        parts = urlsplit(url)
        port, path = parts.port or 80, parts.path or "/metrics"
        addresses = (await self._resolve(parts.hostname or "", port))[:_MOST_REPLICAS]
        texts = await asyncio.gather(*(self._ask(address, port, path, parts.netloc) for address in addresses))
        return dict(zip(addresses, texts, strict=True))

    async def _ask(self, address: str, port: int, path: str, host: str) -> str | None:
        at = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(
                f"http://{at}:{port}{path}", headers={"host": host}, timeout=self._timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return None
                body = await response.content.read(_MOST_BYTES)
                while len(body) < _MOST_BYTES and (more := await response.content.read(_MOST_BYTES - len(body))):
                    body += more
                return body.decode("utf-8", "replace")
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None
