"""Sluice's own gateway with all that belongs to a request switched on: one key with a limit and a budget of every kind
(none of which is reached), a price, usage recorded, metrics, and the default share of requests traced; the model has no policy.

A real Valkey, the gateway (`python -m sluice_gateway serve`) and its usage consumer (`python -m sluice_gateway worker`)
run from a data folder of their own. Valkey and the consumer share the core of mock and load, so that the gateway has
its core for itself. A second name of the model has a policy that keeps its answers. At the end the usage API has to know of every request that was answered.
"""

import importlib.util
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from redis import Redis
from tests.bench.children import Child
from tests.bench.loadgen import Target
from tests.bench.mock import CACHED_MODEL, MODEL
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, answers

from sluice.contracts.gateway import CreateApiKey, CreatedApiKey, SetLimits
from sluice.contracts.routing import SNAPSHOT_KEY, CachePolicy, Deployment, Model, Policy, Price, RoutingSnapshot
from sluice.contracts.usage import UsageSummary
from sluice.testing import Valkey, free_port, valkey_process

USAGE_SECONDS = 120.0
LIMITS = SetLimits(
    requests_per_minute=1_000_000_000,
    tokens_per_minute=1_000_000_000_000,
    max_concurrent=1_000_000,
    budget_per_day_usd=1e9,
    budget_per_month_usd=1e9,
)
PRICE = Price(input=0.5, output=1.5)


def missing(_place: Place) -> str | None:
    if importlib.util.find_spec("sluice_gateway.__main__") is None:
        return "sluice_gateway cannot be started in this environment"
    return None


@contextmanager
def open_sluice(place: Place) -> Opened:
    port, worker_port, admin_key = free_port(), free_port(), secrets.token_hex(24)
    with _valkey(place) as valkey:
        _publish_snapshot(valkey.url, place.upstream.base_url)
        environment = {
            "SLUICE_ADMIN_KEY": admin_key,
            "SLUICE_SERVICE_SECRET": secrets.token_hex(24),
            "SLUICE_DATA_DIR": str(place.folder / "data"),
            "SLUICE_TRACE_FILE_DIR": str(place.folder / "traces"),
            "SLUICE_REDIS_URL": valkey.url,
            "SLUICE_GATEWAY_PORT": str(port),
            "SLUICE_GATEWAY_WORKER_PORT": str(worker_port),
            "SLUICE_GATEWAY_KEY_PEPPER": secrets.token_hex(24),
        }
        with (
            _part("serve", place.gateway_core, place, environment) as gateway,
            _part("worker", place.other_core, place, environment) as consumer,
        ):
            gateway.wait_until(answers(f"http://127.0.0.1:{port}/readyz"), READY_SECONDS)
            consumer.wait_until(answers(f"http://127.0.0.1:{worker_port}/readyz"), READY_SECONDS)
            admin = _Admin(f"http://127.0.0.1:{port}", admin_key)
            key = admin.create_key()
            target = Target(port, headers=(f"Authorization: Bearer {key}",))
            yield Gateway(target, gateway, consumer, admin.check_usage, caches=True)


class _Admin:
    """The few calls of the gateway's admin API that the benchmark needs."""

    def __init__(self, base_url: str, admin_key: str) -> None:
        self._base_url = base_url
        self._headers = {"authorization": f"Bearer {admin_key}"}

    def create_key(self) -> str:
        body = CreateApiKey(name="bench", limits=LIMITS).model_dump(mode="json")
        answer = httpx.post(f"{self._base_url}/admin/keys", json=body, headers=self._headers, trust_env=False)
        return CreatedApiKey.model_validate(answer.raise_for_status().json()).key

    def recorded_requests(self) -> int:
        answer = httpx.get(f"{self._base_url}/admin/usage/summary", headers=self._headers, trust_env=False, timeout=30)
        return UsageSummary.model_validate(answer.raise_for_status().json()).totals.requests

    def check_usage(self, answered: int) -> str | None:
        """Wait until the database knows of every answered request; say so when it does not."""
        deadline = time.monotonic() + USAGE_SECONDS
        while (recorded := self.recorded_requests()) < answered:
            if time.monotonic() > deadline:
                return f"{answered} requests were answered and only {recorded} stand in the usage database"
            time.sleep(1)
        return None


def _part(command: str, core: int, place: Place, environment: dict[str, str]) -> Child:
    return Child(
        f"sluice_gateway {command}",
        [sys.executable, "-m", "sluice_gateway", command],
        core=core,
        log=place.logs / f"sluice-{command}.log",
        environment=environment,
        folder=place.folder,
    )


@contextmanager
def _valkey(place: Place) -> Iterator[Valkey]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {place.other_core})  # a child starts on the cores of its parent
    try:
        with valkey_process() as valkey:
            os.sched_setaffinity(0, allowed)
            yield valkey
    finally:
        os.sched_setaffinity(0, allowed)


def _publish_snapshot(redis_url: str, base_url: str) -> None:
    deployment = Deployment(id="bench", base_url=base_url, upstream_model=MODEL, max_in_flight=1024, health="up")
    snapshot = RoutingSnapshot(
        version=1,
        published_at=time.time(),
        models=(
            Model(name=MODEL, deployments=(deployment,), price=PRICE),
            Model(name=CACHED_MODEL, deployments=(deployment,), price=PRICE, policy="kept"),
        ),
        policies=(Policy(name="kept", cache=CachePolicy()),),
    )
    with Redis.from_url(redis_url) as redis:
        redis.set(SNAPSHOT_KEY, snapshot.model_dump_json())
