"""What a test or a benchmark starts ends with it, however it ends: no engine is left behind by one that was killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sluice.testing import wait_until

pytestmark = pytest.mark.integration
STARTER = """
import json, sys, time
from pathlib import Path
from sluice.testing import ServiceProcess, free_port, platform_settings, valkey_process
from sluice.testing.apps import environment_of

folder = Path(sys.argv[1])
with valkey_process(folder / "valkey") as valkey:
    module = ServiceProcess("http.server", ["--bind", "127.0.0.1", str(free_port())], {}, folder / "module.log").start()
    platform = platform_settings(folder, redis_url=valkey.url)
    environment = environment_of(platform) | {"SLUICE_FEEDBACK_PORT": str(free_port())}
    service = ServiceProcess("sluice_feedback", ["serve"], environment, folder / "service.log").start()
    ended = ServiceProcess("http.server", ["--help"], {}, folder / "ended.log").start()
    ended.wait()
    print(json.dumps([valkey._process.pid, module.pid, service.pid]), flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_started_ends_with_a_starter_that_is_killed(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pids = json.loads(starter.stdout.readline())
        assert all(psutil.pid_exists(pid) for pid in pids)
        os.kill(starter.pid, number)
    wait_until(lambda: not any(map(_runs, pids)), seconds=60, what="the end of all that was started")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
