"""How a connection to a provider is opened: over TLS, and through the proxy of the network where there is one."""

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs

from sluice.clients.egress import proxy_for, trusted
from sluice_gateway.dataplane.connection import Connection
from sluice_gateway.dataplane.upstream import UpstreamError

_log = logging.getLogger(__name__)
_FALL_BACK_S = 0.25  # then the next of a host's addresses is tried beside the first (RFC 8305)
_LONGEST_ANSWER = 64 * 1024
_ESTABLISHED = re.compile(rb"HTTP/1\.[01] 2\d\d[ \r]")

Made = Callable[[], Connection]


class Origin(NamedTuple):
    """Where a provider is; `secure` says that it is spoken to over TLS."""

    host: str
    port: int
    secure: bool

    @property
    def authority(self) -> str:
        """What the header `host` says: the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Return where `http://127.0.0.1:8090` or its like is."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    return Origin(
        host if host.isascii() else host.encode("idna").decode(), parts.port or (443 if secure else 80), secure
    )


class Dial:
    """Opens connections to one origin."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._trusted = trusted() if origin.secure else None
        self._proxy = proxy_for(f"https://{origin.authority}") if origin.secure else None

    async def connect(self, made: Made) -> Connection:
        """Open one.

        Raises:
            UpstreamError: it could not be opened (`connect`), its certificate is not to be trusted (`certificate`), or the proxy refused (`proxy`).
        """
        loop, origin = asyncio.get_running_loop(), self._origin
        try:
            if self._trusted is None:
                return (await loop.create_connection(made, origin.host, origin.port))[1]
            if self._proxy is not None:
                return await self._through(self._proxy, self._trusted, made)
            addresses = await loop.getaddrinfo(origin.host, origin.port, type=1)
            socket = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_FALL_BACK_S, interleave=1, loop=loop
            )
            return (await loop.create_connection(made, sock=socket, ssl=self._trusted, server_hostname=origin.host))[1]
        except ssl.SSLCertVerificationError as exc:
            raise self._told("certificate", exc.verify_message) from exc
        except OSError as exc:
            raise UpstreamError("connect") from exc

    async def _through(self, proxy: str, context: ssl.SSLContext, made: Made) -> Connection:
        # RFC 9110, 9.3.6: the proxy joins the two, and TLS begins behind its answer.
        parts, origin = urlsplit(proxy), self._origin
        if parts.scheme != "http":
            raise self._told(
                "proxy", f"{parts.scheme}:// is none that can be gone through; HTTPS_PROXY must be http://…"
            )
        target = f"[{origin.host}]:{origin.port}" if ":" in origin.host else f"{origin.host}:{origin.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        if parts.username is not None:
            word = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            lines.append(f"proxy-authorization: Basic {base64.b64encode(word).decode()}")
        loop = asyncio.get_running_loop()
        try:
            transport, answer = await loop.create_connection(
                lambda: _ProxyAnswer(loop), parts.hostname or "", parts.port or 80
            )
        except OSError as exc:
            raise self._told("proxy", str(exc)) from exc
        connection = made()
        try:
            transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            said = await answer.said
            if _ESTABLISHED.match(said):
                secured = await loop.start_tls(transport, connection, context, server_hostname=origin.host)
                assert secured is not None
                connection.connection_made(secured)  # start_tls leaves that to its caller
                return connection
        except BaseException:
            transport.abort()
            raise
        transport.abort()
        raise self._told("proxy", said.split(b"\r\n")[0].decode("latin-1") or "it hung up")

    def _told(self, reason: str, why: str) -> UpstreamError:
        # For the operator to mend, who is told why.
        _log.warning("%s could not be called: %s", self._origin.authority, why, extra={"reason": reason})
        return UpstreamError("certificate" if reason == "certificate" else "proxy")


class _ProxyAnswer(asyncio.Protocol):
    """Collects the head of a proxy's answer; `said` is b"" when the proxy hung up before its end, or said too much.

    No stream of asyncio's: its writer closes the connection when nobody holds it any more (since Python 3.11.5), TLS or not.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.said: asyncio.Future[bytes] = loop.create_future()
        self._came = b""

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self._came += data
        if b"\r\n\r\n" in self._came:
            self._tell(self._came)
        elif len(self._came) > _LONGEST_ANSWER:
            self._tell(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that nothing more will come."""
        self._tell(b"")

    def _tell(self, said: bytes) -> None:
        if not self.said.done():
            self.said.set_result(said)
