"""Starting and reaching a platform as users do.

With SLUICE_E2E_BASE_URL set, the tests ask a platform that is already up (containers). These variables then tell the rest: SLUICE_E2E_API_KEY,
SLUICE_E2E_ADMIN_KEY, SLUICE_E2E_TRACE_DIR (the folder with its traces), SLUICE_E2E_RECORDER_URL (the recorder behind its model `recorded`) and
SLUICE_E2E_INFERENCE_PID (the process below which its engine runs).
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from openai import OpenAI

ROOT = Path(__file__).resolve().parents[2]
SLUICE = Path(sys.executable).parent / "sluice"


@dataclass(frozen=True)
class Platform:
    """A running platform and how to reach it."""

    base_url: str
    api_key: str
    admin_key: str
    trace_dir: Path
    environment: dict[str, str]
    recorder_url: str
    known_inference_pid: int | None = None
    clients: dict[str, OpenAI] = field(default_factory=dict)

    def openai(self, api_key: str | None = None) -> OpenAI:
        """The official client; one per key, closed with the platform."""
        key = api_key or self.api_key
        if key not in self.clients:
            self.clients[key] = OpenAI(base_url=f"{self.base_url}/v1", api_key=key, max_retries=0, timeout=120)
        return self.clients[key]

    def recorded(self) -> list[str]:
        """What reached the engine through the model `recorded`."""
        bodies: list[str] = httpx.get(f"{self.recorder_url}/recorded", timeout=60).raise_for_status().json()
        return bodies

    def inference_pid(self) -> int:
        """The process below which the engine runs."""
        if self.known_inference_pid is not None:
            return self.known_inference_pid
        rows = json.loads(self.command("status", "--json").stdout)
        return next(int(row["pid"]) for row in rows if row["part"] == "inference")

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def command(self, *arguments: str, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_sluice(self.environment, *arguments, timeout=timeout, check=check)


def run_sluice(
    environment: dict[str, str], *arguments: str, timeout: float = 300, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(SLUICE), *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )
    if check and done.returncode:
        raise AssertionError(
            f"sluice {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "COV_"))} | {
        "COLUMNS": "200"
    }


def running_platform() -> Platform:
    base_url = os.environ["SLUICE_E2E_BASE_URL"].rstrip("/")
    api_key, admin_key = os.environ["SLUICE_E2E_API_KEY"], os.environ["SLUICE_E2E_ADMIN_KEY"]
    keys = {"SLUICE_API_KEY": api_key, "SLUICE_ADMIN_KEY": admin_key}
    return Platform(
        base_url=base_url,
        api_key=api_key,
        admin_key=admin_key,
        trace_dir=Path(os.environ["SLUICE_E2E_TRACE_DIR"]),
        environment=clean_environment() | {"SLUICE_URL": base_url} | keys,
        recorder_url=os.environ["SLUICE_E2E_RECORDER_URL"].rstrip("/"),
        known_inference_pid=int(os.environ["SLUICE_E2E_INFERENCE_PID"]),
    )
