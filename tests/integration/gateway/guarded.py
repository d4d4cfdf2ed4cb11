"""A gateway and a guardrail as real processes, in front of a model whose every answer holds an e-mail address."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import redis

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, Policy, RoutingSnapshot
from sluice.testing import ServiceProcess, admin_headers, free_port, platform_settings, valkey_process
from sluice.testing.apps import environment_of

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
        thread.join(timeout=60)


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
        return httpx.post(f"{self.url}{CHAT}", json=body, headers=self.key, timeout=60)


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
            made = httpx.post(
                f"{url}/admin/keys", json={"name": "k", "tenant": "acme"}, headers=admin_headers(), timeout=60
            )
            assert made.status_code == 201, made.text
            yield Run(guardrail, url, {"authorization": f"Bearer {made.json()['key']}"})
