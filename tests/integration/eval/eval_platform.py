"""The eval service, its workers and a provider, as processes and a thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import yaml
from openai_provider import Behaviour, Provider

from sluice.tasks import LoopThread
from sluice.testing import (
    ServiceProcess,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    wait_until,
)


@contextmanager
def provider_server(default: Behaviour) -> Iterator[Provider]:
    """Run a provider in a thread of its own, so that a test may block."""
    loop = LoopThread()
    provider = Provider(default=default)
    loop.run(provider.start())
    try:
        yield provider
    finally:
        loop.run(provider.stop())
        loop.close()


class EvalPlatform:
    """One API process and any number of workers on one database and one Redis."""

    def __init__(self, folder: Path, redis_url: str, gateway_url: str, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.worker_port = free_port()
        platform = platform_settings(folder, redis_url=redis_url, gateway_url=gateway_url, log_level="info")
        self.secret = platform.service_secret.get_secret_value()
        self._environment = environment_of(platform) | {
            "SLUICE_EVAL_PORT": str(self.port),
            "SLUICE_EVAL_LEASE_S": "4",
            "SLUICE_EVAL_SWEEP_S": "0.3",
            "SLUICE_EVAL_FIRST_PAUSE_S": "0.05",
            **{f"SLUICE_EVAL_{name.upper()}": value for name, value in settings.items()},
        }
        self.service = ServiceProcess("sluice_eval", ["serve"], self._environment, folder / "service.log", cwd=folder)
        self.workers: list[ServiceProcess] = []

    def __enter__(self) -> Self:
        self.service.start().wait_ready(f"{self.url}/readyz")
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.service):
            process.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def worker(self) -> ServiceProcess:
        """Start one more worker."""
        port = free_port()
        environment = self._environment | {"SLUICE_EVAL_WORKER_PORT": str(port)}
        log = self.folder / f"worker{len(self.workers)}.log"
        made = ServiceProcess("sluice_eval", ["worker"], environment, log, cwd=self.folder).start()
        self.workers.append(made)
        made.wait_ready(f"http://127.0.0.1:{port}/readyz")
        self.worker_port = port
        return made

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> httpx.Response:
        headers = admin_headers() | options.pop("headers", {})
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60, **options)
        assert answer.status_code == status, answer.text
        return answer

    def upload(self, suite: dict[str, Any]) -> str:
        file = {"file": ("suite.yaml", yaml.safe_dump(suite).encode(), "application/yaml")}
        answer = httpx.post(f"{self.url}/v1/evals", headers=admin_headers(), files=file, timeout=60)
        assert answer.status_code in (200, 201), answer.text
        found: str = answer.json()["id"]
        return found

    def start_run(self, eval_id: str, **body: Any) -> str:
        body = {"model": "smollm2", "api_key_id": "key_1", **body}
        run = self.ask("POST", f"/v1/evals/{eval_id}/runs", 201, json=body).json()
        return f"/v1/evals/{eval_id}/runs/{run['id']}"

    def ended(self, run: str, *, seconds: float = 60.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("GET", run).json()
            return found if found["status"] in ("completed", "failed", "cancelled") else None

        try:
            found = wait_until(look, seconds=seconds, every=0.2, what=f"the end of {run}")
        except AssertionError as exc:
            logs = "\n".join(worker.log.read_text()[-2000:] for worker in self.workers)
            raise AssertionError(f"{exc}\n{logs}") from exc
        assert found is not None
        return found

    def all_items(self, run: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = self.ask("GET", f"{run}/items", params={"limit": 7, **after}).json()
            rows += page["data"]
            if not page["has_more"]:
                return rows
            after = {"after": page["last_id"]}


def suite_of(count: int, expected: str = "fox") -> dict[str, Any]:
    items = [{"id": f"q{n}", "prompt": f"question {n}", "expected": expected, "scorer": "regex"} for n in range(count)]
    return {"name": "many", "items": items}
