"""The HTTP/1.1 client against bytes, without a socket: however a reply is cut, it is the same reply."""

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_gateway.dataplane.dialling import Origin
from sluice_gateway.dataplane.pool import HttpPool
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Call, Reason, Rest, UpstreamError, UpstreamReply

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n" + b'{"a":1}'
CHUNKED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"


class Wire:
    """A transport that keeps what was written and knows what was done to it."""

    def __init__(self) -> None:
        self.written = b""
        self.aborted = False
        self.paused = False

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: Any) -> None:
        self.written += b"".join(parts)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Network:
    """Makes connections whose other end is the test."""

    def __init__(self, pool: HttpPool) -> None:
        self.wires: list[Wire] = []
        self.protocols: list[Any] = []
        pool._loop = pool._dial = self
        self._real = asyncio.get_running_loop()

    def time(self) -> float:
        return self._real.time()

    def create_future(self) -> asyncio.Future[Any]:
        return self._real.create_future()

    async def connect(self, made: Any) -> Any:
        protocol, wire = made(), Wire()
        protocol.connection_made(wire)
        self.wires.append(wire)
        self.protocols.append(protocol)
        return protocol


def call(body: bytes = b"{}", timeout_s: float = 5.0, idle_s: float | None = None) -> Call:
    return Call(
        "/v1/x",
        body,
        (("authorization", "Bearer secret"),),
        request_id="req-12345",
        connect_timeout_s=1.0,
        timeout_s=timeout_s,
        deadline=None,
        idle_s=idle_s,
    )


def pool_of(max_reply_bytes: int = 1000) -> tuple[HttpPool, Network]:
    pool = HttpPool(
        Origin("engine", 80, secure=False),
        idle_s=30.0,
        max_idle=4,
        max_reply_bytes=max_reply_bytes,
        turn=Turn(asyncio.get_running_loop()),
    )
    return pool, Network(pool)


