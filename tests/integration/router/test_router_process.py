"""The router as a real process with a real Valkey and a deployment that comes and goes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml

from sluice.contracts.routing import SNAPSHOT_KEY, RoutingSnapshot
from sluice.testing import (
    ServiceProcess,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    valkey_process,
    wait_until,
)

pytestmark = pytest.mark.integration


@contextmanager
def _engine(port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _config(folder: Path, engine_port: int, **extra: Any) -> Path:
    folder.mkdir(exist_ok=True)
    model = {"name": "m", "deployments": [{"id": "d", "base_url": f"http://127.0.0.1:{engine_port}/v1"}]} | extra
    body = {"models": [model], "routes": [{"name": "auto", "candidates": ["m"]}]}
    (folder / "models.yaml").write_text(yaml.safe_dump(body))
    return folder


def test_health_reload_and_a_lost_redis(tmp_path: Path) -> None:
    port, engine_port = free_port(), free_port()
    config = _config(tmp_path / "config", engine_port)
    with valkey_process() as valkey:
        platform = platform_settings(tmp_path, redis_url=valkey.url, config_dir=config)
        environment = environment_of(platform) | {
            "SLUICE_ROUTER_PORT": str(port),
            "SLUICE_ROUTER_PROBE_INTERVAL_S": "0.2",
            "SLUICE_ROUTER_RELOAD_S": "0.2",
        }
        store = redis.Redis.from_url(valkey.url)

        def published() -> RoutingSnapshot:
            return RoutingSnapshot.model_validate_json(store.get(SNAPSHOT_KEY) or b"{}")

        def health() -> str:
            return published().models[0].deployments[0].health if store.exists(SNAPSHOT_KEY) else "none"

        with ServiceProcess("sluice_router", ["serve"], environment, tmp_path / "router.log") as process:
            base = f"http://127.0.0.1:{port}"
            process.wait_ready(f"{base}/readyz")
            wait_until(lambda: health() == "down", what="the absent engine seen as down")
            with _engine(engine_port):
                wait_until(lambda: health() == "up", what="the engine seen as up")
                answer = httpx.post(
                    f"{base}/route", json={"model": "auto", "explain": True}, headers=admin_headers(), timeout=60
                )
                assert answer.json()["instance"] == "d"
                assert answer.json()["candidates"][0]["chosen"] is True
                version = published().version

                (config / "models.yaml").write_text("models: nonsense")
                wait_until(
                    lambda: 'reloads_total{result="failed"} 1.0' in httpx.get(f"{base}/metrics", timeout=60).text
                )
                assert published().version == version, "a wrong file changes nothing"
                _config(config, engine_port, context_tokens=77)
                wait_until(lambda: published().models[0].context_tokens == 77, what="the right file in force")
                assert published().version > version

                version = published().version
                store.flushall()
                wait_until(lambda: store.exists(SNAPSHOT_KEY), what="published again after Redis lost it")
                valkey.kill()
                assert (
                    httpx.post(f"{base}/route", json={"model": "m"}, headers=admin_headers(), timeout=60).status_code
                    == 200
                )
                valkey.start()
            wait_until(lambda: health() == "down", what="the engine that went seen as down")
            assert published().version > version
            refused = httpx.post(f"{base}/route", json={"model": "ghost"}, headers=admin_headers(), timeout=60)
            assert (refused.status_code, refused.json()["code"]) == (404, "model_not_found")
            assert httpx.post(f"{base}/route", json={"model": "m"}, timeout=60).status_code == 401
        store.close()


def test_a_wrong_file_at_start_ends_with_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "models.yaml").write_text(json.dumps({"models": [{"name": "m", "deployments": []}]}))
    platform = platform_settings(tmp_path, config_dir=config)
    process = ServiceProcess("sluice_router", ["serve"], environment_of(platform), tmp_path / "log").start()
    wait_until(lambda: not process.alive(), what="the router's end")
    assert "models[0] (m).deployments" in process.log.read_text()
    assert "Traceback" not in process.log.read_text()
