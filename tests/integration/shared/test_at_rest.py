"""Services that nobody asks anything wake seldom, and end at once when told to: real processes, real Valkey."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sluice.testing import environment_of, free_port, platform_settings, valkey_server
from sluice.testing.processes import ServiceProcess

pytestmark = pytest.mark.integration
CONFIG = Path(__file__).parents[3] / "deploy" / "config"


@contextmanager
def started(service: str, tmp_path: Path, command: str = "serve") -> Iterator[ServiceProcess]:
    port = free_port()
    with valkey_server() as url:
        platform = platform_settings(tmp_path, config_dir=CONFIG, redis_url=url)
        ports = {f"SLUICE_{service.upper()}_{name}": str(port) for name in ("PORT", "WORKER_PORT")}
        log = tmp_path / f"{service}.log"
        with ServiceProcess(f"sluice_{service}", [command], environment_of(platform) | ports, log) as process:
            process.wait_ready(f"http://127.0.0.1:{port}/readyz")
            yield process


def times_woken(pid: int) -> int:
    """How often the threads of a process went to sleep and came back, all together."""
    statuses = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for status in statuses)


@pytest.mark.parametrize(
    ("service", "most_a_second"),
    [
        ("guardrail", 6),  # no database; measured 3, and 13 when it looked whether to stop ten times a second
        ("finetune", 12),  # a database, a sweep; measured 4, and 38 when it swept every two seconds
    ],
)
def test_a_service_without_work_wakes_seldom(service: str, most_a_second: int, tmp_path: Path) -> None:
    with started(service, tmp_path) as process:
        time.sleep(3)
        before, began = times_woken(process.pid), time.monotonic()
        time.sleep(5)
        woken = (times_woken(process.pid) - before) / (time.monotonic() - began)
    assert woken < most_a_second


def test_a_service_that_rests_ends_at_once(tmp_path: Path) -> None:
    with started("guardrail", tmp_path) as process:
        time.sleep(1.5)
        told_at = time.monotonic()
        process.stop()
        assert time.monotonic() - told_at < 5
        assert not process.alive()