async def exchange(
    pool: HttpPool, network: Network, data: bytes, cuts: list[int], *, eof: bool = False
) -> UpstreamReply:
    task = asyncio.ensure_future(pool.send(call()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    protocol = network.protocols[-1]
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(edges):
        protocol.data_received(data[start:end])
    if eof:
        protocol.connection_lost(None)
    return await task


@given(st.lists(st.integers(0, 200), max_size=12), st.sampled_from([OK, CHUNKED, STREAM, INTERIM + OK]), st.booleans())
@settings(max_examples=200)
def test_a_reply_is_the_same_however_it_is_cut(cuts: list[int], data: bytes, again: bool) -> None:
    async def scenario() -> None:
        pool, network = pool_of()
        for _ in range(4 if again else 1):
            reply = await exchange(pool, network, data, cuts)
            assert reply.status == 200
            if reply.stream is None:
                assert reply.body == b'{"a":1}'
            else:
                got = b""
                while part := await reply.stream.read():
                    got += part
                assert got == b"data: 1\n\ndata: 2\n\n"
        assert len(network.wires) == 1, "the connection is kept"
        assert not network.wires[0].aborted

    asyncio.run(scenario())


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_are_a_reply_or_an_error(data: bytes, cuts: list[int]) -> None:
    async def scenario() -> None:
        pool, network = pool_of()
        try:
            reply = await exchange(pool, network, b"HTTP/1.1 " + data, cuts, eof=True)
        except UpstreamError:
            return  # any other error is a mistake of ours
        assert reply.status >= 200

    asyncio.run(scenario())


async def test_the_request_is_well_formed() -> None:
    pool, network = pool_of()
    await exchange(pool, network, OK, [])
    head, body = network.wires[0].written.split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v1/x HTTP/1.1", b"host: engine", b"content-type: application/json",
        b"accept: application/json, text/event-stream", b"x-request-id: req-12345", b"authorization: Bearer secret",
        b"content-length: 2",
    ]  # fmt: skip
    assert body == b"{}"


async def test_a_reply_without_length_ends_with_its_connection() -> None:
    pool, network = pool_of()
    reply = await exchange(pool, network, b"HTTP/1.1 200 OK\r\n\r\nabc", [3], eof=True)
    assert reply.body == b"abc"


@pytest.mark.parametrize("data", [OK[:-1], CHUNKED[:-3], b"HTTP/1.1 200", b""])
async def test_a_cut_reply_is_no_reply(data: bytes) -> None:
    pool, network = pool_of()
    with pytest.raises(UpstreamError, match="reset"):
        await exchange(pool, network, data, [], eof=True)


async def test_a_stale_connection_is_replaced_once_and_only_before_the_first_byte() -> None:
    pool, network = pool_of()
    await exchange(pool, network, OK, [])
    task = asyncio.ensure_future(pool.send(call()))
    await asyncio.sleep(0)
    network.protocols[0].connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(network.wires) == 2
    network.protocols[1].data_received(OK)
    assert (await task).body == b'{"a":1}'
    task = asyncio.ensure_future(pool.send(call()))
    await asyncio.sleep(0)
    network.protocols[1].data_received(OK[:20])
    network.protocols[1].connection_lost(None)
    with pytest.raises(UpstreamError, match="reset"):
        await task
    assert len(network.wires) == 2, "half a reply is not asked for again"


async def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    pool, network = pool_of()
    await exchange(pool, network, OK, [])
    network.protocols[0].data_received(OK)
    assert network.wires[0].aborted
    await exchange(pool, network, OK, [])
    assert len(network.wires) == 2


async def test_two_replies_to_one_request_close_the_connection() -> None:
    pool, network = pool_of()
    assert (await exchange(pool, network, OK + OK, [])).body == b'{"a":1}'
    assert network.wires[0].aborted


async def test_a_reply_over_the_limit_is_given_up() -> None:
    pool, network = pool_of(max_reply_bytes=5)
    with pytest.raises(UpstreamError, match="too_large"):
        await exchange(pool, network, OK, [])
    assert network.wires[0].aborted


async def test_reading_pauses_while_the_reader_is_behind() -> None:
    pool, network = pool_of()
    head = STREAM[: STREAM.index(b"\r\n\r\n") + 4]
    reply = await exchange(pool, network, head, [])
    assert reply.stream is not None
    big = b"x" * (300 * 1024)
    network.protocols[0].data_received(b"%x\r\n%b\r\n" % (len(big), big))
    assert network.wires[0].paused
    assert await reply.stream.read() == big
    assert not network.wires[0].paused
    reply.stream.close()
    assert network.wires[0].aborted, "a stream that is not at its end takes its connection with it"


async def test_time_limits_hold_for_replies_and_for_pauses_in_streams() -> None:
    pool, network = pool_of()
    with pytest.raises(UpstreamError, match="timeout"):
        await pool.send(call(timeout_s=0.05))
    task = asyncio.ensure_future(pool.send(call(timeout_s=1.0)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    protocol = network.protocols[-1]
    protocol.data_received(STREAM[: STREAM.index(b"9\r\n")])
    stream = (await task).stream
    assert stream is not None
    for _ in range(4):
        await asyncio.sleep(0.3)
        protocol.data_received(b"1\r\nx\r\n")
        assert await stream.read() == b"x"
    with pytest.raises(UpstreamError, match="timeout"):
        await stream.read()


async def test_a_pause_counts_from_the_first_event_also_where_the_head_came_alone() -> None:
    pool, network = pool_of()
    reply, protocol = await opened(pool, network, call(timeout_s=5.0, idle_s=0.05))
    assert reply.stream is not None
    await asyncio.sleep(0.12)  # the first event has its own time, however often it is looked for
    protocol.data_received(STREAM[STREAM.index(b"9\r\n") :][:14])
    assert await reply.stream.read() == b"data: 1\n\n"
    with pytest.raises(UpstreamError, match="timeout"):
        async with asyncio.timeout(60):
            await reply.stream.read()


async def test_a_first_event_that_never_comes_is_given_up_in_its_time() -> None:
    pool, network = pool_of()
    reply, _ = await opened(pool, network, call(timeout_s=0.1, idle_s=0.03))
    assert reply.stream is not None
    with pytest.raises(UpstreamError, match="timeout"):
        async with asyncio.timeout(60):
            await reply.stream.read()


async def opened(pool: HttpPool, network: Network, wanted: Call) -> tuple[UpstreamReply, Any]:
    """Return a stream whose head has come, and nothing else, and its connection."""
    task = asyncio.ensure_future(pool.send(wanted))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    protocol = network.protocols[-1]
    protocol.data_received(STREAM[: STREAM.index(b"9\r\n")])
    return await task, protocol


async def left(timeout_s: float = 5.0) -> tuple[HttpPool, Network, Rest]:
    """Return the rest of a call that nobody waits for."""
    pool, network = pool_of()
    wanted = call(timeout_s=timeout_s)
    task = asyncio.ensure_future(pool.send(wanted))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if timeout_s > 1:
        wanted.cancel()
    with pytest.raises(UpstreamError, match="cancelled" if timeout_s > 1 else "timeout"):
        await task
    assert wanted.rest is not None
    return pool, network, wanted.rest


async def test_the_rest_of_a_call_is_closed_unless_somebody_takes_it() -> None:
    _, network, _ = await left()
    async with asyncio.timeout(60):
        while not network.wires[0].aborted:
            await asyncio.sleep(0.01)
    _, network, rest = await left()
    rest.close()
    assert network.wires[0].aborted


@pytest.mark.parametrize("timeout_s", [5.0, 0.05])
@pytest.mark.parametrize("early", [False, True])
async def test_the_rest_of_a_call_is_a_whole_reply_and_the_connection_goes_on(timeout_s: float, early: bool) -> None:
    pool, network, rest = await left(timeout_s)
    heard: list[UpstreamReply | Reason] = []
    if not early:
        rest.take(30.0, heard.append)
    network.protocols[0].data_received(OK)
    await asyncio.sleep(0.01)
    if early:
        rest.take(30.0, heard.append)
    async with asyncio.timeout(60):
        while not heard:
            await asyncio.sleep(0.01)
    (found,) = heard
    assert isinstance(found, UpstreamReply)
    assert found.body == b'{"a":1}'
    rest.close()
    assert (await exchange(pool, network, OK, [])).body == b'{"a":1}'
    assert [wire.aborted for wire in network.wires] == [False], "both went over one connection"


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "timeout"), (b"nonsense\r\n\r\n", "protocol"), (STREAM, "protocol")]
)
async def test_why_the_rest_of_a_call_brought_nothing(data: bytes, reason: Reason) -> None:
    _, network, rest = await left()
    heard: list[UpstreamReply | Reason] = []
    rest.take(0.05, heard.append)
    if data:
        network.protocols[0].data_received(data)
    async with asyncio.timeout(60):
        while not heard:
            await asyncio.sleep(0.01)
    assert heard == [reason]


async def test_only_so_many_idle_connections_are_kept() -> None:
    pool, network = pool_of()
    tasks = [asyncio.ensure_future(pool.send(call())) for _ in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for protocol in network.protocols:
        protocol.data_received(OK)
    await asyncio.gather(*tasks)
    assert [wire.aborted for wire in network.wires] == [False] * 4 + [True] * 2
    await pool.close()
    assert all(wire.aborted for wire in network.wires)
