"""Starting and reaching a platform as users do.

With SLUICE_E2E_BASE_URL, SLUICE_E2E_API_KEY and SLUICE_E2E_ADMIN_KEY set, the tests run against a platform that is already up (containers);
SLUICE_E2E_TRACE_DIR then names the folder with its traces, if there is one on this machine.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from e2e_recorder import Recorder
from openai import OpenAI

from sluice.testing import free_port

ROOT = Path(__file__).resolve().parents[2]
SLUICE = Path(sys.executable).parent / "sluice"


@dataclass(frozen=True)
class Platform:
    """A running platform and how to reach it."""

    base_url: str
    api_key: str
    admin_key: str
    trace_dir: Path | None
    environment: dict[str, str]
    recorder: Recorder | None
    clients: dict[str, OpenAI] = field(default_factory=dict)

    def openai(self, api_key: str | None = None) -> OpenAI:
        """The official client; one per key, closed with the platform."""
        key = api_key or self.api_key
        if key not in self.clients:
            self.clients[key] = OpenAI(base_url=f"{self.base_url}/v1", api_key=key, max_retries=0, timeout=120)
        return self.clients[key]

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


def free_port_base() -> int:
    """A base from which all ports of a platform are free (gateway +0…+11, workers +100…+106)."""
    from sluice_cli.platform.health import listening

    while True:
        base = free_port()
        offsets = (*range(12), *range(100, 108))
        if base < 60000 and not any(listening(base + offset) for offset in offsets):
            return base


def running_platform() -> Platform:
    base_url, api_key = os.environ["SLUICE_E2E_BASE_URL"].rstrip("/"), os.environ["SLUICE_E2E_API_KEY"]
    admin_key = os.environ["SLUICE_E2E_ADMIN_KEY"]
    traces = os.environ.get("SLUICE_E2E_TRACE_DIR")
    environment = clean_environment() | {
        "SLUICE_URL": base_url,
        "SLUICE_API_KEY": api_key,
        "SLUICE_ADMIN_KEY": admin_key,
    }
    return Platform(base_url, api_key, admin_key, Path(traces) if traces else None, environment, None)


def config_with_recorded_model(folder: Path, recorder_url: str) -> Path:
    """The shipped configuration and one more model, which reaches the same engine through the recorder."""
    shutil.copytree(ROOT / "deploy/config", folder)
    path = folder / "models.yaml"
    config = yaml.safe_load(path.read_text())
    recorded = json.loads(json.dumps(next(model for model in config["models"] if model["name"] == "smollm2")))
    recorded["name"] = "recorded"
    recorded["fallbacks"] = []
    for deployment in recorded["deployments"]:
        deployment["id"] = "recorded"
        deployment["base_url"] = f"{recorder_url}/v1"
    config["models"].append(recorded)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return folder
