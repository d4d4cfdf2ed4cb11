"""A gateway alone: its serving process is killed under load, and clients wait for less than two seconds."""

import json
import os
import signal
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest
from tests.integration.gateway.provider import provider
from tests.integration.gateway.usage.test_usage_survives_kill import make_key, parts, publish_snapshot

from sluice.revive import can_revive
from sluice.testing import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_revive(), reason="this system does not end a process together with its parent"),
]
QUESTION = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


def test_a_killed_serving_process_is_replaced_without_a_refused_connection_or_a_lost_record(tmp_path: Path) -> None:
    with provider() as upstream, parts(tmp_path) as run:
        publish_snapshot(run.valkey, upstream.base_url)
        began = time.monotonic()
        run.start_gateway()
        started = time.monotonic() - began
        run.start_worker()
        key = make_key(run.url)
        answered: list[tuple[float, str]] = []
        refused: list[ConnectionRefusedError] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                with closing(HTTPConnection(run.url.removeprefix("http://"), timeout=60)) as client:
                    try:
                        client.request("POST", "/v1/chat/completions", json.dumps(QUESTION), key)
                        answer = client.getresponse()
                        said = answer.read()
                    except ConnectionRefusedError as exc:
                        refused.append(exc)
                    except (OSError, HTTPException):
                        continue  # the answer was under way when its process was killed
                    else:
                        assert answer.status == 200, said
                        answered.append((time.monotonic(), answer.headers["x-request-id"]))

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            for _ in range(2):
                so_far = len(answered)
                wait_until(lambda so_far=so_far: len(answered) >= so_far + 20, seconds=60, what="answers")  # type: ignore[misc] # the loop's own value
                (serving,) = psutil.Process(run.gateway.pid).children()
                killed = time.monotonic()
                os.kill(serving.pid, signal.SIGKILL)
                wait_until(
                    lambda killed=killed: answered[-1][0] > killed + 0.05, seconds=60, every=0.01, what="an answer"
                )  # type: ignore[misc]
                back = next(at for at, _ in answered if at > killed + 0.05) - killed
                assert back < max(2.0, 4 * started), f"{back:.2f} s without an answer, and {started:.2f} s for a start"
        finally:
            over.set()
            for client in clients:
                client.join()
        assert not refused
        assert run.gateway.alive()
        ids = {name for _, name in answered}
        wait_until(lambda: ids <= set(run.rows()), seconds=60, what="a record of every answer")
        assert max(run.rows().values()) == 1
