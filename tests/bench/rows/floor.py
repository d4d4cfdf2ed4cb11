"""The floor: a raw ASGI proxy on uvicorn with a pooled client of its own, which checks one key and does nothing else.

Its source is not part of this repository: the folder is named with --floor or SLUICE_BENCH_FLOOR.
"""

import sys
from contextlib import contextmanager

from tests.bench.children import Child
from tests.bench.loadgen import Target
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, answers

from sluice.testing import free_port

MODULE = "f3_asgi"
KEY = "sk-test"


def missing(place: Place) -> str | None:
    if place.floor is None:
        return "no folder was named with --floor or SLUICE_BENCH_FLOOR"
    if not (place.floor / f"{MODULE}.py").is_file():
        return f"{place.floor} holds no {MODULE}.py"
    return None


@contextmanager
def open_floor(place: Place) -> Opened:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{MODULE}:app", "--app-dir", str(place.floor), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    command += ["--no-access-log"]
    environment = {
        "UPCLIENT": "raw",
        "UPSTREAM_PORT": str(place.upstream.port),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = place.logs / "floor.log"
    with Child("floor/f4", command, core=place.gateway_core, log=log, environment=environment) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/health"), READY_SECONDS)
        yield Gateway(Target(port, headers=(f"Authorization: Bearer {KEY}",)), process)
