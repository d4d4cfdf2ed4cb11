"""What clients notice when a gateway or Redis is killed under load: python -m tests.bench.survive --help.

Two gateways with a supervisor each (which starts a killed one again at once, as compose and Kubernetes do), their usage
worker, a real Valkey, and clients that ask one gateway after the other and go to the next when a connection fails, as a
load balancer would have it. Then the serving process of one of the gateways is killed (which its first process replaces), the
whole gateway, and Valkey, each several times with `kill -9`.

At the end every answer that was acknowledged must have exactly one usage record, no more records than the provider was asked,
and a budget that the load would have passed several times must not be overspent.
"""

import argparse
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import redis
from tests.bench.errors import BenchError
from tests.bench.mock import MODEL, MockUpstream, Timing
from tests.bench.paths import LOGS
from tests.bench.run import choose_cores, say
from tests.bench.toolchain import build

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, Price, RoutingSnapshot
from sluice.testing import (
    ServiceProcess,
    Valkey,
    admin_headers,
    free_port,
    platform_settings,
    valkey_process,
    wait_until,
)
from sluice.testing.apps import environment_of

BAR_S = 2.0
GATEWAYS = 2
PRICE = Price(input=100.0, output=1000.0)
CHAT = "/v1/chat/completions"
QUESTION = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
REDIS_AWAY_S = 3.0
CALM_S = 1.0
SERVING = "its serving process"


class Acknowledged(NamedTuple):
    """One answer with status 200: when it came, from which gateway, its id and what it cost."""

    at: float
    gateway: int
    request_id: str
    cost: float


class Kill(NamedTuple):
    """What one kill came to: the longest time without any answer, and the time until the killed part did its work again."""

    what: str
    silence_s: float
    back_s: float


class Log:
    """What the clients saw."""

    def __init__(self) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.others: Counter[int] = Counter()

    def longest_silence(self, start: float, end: float) -> float:
        """Return the longest time without an answer in a period."""
        times = sorted(one.at for one in self.acknowledged if start <= one.at <= end)
        return max(after - before for before, after in pairwise([start, *times, end]))

    def answered_since(self, gateway: int, start: float) -> float | None:
        """Return when a gateway first answered after a moment, None if it has not yet."""
        return next((one.at for one in self.acknowledged if one.gateway == gateway and one.at > start), None)


class Platform:
    """The processes under test."""

    def __init__(self, folder: Path, valkey: Valkey, upstream: MockUpstream) -> None:
        self.valkey = valkey
        self.database = folder / "gateway.sqlite"
        self.urls: list[str] = []
        self.gateways: list[ServiceProcess] = []
        with redis.Redis.from_url(valkey.url) as direct:
            direct.set(SNAPSHOT_KEY, _routing(upstream.base_url).model_dump_json())
        for number in range(GATEWAYS):
            settings = platform_settings(
                folder / f"g{number}",
                redis_url=valkey.url,
                database_url=f"sqlite+aiosqlite:///{self.database}",
                router_url="http://127.0.0.1:9",
                log_level="info",
            )
            port, worker_port = free_port(), free_port()
            environment = {
                **environment_of(settings),
                "SLUICE_GATEWAY_PORT": str(port),
                "SLUICE_GATEWAY_WORKER_PORT": str(worker_port),
            }
            log = LOGS / f"survive-gateway{number}.log"
            self.gateways.append(ServiceProcess("sluice_gateway", ["serve"], environment, log, cwd=folder))
            self.urls.append(f"http://127.0.0.1:{port}")
        self.worker = ServiceProcess("sluice_gateway", ["worker"], environment, LOGS / "survive-worker.log", cwd=folder)

    def make_key(self, **limits: float) -> str:
        """Return a new API key."""
        body = {"name": "survive", "tenant": "acme", "limits": limits}
        answer = httpx.post(f"{self.urls[0]}/admin/keys", json=body, headers=admin_headers(), trust_env=False)
        return str(answer.raise_for_status().json()["key"])

    def records(self) -> Counter[str]:
        """Count the usage records of each request."""
        with closing(sqlite3.connect(self.database)) as connection:
            return Counter(row[0] for row in connection.execute("SELECT request_id FROM usage"))

    def degraded(self, number: int) -> bool:
        """Tell whether a gateway says that limits are not shared."""
        text = httpx.get(f"{self.urls[number]}/metrics", trust_env=False, timeout=5).text
        return "sluice_gateway_limits_degraded 1.0" in text


