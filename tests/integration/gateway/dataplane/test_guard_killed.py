"""The guardrail is killed while requests run: closed policies let nothing unchecked pass, open ones mark all that does."""

import threading
from pathlib import Path

import httpx
import pytest
from tests.integration.gateway.guarded import CLOSED, EMAIL, OPEN, Run, running

from sluice.testing import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


class Traffic:
    """Callers that ask one after the other until they are told to stop."""

    def __init__(self, run: Run) -> None:
        self.answers: list[tuple[str, bool, httpx.Response]] = []
        self._run = run
        self._stop = threading.Event()
        kinds = [(model, stream) for model in (CLOSED, OPEN) for stream in (False, True)]
        self._threads = [threading.Thread(target=self._call, args=kind) for kind in kinds]
        for thread in self._threads:
            thread.start()

    def _call(self, model: str, stream: bool) -> None:
        while not self._stop.is_set():
            self.answers.append((model, stream, self._run.ask(model, stream=stream)))

    def count(self, model: str, status: int | None = None) -> int:
        return sum(name == model and status in (None, answer.status_code) for name, _, answer in self.answers)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)


def is_marked(answer: httpx.Response) -> bool:
    passed = answer.status_code == 200
    return passed and (
        answer.headers.get("x-sluice-guard") == "unchecked" or ": x-sluice-guard: unchecked\n" in answer.text
    )


def metric(run: Run, name: str) -> float:
    lines = httpx.get(f"{run.url}/metrics", timeout=60).text.splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def test_a_guardrail_killed_under_load_lets_nothing_pass_that_should_not(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        traffic = Traffic(run)
        wait_until(lambda: traffic.count(CLOSED, 200) > 8 and traffic.count(OPEN, 200) > 8, what="checked answers")
        run.guardrail.kill()
        known = len(traffic.answers)
        wait_until(
            lambda: sum(is_marked(answer) for _, _, answer in traffic.answers[known:]) > 8, what="unchecked answers"
        )
        wait_until(lambda: traffic.count(CLOSED, 503) > 4, what="refusals")
        traffic.stop()
        counted = metric(run, "sluice_gateway_unchecked_requests_total")
        leaked = [(model, answer) for model, _, answer in traffic.answers if EMAIL in answer.text]
        marked = [(model, answer) for model, _, answer in traffic.answers if is_marked(answer)]
        assert {model for model, _ in leaked} == {OPEN}
        assert all(is_marked(answer) for _, answer in leaked)
        assert {model for model, _ in marked} == {OPEN}
        assert counted == len(marked)
        run.guardrail.start()
        wait_until(lambda: run.ask(CLOSED, stream=False).status_code == 200, what="checked answers again")
        assert not is_marked(run.ask(OPEN, stream=False))
