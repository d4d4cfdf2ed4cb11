"""What a request on the short way uses: the client's connection, and the request path."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sluice.clock import Clock
from sluice_gateway.dataplane.context import Heads, Opened, RequestContext
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.finishing import Finishing
from sluice_gateway.dataplane.limiter import Limiter
from sluice_gateway.dataplane.repeats import Repeats
from sluice_gateway.dataplane.spans import Spans
from sluice_gateway.dataplane.stages.attempt import Attempts
from sluice_gateway.dataplane.stages.use_cache import Caching
from sluice_gateway.dataplane.table import Endpoint
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.domain.compaction import Compactions
from sluice_gateway.domain.ports import Prompts, UsageSink
from sluice_gateway.domain.responses import ResponsesKept


class Client(Protocol):
    """The client's connection, as a request uses it. What is chunks of HTTP's coding already may be written to the transport."""

    @property
    def transport(self) -> asyncio.Transport:
        """Where it is written to."""
        ...

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send a whole answer; `head` holds finished header lines."""
        ...

    def begin_stream(self, head: bytes, first: bytes) -> None:
        """Send the head of a streamed answer and its first part, which may be empty."""
        ...

    def send_part(self, data: bytes) -> None:
        """Send a part of a stream."""
        ...

    def end_stream(self, data: bytes) -> None:
        """Send the last part of a stream."""
        ...

    def converse(self) -> RequestResponseCycle:
        """Return what a coroutine hears and answers the client with; the request leaves the short way."""
        ...

    def refuse(self) -> None:
        """Close the connection at once."""
        ...

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine that answers."""
        ...


class Plane(Protocol):
    """What a request uses of the request path."""

    clock: Clock
    attempts: Attempts
    usage: UsageSink
    limits: Limiter
    finishing: Finishing
    max_body_bytes: int
    direct: int
    caching: Caching
    prompts: Prompts | None
    responses: ResponsesKept | None
    compactions: Compactions | None
    repeats: Repeats
    spans: Spans
    turn: Turn

    def open(self, heads: Heads) -> Opened:
        """Decide on the head of a request."""
        ...

    def admit(self, endpoint: Endpoint, heads: Heads, started: float, opened: Opened, raw: bytes) -> RequestContext:
        """Decide on the body of a request."""
        ...

    def too_large(self) -> ApiError:
        """Return the refusal of a body over the limit."""
        ...

    def count_refusal(self, endpoint: Endpoint, error: ApiError, started: float) -> None:
        """Count a request that was not admitted."""
        ...

    def run(self, ctx: RequestContext) -> Coroutine[Any, Any, None]:
        """Return the coroutine that answers an admitted request."""
        ...

    def failed(self, ctx: RequestContext, error: ApiError) -> None:
        """Record a request that is answered with an error."""
        ...

    def left(self, ctx: RequestContext) -> None:
        """Record a request whose client has gone."""
        ...

    def record_anyway(self, ctx: RequestContext) -> None:
        """Record a request whose client is told of a failure already."""
        ...

    def count(self, ctx: RequestContext) -> None:
        """Count an admitted request that has ended."""
        ...


def send_kept(client: Client, head: bytes, pieces: Sequence[bytes], *, streamed: bool) -> None:
    """Send an answer that was kept."""
    if not streamed:
        client.answer(200, head, pieces[0])
        return
    client.begin_stream(head, b"")
    for piece in pieces[:-1]:
        client.send_part(piece)
    client.end_stream(pieces[-1])
