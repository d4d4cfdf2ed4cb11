"""The gateway's request path inside this process: all of it is the real thing, only the two sockets are not there.

Bytes go into the protocols as a loop would hand them over, and what they write ends in a transport that keeps it. Key ring,
journal, metrics and tracing are those of the service; the services beside the gateway are not asked on this path.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import uvicorn
from tests.bench.errors import BenchError
from tests.bench.mock import MODEL, WORDS
from tests.bench.rows.sluice import LIMITS, PRICE
from tests.simulators.gateway_parts import Parts
from uvicorn.server import ServerState

from sluice.contracts.routing import Deployment, Model, RoutingSnapshot
from sluice_gateway.dataplane.app import DataPlane
from sluice_gateway.dataplane.asgi import Receive, Scope, Send
from sluice_gateway.dataplane.connection import Connection
from sluice_gateway.dataplane.context import read_heads
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.pool import HttpPool
from sluice_gateway.dataplane.table import CHAT
from sluice_gateway.dataplane.wire import GatewayProtocol, ShortWay
from sluice_gateway.domain.keys import StoredKey, digest_of, make_key
from sluice_gateway.domain.leases import Ask, CounterName, Grant
from sluice_gateway.domain.ports import Exchange as Leased
from sluice_gateway.domain.ring import MemoryKeyRing
from sluice_gateway.domain.tenancy import Directory, StoredOrganization
from sluice_gateway.usage.journal import Journal
from sluice_gateway.usage.sink import JournalSink

PEPPER = bytes(range(32))
KEY = make_key(bytes(32))
ENGINE = "http://127.0.0.1:1/v1"  # nothing connects to it: the one connection is handed to the pool
MAX_REPLY_BYTES = 64 * 1024 * 1024
LIFE = "life_of_the_benchmark"
WORD = "~lorem "


class Exchange(NamedTuple):
    """The bytes of one request and of its answer, as they come over the two connections."""

    body: bytes
    request: bytes
    reply_body: bytes
    reply: bytes


class StreamExchange(NamedTuple):
    """The bytes of one streamed request and of its answer: the head with the first event, one further event, the end."""

    request: bytes
    first: bytes
    word: bytes
    last: bytes


class Wire(asyncio.Transport):
    """A transport without a socket: it keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._written.append(bytes(data))

    def take(self) -> bytes:
        """Return what was written since it was last taken; the request path must have kept the connection."""
        if self._closed:
            raise BenchError("The request path closed a connection that it should have kept.")
        found = b"".join(self._written)
        self._written.clear()
        return found

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


class Application:
    """What uvicorn serves; the protocol finds the request path in `short_way`."""

    def __init__(self, short_way: ShortWay) -> None:
        self.short_way = short_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise BenchError("The request did not take the short way.")


class HotPath(NamedTuple):
    """A request path with one client connection and one connection to an engine."""

    plane: DataPlane
    ring: MemoryKeyRing
    journal: Journal
    client: GatewayProtocol
    client_wire: Wire
    engine: Connection
    engine_wire: Wire
    pool: HttpPool

    def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        self.client.data_received(exchange.request)
        self.plane.turn.end()
        self.engine.data_received(exchange.reply)
        self.plane.turn.end()
        self.client_wire.take()
        self.engine_wire.take()


def headers_of(length: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request, as the load generator sends them."""
    return [
        (b"host", b"127.0.0.1:8080"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
        (b"content-length", length),
        (b"authorization", b"Bearer " + KEY.encode()),
    ]


def request_of(body: bytes) -> bytes:
    """Return the bytes of a request with this body."""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers_of(b"%d" % len(body)))
    return b"POST /v1/chat/completions HTTP/1.1\r\n" + lines + b"\r\n" + body


def usage(words: int) -> dict[str, object]:
    return {"prompt_tokens": 42, "completion_tokens": words, "total_tokens": 42 + words}


def exchange_of(body: bytes) -> Exchange:
    """Return a request with this body and an answer like the mock upstream's."""
    message = {"role": "assistant", "content": WORD * WORDS, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1_763_900_000, "model": MODEL}
    answer = json.dumps({**head, "choices": [choice], "usage": usage(WORDS)}, separators=(",", ":")).encode()
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
    return Exchange(body, request_of(body), answer, reply + answer)


def stream_exchange_of(body: bytes) -> StreamExchange:
    """Return a streamed request with this body and the events of an answer like the mock upstream's."""
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_763_900_000, "model": MODEL}

    def event(choices: list[object], **more: object) -> bytes:
        data = b"data: " + json.dumps({**head, "choices": choices, **more}, separators=(",", ":")).encode() + b"\n\n"
        return b"%x\r\n%b\r\n" % (len(data), data)

    def choice(delta: dict[str, str], reason: str | None) -> list[object]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]

    opening = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    first = event(choice({"role": "assistant", "content": WORD}, None))
    done = b"data: [DONE]\n\n"
    last = event(choice({}, "stop")) + event([], usage=usage(WORDS)) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(done), done)
    return StreamExchange(request_of(body), opening + first, event(choice({"content": WORD}, None)), last)


