"""Uvicorn's HTTP protocol with a short way out for whole answers: head and body in one write, without a second look at each header.

It uses parts of uvicorn that are not public, so uvicorn is pinned, the tests run over both ways, and a server that does not use
this protocol class simply takes the long way through `send`.
"""

from collections.abc import MutableMapping
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

CYCLE = "sluice.cycle"


class GatewayProtocol(HttpToolsProtocol):
    """Hands the request's cycle to the application, as `scope["sluice.cycle"]`."""

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        super().on_headers_complete()
        cast("MutableMapping[str, Any]", self.scope)[CYCLE] = self.cycle


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
    cycle.waiting_for_100_continue = False
    lines: list[Any] = [STATUS_LINE[200]]
    for name, value in cycle.default_headers:
        lines += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    lines += (head, b"\r\n", body)
    cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
