"""Streams whose chunks go on as the engine framed them: whatever one read brings, the client gets the same bytes."""

import asyncio
import itertools
from typing import Any, cast

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.dataplane.test_dataplane_pool import Wire

from sluice_gateway.dataplane.connection import Connection
from sluice_gateway.dataplane.known_head import HeadMemory
from sluice_gateway.dataplane.sse import StreamScanner, Usage
from sluice_gateway.dataplane.timers import Limits
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Call, Reason, UpstreamReply

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
COUNTS = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Decoded:
    """Reads chunks as a client does."""

    def __init__(self) -> None:
        self.body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(HEAD)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)


class Owner:
    """What a connection belongs to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = Limits(loop, 1.0)
        self.turn = Turn(loop)
        self.heads: HeadMemory[bytes] = HeadMemory()
        self.given_back: list[Connection] = []

    def give_back(self, connection: Connection) -> None:
        self.given_back.append(connection)


class Relay:
    """Takes a reply and its stream as a request on the short way does."""

    def __init__(self) -> None:
        self.scanner = StreamScanner(None)
        self.client = Decoded()
        self.passed = 0
        self.looked_at = 0
        self.began = self.ended = False
        self.reason: Reason | None = None

    def replied(self, reply: UpstreamReply) -> None:
        cast("Any", reply.stream).attach(self)

    def failed(self, reason: Reason) -> None:
        self.reason = reason

    def stale(self) -> None:
        raise AssertionError("the connection was new")

    def data(self, data: bytes) -> None:
        self.looked_at += 1
        piece = self.scanner.feed(data)
        if piece.events:
            self.began = True
            self.client.feed(framed(piece.events))

    def chunks(self, data: bytes) -> bool:
        if not self.began or not self.scanner.passes(data):
            return False
        self.passed += 1
        self.client.feed(data)
        return True

    def end(self) -> None:
        self.ended = True

    def broken(self, reason: Reason) -> None:
        self.reason = reason


def relayed(*reads: bytes) -> tuple[Relay, Owner]:
    async def feed() -> tuple[Relay, Owner]:
        loop = asyncio.get_running_loop()
        owner, relay = Owner(loop), Relay()
        connection = Connection(owner, loop, 1 << 20)
        connection.connection_made(cast("asyncio.BaseTransport", Wire()))
        connection.begin(Call("/v1/x", b"{}", (), "req", 1.0, 5.0, None), b"POST / HTTP/1.1\r\n\r\n", relay)
        for read in reads:
            connection.data_received(read)
            owner.turn.end()
        return relay, owner

    return asyncio.run(feed())


@pytest.mark.parametrize("opening", [(HEAD + framed(WORD),), (HEAD, framed(WORD))], ids=["together", "head first"])
def test_words_go_on_as_they_came_and_are_counted(opening: tuple[bytes, ...]) -> None:
    relay, owner = relayed(*opening, *[framed(WORD)] * 3, framed(WORD) * 2, framed(COUNTS), END)
    assert relay.passed == 4
    assert relay.client.body == WORD * 6
    assert relay.scanner.chunks == 6
    assert relay.scanner.usage == Usage(5, 2)
    assert relay.ended
    assert len(owner.given_back) == 1


@pytest.mark.parametrize(
    "read",
    [
        framed(WORD)[:-1],
        b"1" + framed(WORD),
        b"+" + framed(WORD),
        b"0x" + framed(WORD),
        b"0" * 9 + framed(WORD),
        framed(WORD).replace(b"\r\n", b";name=value\r\n", 1),
        framed(WORD[:-1]),
        framed(COUNTS),
        framed(b"data: [DONE]\n\n"),
        framed(b'data: {"error":{"message":"no"}}\n\n'),
        framed(WORD) * 100,
        b"zz\r\n" + WORD + b"\r\n",
    ],
)
def test_what_has_to_be_looked_at_does_not_go_on_as_it_came(read: bytes) -> None:
    relay, _ = relayed(HEAD + framed(WORD), read)
    assert relay.passed == 0


def test_a_body_that_is_not_chunked_is_no_chunks_however_it_looks() -> None:
    head = HEAD.replace(b"transfer-encoding: chunked\r\n", b"")
    relay, _ = relayed(head, WORD, framed(WORD), framed(WORD))
    assert relay.passed == 0
    assert relay.client.body.startswith(WORD + b"39\n")


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([(WORD,), (WORD * 2,), (WORD[:9], WORD[9:]), (COUNTS,), (b": ping\n\n",)]), max_size=8),
    st.lists(st.integers(0, 700), max_size=12),
    st.booleans(),
)
def test_however_the_bytes_are_cut_the_client_gets_the_same(
    groups: list[tuple[bytes, ...]], cuts: list[int], at_chunks: bool
) -> None:
    frames = [HEAD, framed(WORD), *map(framed, itertools.chain(*groups))]
    data = b"".join(frames) + END
    if at_chunks:  # as engines send, with a few cuts elsewhere
        cuts = [*itertools.accumulate(map(len, frames)), *cuts[:2]]
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    relay, _ = relayed(*(data[start:end] for start, end in itertools.pairwise(edges)))
    whole, _ = relayed(data)
    rest, expected = relay.scanner.finish().events, whole.scanner.finish().events
    assert relay.client.body + rest == whole.client.body + expected
    assert (relay.scanner.usage, relay.scanner.chunks) == (whole.scanner.usage, whole.scanner.chunks)
    assert relay.ended
    assert whole.passed == 0
