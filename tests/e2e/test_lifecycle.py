"""`sluice up`, `status` and `down`, and what they say when something is wrong."""

import json
import signal
import socket
import subprocess
import sys

import psutil
import pytest
from e2e_platform import clean_environment, run_sluice

from sluice.testing import free_port_base

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def test_status_shows_every_part_ready(local_platform) -> None:
    rows = json.loads(local_platform.command("status", "--json").stdout)
    assert {row["state"] for row in rows} == {"ready"}
    assert len(rows) == 13
    assert all(row["address"] and row["pid"] for row in rows)


def test_a_port_in_use_is_said_and_nothing_is_started(tmp_path) -> None:
    base = free_port_base()
    environment = clean_environment() | {"SLUICE_HOME": str(tmp_path / "home"), "SLUICE_PORT_BASE": str(base)}
    with socket.create_server(("127.0.0.1", base + 1)):
        done = run_sluice(environment, "up", check=False, timeout=60)
    assert done.returncode == 1
    assert f"{base + 1} (router" in done.stderr
    assert "SLUICE_PORT_BASE" in done.stderr
    assert list((tmp_path / "home/run").glob("*.json")) == []


def test_a_child_that_dies_takes_nothing_half_started_along(tmp_path) -> None:
    base = free_port_base()
    config = tmp_path / "config"
    config.mkdir()
    (config / "models.yaml").write_text("models: this is no list\n")
    environment = clean_environment() | {
        "SLUICE_HOME": str(tmp_path / "home"),
        "SLUICE_PORT_BASE": str(base),
        "SLUICE_CONFIG_DIR": str(config),
    }
    done = run_sluice(environment, "up", check=False, timeout=180)
    assert done.returncode == 1
    assert "ended while it was starting" in done.stderr
    assert "last lines of" in done.stderr
    assert list((tmp_path / "home/run").glob("*.json")) == []
    ours = [
        p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("SLUICE_PORT_BASE") == str(base)
    ]
    assert ours == []


def test_down_stops_no_stranger(tmp_path) -> None:
    """A record whose process id was taken over by another process is forgotten, and that process lives."""
    run = tmp_path / "home/run"
    run.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        record = {"part": "gateway", "pid": stranger.pid, "created": 1.0, "port": 1, "address": "", "started_at": 1.0}
        (run / "gateway.json").write_text(json.dumps(record))
        done = run_sluice(clean_environment() | {"SLUICE_HOME": str(tmp_path / "home")}, "down")
        assert "Nothing was running" in done.stdout
        assert stranger.poll() is None
        stranger.send_signal(signal.SIGKILL)
    assert list(run.glob("*.json")) == []
