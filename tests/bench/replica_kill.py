"""Kills one of three engines under load: python -m tests.bench.replica_kill [--rounds 3] [--workers 6].

Three llama.cpp engines (SmolLM2), a router, a real Valkey and three gateway processes. Clients ask the gateways in turn, half of them
for streams. One engine is killed with `kill -9`, stays dead for a while, and is started again; nothing else is. The bars: no request that is not
streamed fails, a stream that was cut ends with a typed error, no gateway sends the dead engine a request once the router has told of it, and
the engine gets requests again after it is back.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tests.bench.errors import BenchError
from tests.bench.front import start_front
from tests.bench.replicas import REPLICAS, engine_process, say

from sluice.testing import admin_headers, free_port, wait_until

GATEWAYS = 3
TYPED = frozenset({"stream_interrupted", "stream_timeout"})
SETTLE_S = 3.0
DEAD_S = 8.0
CHAT = "/v1/chat/completions"
NEVER = 1e18


class Outcome(NamedTuple):
    """One request: when it ended, from which engine, and what it came to (`ok`, the code of a typed error, or what else went wrong)."""

    ended: float
    replica: str
    streamed: bool
    result: str


class Kill(NamedTuple):
    """One kill: the seconds until the router told of it and until the engine answered again after its start, and what came of the requests."""

    detected_s: float
    back_s: float
    whole: int
    whole_failed: int
    streams: int
    cut_typed: int
    cut_otherwise: int
    attempts_before: int
    attempts_after: int

    @property
    def kept(self) -> bool:
        """Whether every bar was reached."""
        return not (self.whole_failed or self.cut_otherwise or self.attempts_after) and self.back_s < NEVER


class Clients:
    """Clients that ask one gateway after the other until they are told to stop."""

    def __init__(self, urls: Sequence[str], key: str, workers: int) -> None:
        self.outcomes: list[Outcome] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(urls, key, number)) for number in range(workers)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the last requests end."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def since(self, moment: float) -> list[Outcome]:
        """Return what ended after a moment."""
        return [one for one in list(self.outcomes) if one.ended >= moment]

    def _work(self, urls: Sequence[str], key: str, number: int) -> None:
        with httpx.Client(timeout=120, headers={"authorization": f"Bearer {key}"}, trust_env=False) as client:
            turn = number
            while not self._over.is_set():
                turn += 1
                streamed = turn % 2 == 0
                self.outcomes.append(_ask(client, urls[turn % len(urls)], f"{number}-{turn}", streamed=streamed))


def _ask(client: httpx.Client, url: str, text: str, *, streamed: bool) -> Outcome:
    body = {"model": "small", "max_tokens": 24, "messages": [{"role": "user", "content": f"Tell me of {text}."}]}
    replica = "none"
    try:
        with client.stream("POST", url + CHAT, json={**body, "stream": streamed}) as answer:
            replica = answer.headers.get("x-sluice-deployment", "none")
            text = answer.read().decode()
            result = _of_stream(text) if streamed and answer.status_code == 200 else _of_whole(answer.status_code, text)
    except httpx.HTTPError as exc:
        result = type(exc).__name__
    return Outcome(time.monotonic(), replica, streamed, result)


def _of_whole(status: int, text: str) -> str:
    return "ok" if status == 200 and json.loads(text)["choices"] else f"status {status}: {text[:200]}"


def _of_stream(text: str) -> str:
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    errors = [chunk["error"]["code"] for chunk in chunks if "error" in chunk]
    if errors:
        return str(errors[0])
    return "ok" if text.endswith("data: [DONE]\n\n") else "broken off without a word"


class Platform:
    """A router and three gateways in front of three engines."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._ports = [free_port() for _ in range(REPLICAS)]
        self.engines = [engine_process(folder, port) for port in self._ports]
        for port, engine in zip(self._ports, self.engines, strict=True):
            stack.callback(engine.start().stop)
            engine.wait_ready(f"http://127.0.0.1:{port}/health", seconds=120)
        places = [
            {
                "id": f"replica-{number}",
                "provider": "llamacpp",
                "base_url": f"http://127.0.0.1:{port}/v1",
                "health": {"path": "/health", "at": "host"},
            }
            for number, port in enumerate(self._ports)
        ]
        models = {"models": [{"name": "small", "price": {"input": 0, "output": 0}, "deployments": places}]}
        front = start_front(stack, folder, models, gateways=GATEWAYS)
        self.urls, self.router, self.key = front
        wait_until(self._all_answer, seconds=60, what="every gateway to know the key and the engines")

    def _all_answer(self) -> bool:
        body = {"model": "small", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {self.key}"}
        answers = [httpx.post(url + CHAT, json=body, headers=headers, timeout=60, trust_env=False) for url in self.urls]
        return all(answer.status_code == 200 for answer in answers) and self.health(0) == "up"

    def health(self, number: int) -> str:
        """Return what the router says of an engine."""
        answer = httpx.get(f"{self.router}/v1/deployments", headers=admin_headers(), trust_env=False)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        return next(str(one["deployment"]["health"]) for one in found if one["deployment"]["id"] == f"replica-{number}")

    def failed_attempts(self) -> int:
        """Return how many attempts of all gateways on any engine have failed."""
        total = 0.0
        for url in self.urls:
            text = httpx.get(f"{url}/metrics", trust_env=False, timeout=10).text
            lines = [one for one in text.splitlines() if one.startswith("sluice_gateway_upstream_errors_total{")]
            total += sum(float(one.rsplit(" ", 1)[1]) for one in lines)
        return round(total)

    def versions(self) -> set[float]:
        """Return the versions of the routing snapshots that the gateways use."""
        found = set()
        for url in self.urls:
            text = httpx.get(f"{url}/metrics", trust_env=False, timeout=10).text
            line = next(one for one in text.splitlines() if one.startswith("sluice_gateway_routing_snapshot_version "))
            found.add(float(line.rsplit(" ", 1)[1]))
        return found

    def restart(self, number: int) -> None:
        """Start an engine again on its port."""
        self.engines[number].start()
        self.engines[number].wait_ready(f"http://127.0.0.1:{self._ports[number]}/health", seconds=120)


def kill(platform: Platform, clients: Clients, number: int) -> Kill:
    """Kill one engine, wait, start it again, and return what came of it."""
    name = f"replica-{number}"
    before = platform.failed_attempts()
    known = platform.versions()
    began = time.monotonic()
    platform.engines[number].kill()
    wait_until(lambda: platform.health(number) == "down", seconds=60, every=0.05, what="the router to see it")
    wait_until(lambda: not platform.versions() & known, seconds=10, every=0.05, what="the gateways to hear of it")
    detected = time.monotonic()
    at_detection = platform.failed_attempts()
    time.sleep(DEAD_S)
    after = platform.failed_attempts()
    platform.restart(number)
    started = time.monotonic()
    wait_until(
        lambda: any(one.replica == name and one.result == "ok" for one in clients.since(started)), seconds=60, what=name
    )
    back = time.monotonic() - started
    time.sleep(SETTLE_S)
    seen = clients.since(began)
    whole, streams = [one for one in seen if not one.streamed], [one for one in seen if one.streamed]
    wrong = [one for one in streams if one.result not in ("ok", *TYPED)]
    for one in [*wrong, *(one for one in whole if one.result != "ok")]:
        say(f"   failed: {one}")
    return Kill(
        detected - began,
        back,
        len(whole),
        sum(one.result != "ok" for one in whole),
        len(streams),
        sum(one.result in TYPED for one in streams),
        len(wrong),
        at_detection - before,
        after - at_detection,
    )


def measure(rounds: int, workers: int) -> list[Kill]:
    """Kill each engine in turn, so many times in all."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        platform = Platform(stack, Path(folder))
        clients = Clients(platform.urls, platform.key, workers)
        stack.callback(clients.stop)
        time.sleep(SETTLE_S)
        found = [kill(platform, clients, number % REPLICAS) for number in range(rounds)]
        shares = Counter(one.replica for one in clients.outcomes if one.result == "ok")
        say(f"answers by engine over the whole run: {dict(sorted(shares.items()))}")
        return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=6)
    options = parser.parse_args(arguments)
    say(
        "| kill | told after | answers again after its start | whole: failed | streams: typed error, other | attempts on the dead one: before, after it was told |"
    )
    say("| --- | ---: | ---: | ---: | ---: | ---: |")
    found = measure(options.rounds, options.workers)
    for number, one in enumerate(found):
        say(
            f"| {number + 1} | {one.detected_s:.1f} s | {one.back_s:.1f} s | {one.whole_failed} of {one.whole} | "
            f"{one.cut_typed}, {one.cut_otherwise} of {one.streams} | {one.attempts_before}, {one.attempts_after} |"
        )
    if not all(one.kept for one in found):
        raise BenchError("a bar was missed: see the table")


if __name__ == "__main__":
    try:
        main()
    except BenchError as exc:
        sys.exit(str(exc))
