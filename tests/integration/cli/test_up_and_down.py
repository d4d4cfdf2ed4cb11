"""What `sluice up` and `down` do with real processes: refusals, interruptions, the order in which parts end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from sluice.testing import free_port_base, wait_until
from sluice_cli.platform import records
from sluice_cli.platform.home import Home
from sluice_cli.platform.launcher import Launcher
from sluice_cli.platform.parts import Layout, parts

pytestmark = [pytest.mark.integration]

ROOT = Path(__file__).resolve().parents[3]
SLUICE = Path(sys.executable).parent / "sluice"
# Notes when it is asked to end, waits until others are asked too, or for a moment, and notes when it ends.
NOTING = """
import pathlib, signal, sys, time
def leave(*_):
    asked = time.monotonic()
    pathlib.Path(sys.argv[1] + ".asked").touch()
    while not all(pathlib.Path(name + ".asked").exists() for name in sys.argv[2:]) and time.monotonic() < asked + 8:
        time.sleep(0.01)
    time.sleep(0.1)
    pathlib.Path(sys.argv[1]).write_text(f"{asked} {time.monotonic()}")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def base() -> int:
    return free_port_base()


@pytest.fixture
def environment(tmp_path: Path, base: int) -> Iterator[dict[str, str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    yield clean | {"SLUICE_HOME": str(tmp_path / "home"), "SLUICE_PORT_BASE": str(base)}
    subprocess.run(
        [str(SLUICE), "down"],
        env=clean | {"SLUICE_HOME": str(tmp_path / "home")},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )


def _sluice(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SLUICE), *words], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90)


def _ours(base: int) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("SLUICE_PORT_BASE") == str(base)
    ]


def test_the_engines_port_is_looked_at_before_anything_starts(
    environment: dict[str, str], base: int, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", base + 10)):
        done = _sluice(environment, "up")
    assert done.returncode == 1
    assert f"{base + 10} (inference" in done.stderr
    assert "Starting" not in done.stdout
    assert list((tmp_path / "home/run").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_an_interrupted_start_leaves_nothing_behind_though_nobody_reads_its_output(
    environment: dict[str, str], base: int, tmp_path: Path, number: signal.Signals
) -> None:
    complaints = tmp_path / "stderr"
    with complaints.open("w") as errors:
        command = subprocess.Popen(
            [str(SLUICE), "up"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert command.stdout is not None
    with command, command.stdout as lines:
        assert any("valkey is ready" in line for line in lines), complaints.read_text()
        wait_until(lambda: len(list((tmp_path / "home/run").glob("*.json"))) > 5, what="the services")
        lines.close()
        command.send_signal(number)
        assert command.wait(timeout=60) != 0
    assert list((tmp_path / "home/run").glob("*.json")) == []
    # An engine that was just being started notices within a moment that its service is gone.
    wait_until(lambda: not _ours(base), seconds=60, what="the end of all processes")


def test_a_running_platform_is_found_without_its_port_base_and_is_not_moved(
    environment: dict[str, str], base: int, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as gateway:
        records.write(home.run, "gateway", gateway.pid, base, f"http://127.0.0.1:{base}")
        bare = {name: value for name, value in environment.items() if name != "SLUICE_PORT_BASE"}
        rows = json.loads(_sluice(bare, "status", "--json").stdout)
        assert {row["part"]: row["address"] for row in rows}["router"] == f"http://127.0.0.1:{base + 1}"
        moved = _sluice(environment | {"SLUICE_PORT_BASE": str(base + 200)}, "up")
        assert moved.returncode == 1
        assert f"its gateway listens on {base}, not on {base + 200}" in moved.stderr
        assert "sluice down" in moved.stderr
        assert gateway.poll() is None
        gateway.kill()


def test_parts_end_together_between_the_gateway_and_valkey(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    together = ("router", "retrieval")
    names = ("valkey", *together, "gateway")
    children = []
    for name in names:
        files = [str(tmp_path / f"{one}.times") for one in (name, *(together if name in together else ()))]
        children.append(subprocess.Popen([sys.executable, "-c", NOTING, *files], stdout=subprocess.PIPE, text=True))
    for name, child in zip(names, children, strict=True):
        assert child.stdout is not None
        with child.stdout as lines:
            assert lines.readline() == "ready\n"
        records.write(home.run, name, child.pid, 1, "")
    told: list[str] = []
    assert set(Launcher(home, told.append, 1.0).stop(names)) == set(names)
    asked, ended = {}, {}
    for name, child in zip(names, children, strict=True):
        child.wait(timeout=60)
        asked[name], ended[name] = map(float, (tmp_path / f"{name}.times").read_text().split())
    assert ended["gateway"] <= min(asked["router"], asked["retrieval"])
    assert max(asked["router"], asked["retrieval"]) < min(ended["router"], ended["retrieval"])
    assert max(ended["router"], ended["retrieval"]) <= asked["valkey"]
    assert len(told) == len(names)
    assert records.read(home.run) == {}


STARTING = """
import os, sys
from pathlib import Path
from sluice_cli.platform.home import Home
from sluice_cli.platform.launcher import Launcher
from sluice_cli.platform.parts import Part
port = int(sys.argv[2])
part = Part("guardrail", (sys.executable, "-c", "import time; time.sleep(60)"), port, 1, f"http://127.0.0.1:{port}/readyz")
launcher = Launcher(Home(Path(sys.argv[1])), print, timeout_s=0.5)
with launcher.all_or_nothing():
    launcher.start([part], os.environ)
"""


def test_parts_that_are_not_wanted_any_more_or_know_other_services_are_stopped(tmp_path: Path, base: int) -> None:
    home = Home(tmp_path)
    home.prepare()
    wanted = parts(Layout(base), home, "", services="gateway,guardrail")
    known = {"router": "gateway,guardrail", "gateway": "gateway", "feedback": "gateway,guardrail", "valkey": ""}
    with ExitStack() as stack:
        running = {}
        for name, services in known.items():
            command = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(60)"]
            variables = {**os.environ, "SLUICE_SERVICES": services}
            process = stack.enter_context(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            running[name] = process
            records.write(home.run, name, process.pid, base, "")
        said: list[str] = []
        Launcher(home, said.append, 10).stop_others(wanted, {"SLUICE_SERVICES": "gateway,guardrail"})
        assert {name for name, process in running.items() if process.poll() is None} == {"router", "valkey"}
        assert set(records.read(home.run)) == {"router", "valkey"}
    assert "other services are wanted now" in said[0]


def test_only_what_was_started_inside_is_stopped_when_it_fails(tmp_path: Path, base: int) -> None:
    home = Home(tmp_path)
    home.prepare()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as before:
        records.write(home.run, "router", before.pid, 1, "")
        failed = subprocess.run(
            [sys.executable, "-c", STARTING, str(tmp_path), str(base)], capture_output=True, text=True, timeout=60
        )
        assert "CommandFailed: guardrail was not ready after" in failed.stderr
        assert "stopping guardrail" in failed.stdout
        assert set(records.read(home.run)) == {"router"}
        assert before.poll() is None
        before.kill()
