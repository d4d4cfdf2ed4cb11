"""A job outlives a killed worker: a real Valkey, real Celery workers, SIGKILL."""

import textwrap
from pathlib import Path

import pytest

from sluice.queues import RUN_EVAL, RunEval
from sluice.tasks import TaskSender, make_celery
from sluice.testing import ServiceProcess, environment_of, platform_settings, valkey_server, wait_until

pytestmark = pytest.mark.integration

WORKER = """
import sys, time
from pathlib import Path
from sluice.queues import RUN_EVAL
from sluice.settings import PlatformSettings
from sluice.tasks import make_celery, register, run_worker

marks = Path(sys.argv[1])
name = sys.argv[2]
celery = make_celery("eval", PlatformSettings())

def handle(payload):
    (marks / f"{name}-began-{payload.run_id}").touch()
    if name == "first":
        time.sleep(60)
    (marks / f"{name}-ended-{payload.run_id}").touch()

register(celery, RUN_EVAL, handle)
run_worker("eval", celery)
"""


async def test_a_killed_workers_job_runs_on_another_one(tmp_path: Path) -> None:
    (tmp_path / "jobworker.py").write_text(textwrap.dedent(WORKER))
    with valkey_server() as url:
        platform = platform_settings(tmp_path, redis_url=url)
        environment = environment_of(platform) | {"PYTHONPATH": str(tmp_path)}
        first = ServiceProcess("jobworker", [str(tmp_path), "first"], environment, tmp_path / "first.log").start()
        second = ServiceProcess("jobworker", [str(tmp_path), "second"], environment, tmp_path / "second.log")
        try:
            await TaskSender(make_celery("eval", platform)).send(RUN_EVAL, RunEval(tenant="t", run_id="r1"))
            wait_until((tmp_path / "first-began-r1").exists, seconds=20)
            first.kill()
            second.start()
            wait_until((tmp_path / "second-ended-r1").exists, seconds=40, what="redelivery")
        finally:
            first.kill()
            second.stop()