def _routing(base_url: str) -> RoutingSnapshot:
    place = Deployment(id="mock", base_url=base_url, upstream_model=MODEL, max_in_flight=1000)
    return RoutingSnapshot(
        version=1, published_at=time.time(), models=(Model(name=MODEL, deployments=(place,), price=PRICE),)
    )


@contextmanager
def supervised(processes: Sequence[ServiceProcess]) -> Iterator[None]:
    """Start processes again as soon as they have ended, until the block is left; then end them."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for process in processes:
                if not process.alive():
                    process.start()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        for process in processes:
            process.stop()


@contextmanager
def load(platform: Platform, keys: Sequence[str], log: Log, clients: int) -> Iterator[None]:
    """Have clients ask, each with one of the keys, until the block is left."""
    over = threading.Event()
    turns = count()

    def ask(key: str) -> None:
        with httpx.Client(headers={"authorization": f"Bearer {key}"}, timeout=20, trust_env=False) as client:
            while not over.is_set():
                gateway = next(turns) % GATEWAYS
                try:
                    answer = client.post(f"{platform.urls[gateway]}{CHAT}", json=QUESTION)
                except httpx.HTTPError:
                    continue  # the next one has its turn
                if answer.status_code != httpx.codes.OK:
                    log.others[answer.status_code] += 1
                    over.wait(0.02)
                    continue
                request_id, cost = answer.headers["x-request-id"], float(answer.headers["x-sluice-cost"])
                log.acknowledged.append(Acknowledged(time.monotonic(), gateway, request_id, cost))

    threads = [threading.Thread(target=ask, args=(keys[number % len(keys)],)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def kill_gateway(platform: Platform, log: Log, number: int, *, whole: bool) -> Kill:
    """Kill one gateway, or only its serving process, and wait until it answers again."""
    pid = platform.gateways[number].pid
    if not whole:
        (pid,) = (child.pid for child in psutil.Process(pid).children())
    start = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    # what it had answered before may still be on its way; nothing starts that fast
    killed = time.monotonic() + 0.2
    back = wait_until(lambda: log.answered_since(number, killed), seconds=60, every=0.02, what="the killed gateway")
    assert back is not None
    time.sleep(CALM_S)
    return Kill(
        f"gateway {number}, {'whole' if whole else SERVING}", log.longest_silence(start, time.monotonic()), back - start
    )


def kill_redis(platform: Platform, log: Log) -> Kill:
    """Kill Valkey, start it again after a while, and wait until limits are shared again."""
    start = time.monotonic()
    platform.valkey.kill()
    wait_until(lambda: platform.degraded(0), seconds=30, every=0.05, what="the metric of unshared limits")
    time.sleep(REDIS_AWAY_S)
    platform.valkey.start()
    started = time.monotonic()
    for number in range(GATEWAYS):
        wait_until(lambda number=number: not platform.degraded(number), seconds=60, every=0.05, what="shared limits")  # type: ignore[misc]
    back = time.monotonic() - started
    time.sleep(CALM_S)
    return Kill("Redis", log.longest_silence(start, time.monotonic()), back)


def accounting(platform: Platform, log: Log, asked: int) -> list[str]:
    """Return what is wrong with the usage records, nothing if all is well."""
    ids = {one.request_id for one in log.acknowledged}
    try:
        wait_until(lambda: ids <= set(platform.records()), seconds=60, what="a record of every answer")
    except AssertionError:
        return [f"{len(ids - set(platform.records()))} of {len(ids)} acknowledged answers have no usage record"]
    found = platform.records()
    wrong = []
    if twice := [one for one, times in found.items() if times > 1]:
        wrong.append(f"{len(twice)} requests have more than one record")
    if len(found) > asked:
        wrong.append(f"there are {len(found)} records of {asked} requests to the provider")
    return wrong


class Outcome(NamedTuple):
    """All that was seen."""

    kills: list[Kill]
    answers: int
    refused: Counter[int]  # of the clients without a budget
    wrong: list[str]


def survive(folder: Path, kills: int, clients: int) -> Outcome:
    """Start everything, kill everything, and return what came of it."""
    programs = build()
    log, capped = Log(), Log()
    with ExitStack() as stack:
        upstream = stack.enter_context(MockUpstream(programs.mock, core=choose_cores()[1], log=LOGS / "mock.log"))
        upstream.set_timing(Timing(first_delay_us=5_000))
        valkey = stack.enter_context(valkey_process(folder / "valkey"))
        platform = Platform(folder, valkey, upstream)
        stack.enter_context(supervised([*platform.gateways, platform.worker]))
        for url in platform.urls:
            wait_until(lambda url=url: httpx.get(f"{url}/readyz", trust_env=False).is_success, seconds=60)  # type: ignore[misc]
        price, free = _price(platform), platform.make_key()
        budget = 300 * price
        tight = platform.make_key(budget_per_day_usd=budget)
        with load(platform, [free], log, clients), load(platform, [tight], capped, 2):
            wait_until(lambda: len(log.acknowledged) > 10 * clients, seconds=60, what="answers")
            seen = []
            for number in range(kills):
                seen.append(kill_gateway(platform, log, number % GATEWAYS, whole=False))
                seen.append(kill_gateway(platform, log, number % GATEWAYS, whole=True))
                seen.append(kill_redis(platform, log))
        log.acknowledged += capped.acknowledged
        wrong = accounting(platform, log, upstream.completions_served())
        spent = sum(one.cost for one in capped.acknowledged)
        if spent > budget * (1 + 1e-9):
            wrong.append(f"{spent:.4f} dollars were spent on a budget of {budget:.4f}")
        return Outcome(seen, len(log.acknowledged), log.others, wrong)


def _price(platform: Platform) -> float:
    # What one answer costs, with a key of its own; a new key is known everywhere within a second.
    headers = {"authorization": f"Bearer {platform.make_key()}"}
    answers = [
        wait_until(
            lambda url=url: _if_ok(httpx.post(f"{url}{CHAT}", json=QUESTION, headers=headers, trust_env=False)),  # type: ignore[misc]
            what="a first answer",
        )
        for url in platform.urls
    ]
    return max(float(answer.headers["x-sluice-cost"]) for answer in answers if answer is not None)


def _if_ok(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.is_success else None


def table(outcome: Outcome) -> str:
    """Return a Markdown table of all kills."""
    lines = ["| killed | longest time without an answer, s | back after, s |", "| --- | ---: | ---: |"]
    lines += [f"| {one.what} | {one.silence_s:.2f} | {one.back_s:.2f} |" for one in outcome.kills]
    return "\n".join(lines)


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.survive", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=4, help="of serving processes, of gateways and of Redis, each (default: 4)"
    )
    parser.add_argument("--clients", type=int, default=8, help="clients without a budget (default: 8)")
    found = parser.parse_args(words)
    if found.kills < 1 or found.clients < 1:
        parser.error("--kills and --clients must be at least 1")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Kill and print; status 1 when something was lost, counted twice, overspent or too slow, 2 when it could not be done."""
    arguments = parse_arguments(words)
    try:
        with tempfile.TemporaryDirectory(prefix="sluice-survive-") as folder:
            outcome = survive(Path(folder), arguments.kills, arguments.clients)
    except (BenchError, AssertionError) as error:
        say(str(error))
        return 2
    print(table(outcome))
    return verdict(outcome)


def verdict(outcome: Outcome) -> int:
    """Say whether the bars are kept, and return the command's status."""
    for line in outcome.wrong:
        say(f"Failed: {line}.")
    refused = ", ".join(f"{status}: {times}" for status, times in sorted(outcome.refused.items())) or "none"
    silence = max(one.silence_s for one in outcome.kills)
    served = [one.back_s for one in outcome.kills if one.what.endswith(SERVING)]
    whole = statistics.median(one.back_s for one in outcome.kills if one.what.endswith("whole"))
    say(f"{outcome.answers} answers were acknowledged; other answers to clients without a budget: {refused}.")
    say(
        f"Without any answer at most {silence:.2f} s (bar: {BAR_S} s). A gateway answered again at most {max(served):.2f} s after its "
        f"serving process was killed (bar: {BAR_S} s), and {whole:.2f} s after both its processes were."
    )
    return 1 if outcome.wrong or max(silence, *served) > BAR_S else 0


if __name__ == "__main__":
    sys.exit(main())
