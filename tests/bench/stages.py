"""Tells where a request's time goes inside the gateway, stage by stage: python -m tests.bench.stages --help.

Every stage is called again and again in one process with what a real request brings to it, and the best mean of many
batches counts, so that a neighbour on the machine hardly shows. There are no sockets: what the kernel and the event loop
take comes on top, and is the distance to the CPU per request that `python -m tests.bench.run` measures.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import orjson
import uvloop
from tests.bench.errors import BenchError
from tests.bench.hotpath import (
    LIFE,
    Exchange,
    HotPath,
    StreamExchange,
    client_connection,
    exchange_of,
    headers_of,
    hot_path,
    stream_exchange_of,
)
from tests.bench.mock import WORDS
from tests.bench.paths import DOCUMENT
from tests.bench.report import into_page
from tests.bench.scenarios import write_bodies

from sluice_gateway.dataplane import body as request_body
from sluice_gateway.dataplane.answers import head_of_whole
from sluice_gateway.dataplane.asgi import Headers
from sluice_gateway.dataplane.context import Heads, RequestContext, read_heads
from sluice_gateway.dataplane.deployments import DeploymentState, choose
from sluice_gateway.dataplane.direct import DirectRequest
from sluice_gateway.dataplane.sse import usage_of
from sluice_gateway.dataplane.stages.authenticate import authenticate
from sluice_gateway.dataplane.stages.record import event_of, record
from sluice_gateway.dataplane.stages.resolve import resolve
from sluice_gateway.dataplane.stages.settle import settle_request
from sluice_gateway.dataplane.table import CHAT, Endpoint
from sluice_gateway.dataplane.timers import Limits
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstream import Reason, UpstreamReply
from sluice_gateway.dataplane.wire import GatewayProtocol
from sluice_gateway.usage.sink import JournalSink

MARKS = "stages"
WARM = 2000
BATCH = 100


class Stage(NamedTuple):
    """One stage: what it does, and how it is done once. `within` names the stage that it is a part of."""

    title: str
    once: Callable[[], object]
    within: str | None = None


class Cost(NamedTuple):
    """What a stage costs, in microseconds."""

    title: str
    microseconds: float
    within: str | None = None


class StreamCosts(NamedTuple):
    """What the parts of a stream cost, in microseconds."""

    opening: float
    word: float
    end: float


class _AnsweredAtOnce:
    """A request that is answered as soon as it is complete: what is left is reading and writing HTTP."""

    refused = False
    limit = 10 * 1024 * 1024
    endpoint = CHAT
    heads = read_heads([])

    def __init__(self, client: GatewayProtocol, head: bytes, body: bytes) -> None:
        self._client, self._head, self._body = client, head, body

    def begin(self, _body: bytes | None) -> None:
        self._client.answer(200, self._head, self._body)


class _AnswerAtOnce:
    """A request path that does nothing."""

    patience_s = 60.0

    def __init__(self, idle: Limits, turn: Turn, head: bytes, body: bytes) -> None:
        self.idle = idle
        self.turn = turn
        self._head, self._body = head, body

    def incoming(self, _path: bytes, _headers: Headers, client: GatewayProtocol) -> DirectRequest | None:
        return cast("DirectRequest", _AnsweredAtOnce(client, self._head, self._body))

    def again(self, _endpoint: Endpoint, _heads: Heads, client: GatewayProtocol) -> DirectRequest:
        return cast("DirectRequest", _AnsweredAtOnce(client, self._head, self._body))

    def client_left(self, reason: str) -> None:
        """Nobody is left."""

    def give_up(self) -> None:
        """Nothing is under way."""


class _Nobody:
    """The receiver of a reply that nobody waits for."""

    def replied(self, reply: UpstreamReply) -> None:
        return

    def failed(self, reason: Reason) -> None:
        raise BenchError(f"The exchange with the engine failed: {reason}.")

    def stale(self) -> None:
        raise BenchError("The connection to the engine was stale.")


def stages_of(path: HotPath, exchange: Exchange) -> list[Stage]:
    """Return the stages of a request that is answered with JSON, in their order."""
    plane = path.plane
    headers = headers_of(b"%d" % len(exchange.body))
    heads = read_heads(headers)
    opened = plane.open(heads)
    ctx = plane.admit(CHAT, heads, plane.clock.monotonic(), opened, exchange.body)
    entry = ctx.chain[0]
    state = entry.deployments[0]
    call = plane.attempts.call(ctx, entry, state, None)
    reply = UpstreamReply(200, b"application/json", None, exchange.reply_body, None)
    answer = orjson.loads(exchange.reply_body)
    _answered(ctx, state, answer)
    bill = settle_request(ctx)
    event = event_of(ctx, bill, ctx.started, LIFE)
    sink, nobody, now = JournalSink(path.journal, LIFE), _Nobody(), plane.clock.monotonic()
    head = head_of_whole(ctx, bill.cost_usd, len(exchange.reply_body))
    client, client_wire = client_connection(_AnswerAtOnce(plane.idle, plane.turn, head, exchange.reply_body))

    def http() -> None:
        client.data_received(exchange.request)
        path.plane.turn.end()
        client_wire.take()

    def ask_engine() -> None:
        path.pool.submit(call, nobody)
        path.plane.turn.end()
        path.engine.data_received(exchange.reply)
        path.plane.turn.end()
        path.engine_wire.take()

    def write_down() -> None:
        ctx.recorded = False
        record(ctx, sink, now)

    return [
        Stage("read the request and write the answer (HTTP)", http),
        Stage("read the headers that matter", lambda: read_heads(headers)),
        Stage("open", lambda: plane.open(heads)),
        Stage("authenticate", lambda: authenticate(path.ring, heads.authorization, opened.at), "open"),
        Stage("admit", lambda: plane.admit(CHAT, heads, now, opened, exchange.body)),
        Stage("parse and check the body", lambda: request_body.parse(exchange.body, "chat"), "admit"),
        Stage(
            "resolve the model and its plan",
            lambda: resolve(opened.table, opened.key, CHAT, ctx.body, len(exchange.body)),
            "admit",
        ),
        Stage("decide on tracing", lambda: plane.spans.begin(ctx)),
        Stage("choose a deployment", lambda: choose(entry.deployments, now)),
        Stage("make the call", lambda: plane.attempts.call(ctx, entry, state, None)),
        Stage("send the call and read the reply (HTTP)", ask_engine),
        Stage("judge the reply", lambda: plane.attempts.judge(ctx, entry, state, reply)),
        Stage("read its usage", lambda: usage_of(answer)),
        Stage("record", write_down),
        Stage("settle tokens and cost", lambda: settle_request(ctx), "record"),
        Stage("write the row into the journal", lambda: sink.record(event), "record"),
        Stage("make the answer's head", lambda: head_of_whole(ctx, bill.cost_usd, len(exchange.reply_body))),
        Stage("count", lambda: plane.count(ctx)),
    ]


def _answered(ctx: RequestContext, state: DeploymentState, answer: dict[str, object]) -> None:
    # What the request path has noted by the time that it records.
    ctx.usage = usage_of(answer)
    ctx.deployment = state
    ctx.dispatched = ctx.answering = True


def check(path: HotPath, exchange: Exchange) -> None:
    """See that a request is answered right and recorded, so that what is measured is the whole way.

    Raises:
        BenchError: it is not.
    """
    before = path.journal.appended
    path.client.data_received(exchange.request)
    path.plane.turn.end()
    asked = path.engine_wire.take()
    path.engine.data_received(exchange.reply)
    path.plane.turn.end()
    answered = path.client_wire.take()
    if exchange.body not in asked:
        raise BenchError("The request did not reach the engine.")
    if not answered.startswith(b"HTTP/1.1 200 ") or not answered.endswith(exchange.reply_body):
        raise BenchError(f"The request was not answered right: {answered[:300]!r}")
    if path.journal.appended != before + 1:
        raise BenchError("The request was not recorded once.")


def best(once: Callable[[], object], batches: int) -> float:
    """Return the microseconds of one call: the smallest mean over the batches."""
    found = float("inf")
    for _ in range(batches):
        began = time.perf_counter()
        for _ in range(BATCH):
            once()
        found = min(found, time.perf_counter() - began)
    return found / BATCH * 1e6


def stream_costs(path: HotPath, exchange: StreamExchange, rounds: int) -> StreamCosts:
    """Return what opening a stream costs (request, head and first word), each further word, and its end with the record."""
    clock, client, engine = time.perf_counter, path.client, path.engine
    found = StreamCosts(float("inf"), float("inf"), float("inf"))
    for _ in range(rounds):
        began = clock()
        client.data_received(exchange.request)
        path.plane.turn.end()
        engine.data_received(exchange.first)
        path.plane.turn.end()
        opened = clock()
        for _ in range(WORDS - 1):
            engine.data_received(exchange.word)
        streamed = clock()
        engine.data_received(exchange.last)
        ended = clock()
        sent = path.client_wire.take()
        path.engine_wire.take()
        if not sent.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            raise BenchError(f"The stream did not end right: {sent[-200:]!r}")
        spent = StreamCosts(opened - began, (streamed - opened) / (WORDS - 1), ended - streamed)
        found = StreamCosts(*map(min, found, spent))
    return StreamCosts(*(seconds * 1e6 for seconds in found))


def measure(path: HotPath, exchange: Exchange, batches: int) -> tuple[list[Cost], float]:
    """Return the cost of each stage and of the whole request."""
    check(path, exchange)
    for _ in range(WARM):
        path.answer(exchange)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # as the service does when it has started
    whole = best(lambda: path.answer(exchange), batches)
    costs = [Cost(stage.title, best(stage.once, batches), stage.within) for stage in stages_of(path, exchange)]
    return costs, min(whole, best(lambda: path.answer(exchange), batches))


def table(costs: Sequence[Cost], whole: float) -> str:
    """Return a Markdown table: parts of a stage stand indented below it and do not count for the sum."""
    total = sum(cost.microseconds for cost in costs if cost.within is None)
    lines = ["| stage | µs | share |", "| --- | ---: | ---: |"]
    for cost in costs:
        title = f"· of it: {cost.title}" if cost.within else cost.title
        share = "" if cost.within else f"{cost.microseconds / whole:.0%}"
        lines.append(f"| {title} | {cost.microseconds:.2f} | {share} |")
    lines.append(f"| sum of the stages | {total:.2f} | {total / whole:.0%} |")
    lines.append(f"| between the stages | {whole - total:.2f} | {(whole - total) / whole:.0%} |")
    lines.append(f"| **a whole request** | **{whole:.2f}** | |")
    return "\n".join(lines)


def stream_table(costs: StreamCosts) -> str:
    """Return a Markdown table of a stream's parts."""
    whole = costs.opening + costs.word * (WORDS - 1) + costs.end
    return "\n".join(
        [
            "| part of a stream | µs |",
            "| --- | ---: |",
            f"| the request, the head and the first word | {costs.opening:.2f} |",
            f"| each further word | {costs.word:.2f} |",
            f"| the end, with usage, record and count | {costs.end:.2f} |",
            f"| **a whole stream of {WORDS} words** | **{whole:.2f}** |",
        ]
    )


async def tables(folder: Path, batches: int) -> str:
    """Measure, and return the text with all tables."""
    bodies = write_bodies(folder)
    async with hot_path(folder) as path:
        costs, whole = measure(path, exchange_of(bodies.json.read_bytes()), batches)
        long = exchange_of(bodies.long.read_bytes())
        check(path, long)
        long_whole = best(lambda: path.answer(long), batches)
        stream = stream_costs(path, stream_exchange_of(bodies.stream.read_bytes()), batches * 5)
        await path.plane.close()
    taken = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    said = (
        f"Taken {taken}, best of {batches} batches of {BATCH}. A request with a prompt of 34 KB: {long_whole:.2f} µs."
    )
    return "\n\n".join((said, table(costs, whole), stream_table(stream))) + "\n"


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stages", description=__doc__)
    parser.add_argument("--batches", type=int, default=200, help="batches of each stage (default: 200)")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    found = parser.parse_args(words)
    if found.batches < 1:
        parser.error("--batches must be at least 1")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = parse_arguments(words)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="sluice-stages-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            text = runner.run(tables(Path(folder), arguments.batches))
        if arguments.write_docs:
            DOCUMENT.write_text(into_page(DOCUMENT.read_text(), text, MARKS))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
