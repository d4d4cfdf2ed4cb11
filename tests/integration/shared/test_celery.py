"""A job outlives a killed worker: a real Valkey, real Celery workers, SIGKILL."""

import textwrap
from pathlib import Path

import pytest
import redis

from sluice.queues import RUN_EVAL, RunEval
from sluice.tasks import TaskSender, make_celery
from sluice.testing import ServiceProcess, environment_of, free_port, platform_settings, valkey_server, wait_until

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
            wait_until((tmp_path / "first-began-r1").exists, seconds=60)
            first.kill()
            second.start()
            wait_until((tmp_path / "second-ended-r1").exists, seconds=60, what="redelivery")
        finally:
            first.kill()
            second.stop()


async def test_a_redis_that_refuses_to_write_for_a_while_ends_no_worker(tmp_path: Path) -> None:
    # As it does when its disk is full (MISCONF), its memory (OOM), or while it is a replica (READONLY): an error, on a connection that stays.
    (tmp_path / "jobworker.py").write_text(textwrap.dedent(WORKER))
    with valkey_server() as url, redis.Redis.from_url(url) as admin:
        platform = platform_settings(tmp_path, redis_url=url)
        environment = environment_of(platform) | {"PYTHONPATH": str(tmp_path)}
        log = tmp_path / "worker.log"
        worker = ServiceProcess("jobworker", [str(tmp_path), "only"], environment, log).start()
        try:
            sender = TaskSender(make_celery("eval", platform))
            await sender.send(RUN_EVAL, RunEval(tenant="t", run_id="before"))
            wait_until((tmp_path / "only-ended-before").exists, seconds=60)
            admin.config_set("min-replicas-to-write", "1")
            wait_until(lambda: "NOREPLICAS" in log.read_text(), seconds=60, what="a refusal")
            admin.config_set("min-replicas-to-write", "0")
            await sender.send(RUN_EVAL, RunEval(tenant="t", run_id="after"))
            wait_until((tmp_path / "only-ended-after").exists, seconds=60, what="the job after it")
        finally:
            worker.stop()


STARTING = """
import sys, time
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from celery.signals import celeryd_init
from sluice.jobs import work_on
from sluice.queues import RUN_EVAL
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry

marks = Path(sys.argv[1])

@asynccontextmanager
async def opened():
    yield SimpleNamespace(registry=MetricRegistry(), probes={})
    (marks / "closed").touch()

def begins(**_):
    (marks / "begins").touch()
    time.sleep(300)

async def do(deps, payload):
    pass

celeryd_init.connect(begins)
work_on("eval", PlatformSettings(), SimpleNamespace(worker_port=int(sys.argv[2]), worker_concurrency=1), opened(), RUN_EVAL, do)
"""


def test_a_worker_that_is_told_to_end_before_celery_listens_closes_what_it_has_opened(tmp_path: Path) -> None:
    """What it has opened works already: responses in the background would wait for the end of their lease."""
    (tmp_path / "startingworker.py").write_text(STARTING)
    platform = platform_settings(tmp_path, redis_url="redis://127.0.0.1:9/0")
    environment = environment_of(platform) | {"PYTHONPATH": str(tmp_path)}
    arguments = [str(tmp_path), str(free_port())]
    with ServiceProcess("startingworker", arguments, environment, tmp_path / "worker.log") as worker:
        wait_until((tmp_path / "begins").exists, what="the start of Celery")
        worker.stop()
        assert worker.wait() == 0, worker.log.read_text()
    assert (tmp_path / "closed").exists()
