"""What was answered is billed, whichever process is killed."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import redis
from tests.integration.gateway.control_plane import snapshot
from tests.integration.gateway.provider import COMPLETION_TOKENS, PROMPT_TOKENS, provider

from sluice.contracts.routing import SNAPSHOT_KEY
from sluice.contracts.usage import UsageRecorded
from sluice.queues import USAGE
from sluice.testing import ServiceProcess, admin_headers, free_port, platform_settings, valkey_process, wait_until
from sluice.testing.apps import environment_of
from sluice.testing.servers import Valkey

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


class Parts(NamedTuple):
    """The processes under test."""

    valkey: Valkey
    gateway: ServiceProcess
    worker: ServiceProcess
    url: str
    worker_url: str
    database: Path

    def rows(self) -> Counter[str]:
        """Count the rows of each request in the database file."""
        with closing(sqlite3.connect(self.database)) as connection:
            return Counter(row[0] for row in connection.execute("SELECT request_id FROM usage"))

    def start_gateway(self) -> None:
        self.gateway.start()
        self.gateway.wait_ready(f"{self.url}/readyz")

    def start_worker(self) -> None:
        self.worker.start()
        self.worker.wait_ready(f"{self.worker_url}/readyz")


@contextmanager
def parts(tmp_path: Path, **extra: str) -> Iterator[Parts]:
    port, worker_port = free_port(), free_port()
    with valkey_process(tmp_path / "valkey") as valkey:
        platform = platform_settings(tmp_path, redis_url=valkey.url, router_url="http://127.0.0.1:9", log_level="info")
        environment = {
            **environment_of(platform),
            "SLUICE_GATEWAY_PORT": str(port),
            "SLUICE_GATEWAY_WORKER_PORT": str(worker_port),
            "SLUICE_GATEWAY_WORKER_NICENESS": "0",  # the other tests would go first, all the time
            **extra,
        }
        gateway = ServiceProcess("sluice_gateway", ["serve"], environment, tmp_path / "gateway.log", cwd=tmp_path)
        worker = ServiceProcess("sluice_gateway", ["worker"], environment, tmp_path / "worker.log", cwd=tmp_path)
        urls = (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{worker_port}")
        try:
            yield Parts(valkey, gateway, worker, *urls, platform.data_dir / "gateway.sqlite")
        finally:
            gateway.stop()
            worker.stop()


def publish_snapshot(valkey: Valkey, base_url: str) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set(SNAPSHOT_KEY, snapshot(1, base_url).model_dump_json())


def make_key(url: str) -> dict[str, str]:
    made = httpx.post(f"{url}/admin/keys", json={"name": "kill", "tenant": "acme"}, headers=admin_headers(), timeout=60)
    assert made.status_code == 201, made.text
    return {"authorization": f"Bearer {made.json()['key']}"}


QUESTION = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("tried", [False, True], ids=["at-once", "after-a-failed-try-to-ship"])
def test_a_gateway_killed_after_its_answer_while_redis_is_away_loses_no_row(tmp_path: Path, tried: bool) -> None:
    with provider() as upstream, parts(tmp_path) as run:
        publish_snapshot(run.valkey, upstream.base_url)
        run.start_gateway()
        run.start_worker()
        key = make_key(run.url)
        run.valkey.kill()
        answer = httpx.post(f"{run.url}/v1/chat/completions", json=QUESTION, headers=key, timeout=60)
        if tried:
            failed = "sluice_gateway_usage_ship_failures_total 1.0"
            wait_until(lambda: failed in httpx.get(f"{run.url}/metrics", timeout=60).text, what="a failed try to ship")
        run.gateway.kill()
        assert answer.status_code == 200, answer.text
        request_id = answer.headers["x-request-id"]
        assert run.rows() == {}
        run.valkey.start()
        run.start_gateway()
        row = wait_until(
            lambda: _found(httpx.get(f"{run.url}/v1/usage/{request_id}", headers=key, timeout=60)),
            what="the usage row",
            seconds=60,
        )
        assert (row["prompt_tokens"], row["completion_tokens"]) == (PROMPT_TOKENS, COMPLETION_TOKENS)
        assert row["cost_usd"] == pytest.approx((PROMPT_TOKENS + 2 * COMPLETION_TOKENS) / 1e6)
        assert (row["status"], row["tenant"], row["model"]) == ("ok", "acme", "mock")
        run.gateway.kill()
        run.start_gateway()  # replays nothing that was shipped
        assert run.rows() == {request_id: 1}


def test_a_gateway_killed_under_load_has_billed_every_answer_once(tmp_path: Path) -> None:
    with provider() as upstream, parts(tmp_path, SLUICE_GATEWAY_USAGE_LINGER_S="0.02") as run:
        publish_snapshot(run.valkey, upstream.base_url)
        run.start_gateway()
        run.start_worker()
        key = make_key(run.url)
        answered: list[str] = []
        for _ in range(2):
            callers = [threading.Thread(target=_call_until_it_breaks, args=(run.url, key, answered)) for _ in range(6)]
            before = len(answered)
            for caller in callers:
                caller.start()
            wait_until(lambda before=before: len(answered) > before + 60, every=0.01, what="sixty answers")
            run.gateway.kill()
            for caller in callers:
                caller.join(timeout=60)
            run.start_gateway()
        wait_until(lambda: set(answered) <= set(run.rows()), seconds=60, what="a row for every answer")
        rows = run.rows()
        assert set(rows.values()) == {1}
        assert len(rows) <= upstream.calls


@pytest.mark.parametrize("kills", [3])
def test_a_consumer_killed_in_mid_batch_writes_every_row_once(tmp_path: Path, kills: int) -> None:
    total = 6000
    with parts(tmp_path, SLUICE_GATEWAY_USAGE_BATCH="40") as run:
        with redis.Redis.from_url(run.valkey.url) as client:
            pipe = client.pipeline()
            for number in range(total):
                pipe.xadd(USAGE.name, {"d": _event(number).model_dump_json()})
            pipe.execute()
        run.gateway.start()
        wait_until(
            lambda: httpx.get(f"{run.url}/healthz", timeout=60).status_code == httpx.codes.OK, what="the gateway"
        )
        for kill in range(kills):
            run.worker.start()
            goal = total * (kill + 1) // (kills + 2)
            wait_until(lambda goal=goal: sum(run.rows().values()) >= goal, every=0.005, seconds=60, what=f"{goal} rows")
            run.worker.kill()
            assert sum(run.rows().values()) < total
        run.start_worker()
        wait_until(lambda: len(run.rows()) == total, seconds=60, what="all rows")
        assert set(run.rows().values()) == {1}
        with redis.Redis.from_url(run.valkey.url) as client:
            wait_until(lambda: client.xpending(USAGE.name, "gateway-usage")["pending"] == 0, what="nothing pending")
            assert client.xlen(USAGE.dead_letters) == 0


def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_rest_goes_on(tmp_path: Path) -> None:
    with parts(tmp_path) as run:
        run.gateway.start()
        wait_until(
            lambda: httpx.get(f"{run.url}/healthz", timeout=60).status_code == httpx.codes.OK, what="the gateway"
        )
        with redis.Redis.from_url(run.valkey.url) as client:
            client.xadd(USAGE.name, {"d": b"{broken"})
            client.xadd(USAGE.name, {"d": _event(1).model_dump_json()})
            client.xadd(USAGE.name, {"other": b"field"})
            good = _event(2).model_dump(mode="json")
            columns = [*good, "of_a_newer_gateway"]
            rows = [
                [*good.values(), 7],
                ["evt_3", "too", "short"],
                "no row",
                list(_event(4).model_dump(mode="json").values()),
            ]
            client.xadd(USAGE.name, {"columns": json.dumps(columns), "rows": json.dumps(rows)})
            client.xadd(USAGE.name, {"columns": "[]", "rows": "{broken"})
            run.start_worker()
            wait_until(lambda: len(run.rows()) == 3, what="the good rows")
            wait_until(lambda: client.xlen(USAGE.dead_letters) == 5, what="five dead letters")
            wait_until(lambda: client.xpending(USAGE.name, "gateway-usage")["pending"] == 0, what="nothing pending")
        assert set(run.rows()) == {_event(number).request_id for number in (1, 2, 4)}
        metrics = httpx.get(f"{run.worker_url}/metrics", timeout=60).text
        assert "sluice_gateway_usage_dead_letters_total 5.0" in metrics
        assert "sluice_gateway_usage_stored_total 3.0" in metrics


def _found(answer: httpx.Response) -> dict[str, object] | None:
    return answer.json() if answer.status_code == httpx.codes.OK else None


def _call_until_it_breaks(url: str, key: dict[str, str], answered: list[str]) -> None:
    with httpx.Client(headers=key, timeout=60) as client:
        while True:
            try:
                answer = client.post(f"{url}/v1/chat/completions", json=QUESTION)
            except httpx.HTTPError:
                return
            assert answer.status_code == httpx.codes.OK, answer.text
            answered.append(answer.headers["x-request-id"])


def _event(number: int) -> UsageRecorded:
    return UsageRecorded(
        event_id=f"evt_{number:06d}",
        request_id=f"req_{number:06d}",
        at=1_767_268_800.0 + number,
        tenant="acme",
        key_id="key_1",
        endpoint="/v1/chat/completions",
        model="mock",
        status="ok",
        http_status=200,
        prompt_tokens=1,
        completion_tokens=1,
    )
