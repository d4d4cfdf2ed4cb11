"""The guardrail is killed while requests run: closed policies let nothing unchecked pass, open ones mark all that does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import redis

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, Policy, RoutingSnapshot
from sluice.testing import ServiceProcess, admin_headers, free_port, platform_settings, valkey_process, wait_until
from sluice.testing.apps import environment_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
CHAT = "/v1/chat/completions"
EMAIL = "ada@example.org"
WORDS = f"Write to {EMAIL} about it. " + "More of it follows here. " * 40
CLOSED, OPEN = "closed", "open"


@contextmanager
def leaky_provider() -> Iterator[str]:
    """Run a model whose every answer holds an e-mail address, so that an unchecked one can be told."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            if asked.get("stream"):
                self._stream()
                return
            message = {"role": "assistant", "content": WORDS}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._whole(json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode())

        def _whole(self, body: bytes) -> None:
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self) -> None:
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for word in WORDS.split(" "):
                choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
                self.wfile.write(b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n")
            end = {"index": 0, "delta": {}, "finish_reason": "stop"}
            self.wfile.write(b"data: " + json.dumps({"id": "c", "choices": [end]}).encode() + b"\n\ndata: [DONE]\n\n")
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def routing(base_url: str) -> RoutingSnapshot:
    def model(name: str) -> Model:
        place = Deployment(id=f"{name}-1", base_url=base_url, upstream_model=name, max_in_flight=100)
        return Model(name=name, deployments=(place,), policy=name)

    policies = tuple(
        Policy(name=name, guard_input="enforce", guard_output="enforce", on_guard_error=name)  # type: ignore[arg-type]
        for name in (CLOSED, OPEN)
    )
    return RoutingSnapshot(version=1, published_at=1.0, models=(model(CLOSED), model(OPEN)), policies=policies)


class Run(NamedTuple):
    """The processes under test."""

    guardrail: ServiceProcess
    url: str
    key: dict[str, str]

    def ask(self, model: str, *, stream: bool) -> httpx.Response:
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Tell me about it"}]}
        return httpx.post(f"{self.url}{CHAT}", json=body, headers=self.key, timeout=20)


@contextmanager
def running(tmp_path: Path) -> Iterator[Run]:
    port, guard_port = free_port(), free_port()
    guard_url, url = f"http://127.0.0.1:{guard_port}", f"http://127.0.0.1:{port}"
    (tmp_path / "guard.yaml").write_text("version: 1\npolicies: {default: {}}\n")
    with valkey_process(tmp_path / "valkey") as valkey, leaky_provider() as provider:
        platform = platform_settings(
            tmp_path,
            redis_url=valkey.url,
            router_url="http://127.0.0.1:9",
            guardrail_url=guard_url,
            config_dir=tmp_path,
        )
        environment = environment_of(platform) | {
            "SLUICE_GATEWAY_PORT": str(port),
            "SLUICE_GUARDRAIL_PORT": str(guard_port),
        }
        with redis.Redis.from_url(valkey.url) as client:
            client.set(SNAPSHOT_KEY, routing(provider).model_dump_json())
        guardrail = ServiceProcess("sluice_guardrail", ["serve"], environment, tmp_path / "guard.log", cwd=tmp_path)
        gateway = ServiceProcess("sluice_gateway", ["serve"], environment, tmp_path / "gateway.log", cwd=tmp_path)
        with guardrail, gateway:
            guardrail.wait_ready(f"{guard_url}/readyz")
            gateway.wait_ready(f"{url}/readyz")
            made = httpx.post(f"{url}/admin/keys", json={"name": "k", "tenant": "acme"}, headers=admin_headers())
            yield Run(guardrail, url, {"authorization": f"Bearer {made.json()['key']}"})


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
            thread.join(timeout=30)


def is_marked(answer: httpx.Response) -> bool:
    passed = answer.status_code == 200
    return passed and (
        answer.headers.get("x-sluice-guard") == "unchecked" or ": x-sluice-guard: unchecked\n" in answer.text
    )


def metric(run: Run, name: str) -> float:
    lines = httpx.get(f"{run.url}/metrics", timeout=10).text.splitlines()
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
