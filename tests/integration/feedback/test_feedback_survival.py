"""Acknowledged feedback survives kill -9 and a Redis that is away, and so does its event."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from sluice import queues
from sluice.contracts.feedback import FeedbackRecorded
from sluice.testing import (
    ServiceProcess,
    Valkey,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    valkey_process,
    wait_until,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with valkey_process() as server:
        yield server


def published(url: str) -> list[FeedbackRecorded]:
    with redis.Redis.from_url(url, socket_connect_timeout=20) as client:
        entries: Any = client.xrange(queues.FEEDBACK.name)
    return [FeedbackRecorded.model_validate_json(values[b"d"]) for _, values in entries]


def test_events_of_acknowledged_feedback_arrive_after_an_outage_and_a_crash(tmp_path: Path, valkey: Valkey) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    platform = platform_settings(tmp_path, redis_url=valkey.url)
    environment = environment_of(platform) | {"SLUICE_FEEDBACK_PORT": str(port), "SLUICE_FEEDBACK_OUTBOX_POLL_S": "0.2"}

    def give(number: int) -> str:
        answer = httpx.post(
            f"{base}/v1/feedback",
            json={"interaction_id": f"req_{number}", "feedback_type": "thumbs", "thumbs": "down"},
            headers=admin_headers("acme"),
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found

    process = ServiceProcess("sluice_feedback", ["serve"], environment, tmp_path / "feedback.log", cwd=tmp_path)
    with process:
        process.wait_ready(f"{base}/readyz")
        valkey.kill()
        given = [give(number) for number in range(20)]
        wait_until(
            lambda: "sluice_feedback_waiting_events 20.0" in httpx.get(f"{base}/metrics", timeout=60).text,
            what="20 events that wait",
        )
        assert httpx.get(f"{base}/readyz", timeout=60).status_code == 200, "feedback is taken while Redis is away"
        process.kill()

        valkey.start()
        assert published(valkey.url) == []
        process.start()
        process.wait_ready(f"{base}/readyz")
        wait_until(lambda: len(published(valkey.url)) >= 20, what="the events on their stream")
        assert [event.feedback_id for event in published(valkey.url)] == given
        assert {event.tenant for event in published(valkey.url)} == {"acme"}

        listed = httpx.get(
            f"{base}/v1/feedback", params={"limit": 100}, headers=admin_headers("acme"), timeout=60
        ).json()
        assert sorted(entry["id"] for entry in listed["data"]) == sorted(given)
        wait_until(
            lambda: (
                len(
                    httpx.get(
                        f"{base}/v1/feedback/reviews", params={"limit": 100}, headers=admin_headers("acme"), timeout=60
                    ).json()["data"]
                )
                == 20
            ),
            what="a review of each",
        )


def test_kill_in_the_middle_of_publishing_loses_no_event(tmp_path: Path, valkey: Valkey) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    platform = platform_settings(tmp_path, redis_url=valkey.url)
    environment = environment_of(platform) | {"SLUICE_FEEDBACK_PORT": str(port), "SLUICE_FEEDBACK_OUTBOX_BATCH": "1"}
    process = ServiceProcess("sluice_feedback", ["serve"], environment, tmp_path / "feedback.log", cwd=tmp_path)
    given: list[str] = []
    with process, httpx.Client(base_url=base, headers=admin_headers(), timeout=60) as client:
        for round_number in range(3):
            process.wait_ready(f"{base}/readyz")
            for number in range(15):
                body = {"interaction_id": f"req_{round_number}_{number}", "feedback_type": "rating", "rating": 5}
                given.append(client.post("/v1/feedback", json=body).raise_for_status().json()["id"])
            process.kill()
            process.start()
        process.wait_ready(f"{base}/readyz")
        wait_until(lambda: {event.feedback_id for event in published(valkey.url)} >= set(given), what="every event")