class _Generous:
    """A store of leases that grants half of every limit at once, so that no request of a measurement waits for one."""

    async def exchange(self, asks: Sequence[Ask]) -> Leased:
        """Grant."""
        grants = (
            Grant(ask.limit // 2 if ask.mine == 0 else 0, 0, ask.limit, 0, wanted=False, seeded=True) for ask in asks
        )
        return Leased("run", settling=False, lives=1, grants=tuple(grants))

    async def seed(self, names: Sequence[CounterName]) -> None:
        """Nothing has been spent."""


class _OneMinute:
    """A clock whose time of day stands still, so that no window of a limit ends in the middle of a measurement."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._now = time.time()

    def now(self) -> float:
        """Return when it was made."""
        return self._now


async def _lease(plane: DataPlane) -> None:
    # One request takes of every lease and gives it back; what is granted then stays.
    keeper = asyncio.create_task(plane.leases.run())
    heads = read_heads(headers_of(b"0"))
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}).encode()
    ctx = plane.admit(CHAT, heads, 0.0, plane.open(heads), body)
    await plane.limits.enter(ctx)
    assert ctx.reservation is not None
    ctx.reservation.settle(0, 0)
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)


@asynccontextmanager
async def hot_path(folder: Path) -> AsyncIterator[HotPath]:
    """Open a request path with leased limits; journal and traces go into `folder`."""
    journal = Journal(folder / "journal")
    journal.open()
    # Tracing is on, and each request is asked whether it is traced; one that were would need a task.
    parts = Parts(trace_dir=str(folder / "traces"), options=Options(trace_ratio_direct=0.0))
    ring = key_ring()
    deps = dataclasses.replace(
        parts.deps(), keys=ring, usage=JournalSink(journal, LIFE), leases=_Generous(), clock=_OneMinute()
    )
    plane = DataPlane(deps, _nothing_else)
    plane.use(_snapshot())
    await _lease(plane)
    try:
        pool = _pool_of(plane)
        engine, engine_wire = Connection(pool, asyncio.get_running_loop(), MAX_REPLY_BYTES), Wire()
        engine.connection_made(engine_wire)
        pool.give_back(engine)
        client, client_wire = client_connection(plane)
        yield HotPath(plane, ring, journal, client, client_wire, engine, engine_wire, pool)
    finally:
        deps.tracing.close()
        journal.close()


def client_connection(short_way: ShortWay) -> tuple[GatewayProtocol, Wire]:
    """Return the server's end of a client's connection."""
    settings = uvicorn.Config(
        Application(short_way), http=GatewayProtocol, interface="asgi3", proxy_headers=False, log_config=None
    )
    settings.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Wed, 25 Nov 2026 12:00:00 GMT"), (b"server", b"uvicorn")]
    client = GatewayProtocol(config=settings, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
    wire = Wire()
    client.connection_made(wire)
    return client, wire


def key_ring() -> MemoryKeyRing:
    """Return a key ring with one key that has a limit and a budget of every kind."""
    ring = MemoryKeyRing(PEPPER)
    key = StoredKey(
        "key_bench", digest_of(PEPPER, KEY.encode()), KEY[:8], "bench", "org_bench", "default", 0, limits=LIMITS
    )
    ring.replace(Directory([StoredOrganization("org_bench", "default", "bench", 0)], [], [key]))
    return ring


def _snapshot() -> RoutingSnapshot:
    deployment = Deployment(id="bench", base_url=ENGINE, upstream_model=MODEL, max_in_flight=1024, health="up")
    model = Model(name=MODEL, deployments=(deployment,), price=PRICE)
    return RoutingSnapshot(version=1, published_at=0.0, models=(model,))


def _pool_of(plane: DataPlane) -> HttpPool:
    heads = read_heads(headers_of(b"0"))
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}).encode()
    upstream = plane.admit(CHAT, heads, 0.0, plane.open(heads), body).chain[0].deployments[0].upstream
    if not isinstance(upstream, HttpPool):
        raise BenchError(
            "A plain HTTP engine is no longer called through HttpPool; tests/bench/hotpath.py has to follow."
        )
    return upstream


async def _nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    raise BenchError("The request did not reach the request path.")
