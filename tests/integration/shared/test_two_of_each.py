"""Two processes of a service behind one Valkey and one PostgreSQL: what one was told the other knows, and nothing is done twice.

Routers and gateways: router/test_registry_propagates.py, router/test_router_publishing.py, gateway/limits/, gateway/admin/test_changes_reach_processes.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from tests.integration.databases import fresh_database

from sluice import queues
from sluice.contracts.feedback import FeedbackRecorded
from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings, wait_until

pytestmark = pytest.mark.integration
CONFIG = Path(__file__).parents[3] / "deploy" / "config"


@contextmanager
def two(service: str, folder: Path, **shared: Any) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Run two processes of a service, each with a data folder of its own, and give a client of each."""
    ports = [free_port(), free_port()]
    processes = []
    for number, port in enumerate(ports):
        own = folder / str(number)
        own.mkdir()
        environment = environment_of(platform_settings(own, config_dir=CONFIG, **shared))
        environment[f"SLUICE_{service.upper()}_PORT"] = str(port)
        processes.append(ServiceProcess(f"sluice_{service}", ["serve"], environment, own / "log", cwd=own))
    with processes[0], processes[1]:
        for process, port in zip(processes, ports, strict=True):
            process.wait_ready(f"http://127.0.0.1:{port}/readyz")
        first, second = (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=admin_headers("acme"), timeout=60)
            for port in ports
        )
        with first, second:
            yield first, second


@pytest.fixture
def shared(flushed_valkey: str, postgres: str) -> dict[str, str]:
    return {"redis_url": flushed_valkey, "database_url": fresh_database(postgres)}


def test_feedback_is_known_to_both_and_stored_once_whoever_is_asked_again(
    tmp_path: Path, shared: dict[str, str]
) -> None:
    with two("feedback", tmp_path, **shared) as both, ThreadPoolExecutor(8) as pool:

        def give(number: int) -> str:
            # Everything is sent to both at once, as a client does that repeats what was not answered in time.
            body = {"interaction_id": f"req_{number // 2}", "feedback_type": "thumbs", "thumbs": "down"}
            headers = {"idempotency-key": f"k{number // 2}"}
            answer = both[number % 2].post("/v1/feedback", json=body, headers=headers)
            assert answer.status_code in (200, 201), answer.text
            return str(answer.json()["id"])

        given = list(pool.map(give, range(40)))
        assert given[::2] == given[1::2]
        for client in both:
            listed = client.get("/v1/feedback", params={"limit": 100}).json()["data"]
            assert sorted(one["id"] for one in listed) == sorted(given[::2])

        def told() -> set[str]:
            with redis.Redis.from_url(shared["redis_url"]) as client:
                entries: Any = client.xrange(queues.FEEDBACK.name)
            return {FeedbackRecorded.model_validate_json(values[b"d"]).feedback_id for _, values in entries}

        wait_until(lambda: told() == set(given), what="the events of all")
        reviews = wait_until(
            lambda: (
                (found := both[1].get("/v1/feedback/reviews", params={"limit": 100}).json()["data"])
                and len(found) == 20
                and found
            ),
            what="a review of each",
        )
        assert both[0].post(f"/v1/feedback/reviews/{reviews[0]['id']}/close", json={}).status_code == 200
        assert both[1].post(f"/v1/feedback/reviews/{reviews[0]['id']}/close", json={}).status_code == 409


def test_a_suite_and_its_runs_are_known_to_both(tmp_path: Path, shared: dict[str, str]) -> None:
    suite = {"name": "s", "model": "m", "items": [{"prompt": "1+1?", "expected": "2", "scorer": "exact"}]}
    with two("eval", tmp_path, gateway_url="http://127.0.0.1:9", **shared) as (first, second):
        made = first.post("/v1/evals", json=suite).json()
        assert second.get(f"/v1/evals/{made['id']}").json() == made
        assert second.post("/v1/evals", json=suite).json()["id"] == made["id"], "the same content is the same version"
        assert second.post("/v1/evals", json={**suite, "model": "n"}).json()["version"] == made["version"] + 1
        run = first.post(f"/v1/evals/{made['id']}/runs", json={"api_key_id": "key_1"}).json()
        path = f"/v1/evals/{made['id']}/runs/{run['id']}"
        assert second.post(f"{path}/cancel").status_code == 200
        assert first.get(path).json()["status"] == "cancelled"
        assert first.post(f"{path}/cancel").status_code == 409


def test_what_one_guardrail_masks_the_other_restores(tmp_path: Path, shared: dict[str, str]) -> None:
    with two("guardrail", tmp_path, **shared) as (first, second):
        masked = first.post("/redact", json={"text": "Write to ada@example.org."}).json()
        assert "ada@example.org" not in masked["text"]
        restored = second.post("/restore", json={"text": masked["text"], "vault": masked["vault"]}).json()
        assert restored["text"] == "Write to ada@example.org."
        stranger = second.post(
            "/restore", json={"text": masked["text"], "vault": masked["vault"]}, headers=admin_headers("other")
        )
        assert stranger.status_code == 422
