"""What it would give if gateway processes told each other which replica has read which prefix: a simulation, without engines.

    python -m tests.bench.prefix_sharing

Prompts are a prefix of eight blocks and a question of one; they come in an order drawn by chance to a process drawn by chance.
A replica's cache holds a number of prefixes, the least recently used goes first. The balancer is the product's own.
"""

import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sluice.contracts.routing import Deployment
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.dataplane.balance import Prefixes
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.prefixes import BLOCK_CHARS
from sluice_gateway.metrics import GatewayMetrics

PREFIXES, ASKED, BLOCKS = 36, 24, 8


class Row(NamedTuple):
    """Processes, prefixes that a replica's cache holds, and the share of requests whose prefix was there, by way."""

    processes: int
    room: int
    alone: float
    told: float
    named: float


class _Unused:
    """An upstream that is never called."""


def cached(processes: int, room: int, *, told: bool, named: bool, seed: int) -> float:
    """Return the share of requests that found their prefix in the cache of the replica that they were sent to."""
    random.seed(seed)
    metrics = GatewayMetrics(MetricRegistry())
    replicas = [
        DeploymentState(Deployment(id=f"r{n}", base_url="http://h/v1", upstream_model="m"), "/v1", _Unused())  # type: ignore[arg-type]
        for n in range(3)
    ]
    one = Prefixes(metrics, "m")
    balancers = [one if told else Prefixes(metrics, f"m{n}") for n in range(processes)]
    caches: dict[str, OrderedDict[int, None]] = {state.config.id: OrderedDict() for state in replicas}
    asked = [number for number in range(PREFIXES) for _ in range(ASKED)]
    random.shuffle(asked)
    hits = 0
    for place, number in enumerate(asked):
        chosen = random.choice(balancers).choose(
            replicas, float(place), None, _body(number, place, named=named), "acme"
        )
        assert chosen is not None
        cache = caches[chosen.config.id]
        hits += number in cache
        cache[number] = None
        cache.move_to_end(number)
        if len(cache) > room:
            cache.popitem(last=False)
    return hits / len(asked)


def _body(number: int, place: int, *, named: bool) -> dict[str, Any]:
    text = f"{number:04d} " * (BLOCKS * BLOCK_CHARS // 5 + 1)
    body: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": text[: BLOCKS * BLOCK_CHARS]},
            {"role": "user", "content": f"{place:06d} " * (BLOCK_CHARS // 7)},
        ]
    }
    return {**body, "prompt_cache_key": f"p{number}"} if named else body


def rows(seeds: Sequence[int] = (1, 2, 3)) -> list[Row]:
    """Return the table."""

    def mean(processes: int, room: int, *, told: bool, named: bool) -> float:
        return sum(cached(processes, room, told=told, named=named, seed=seed) for seed in seeds) / len(seeds)

    return [
        Row(
            processes,
            room,
            mean(processes, room, told=False, named=False),
            mean(processes, room, told=True, named=False),
            mean(processes, room, told=False, named=True),
        )
        for room in (15, 40)
        for processes in (1, 2, 4, 8)
    ]


def main() -> None:
    """Print the table."""
    print(f"{PREFIXES} prefixes asked {ASKED} times, 3 replicas; best possible {1 - 1 / ASKED:.1%}")
    print(f"{'processes':>9} {'room':>5} {'each alone':>11} {'all told':>9} {'named by the caller':>20}")
    for row in rows():
        print(f"{row.processes:>9} {row.room:>5} {row.alone:>11.1%} {row.told:>9.1%} {row.named:>20.1%}")


if __name__ == "__main__":
    main()
