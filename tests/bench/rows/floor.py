"""The floors: what a Python process costs that does little more than pass requests on.

`f4` is a raw ASGI proxy on uvicorn with a pooled client of its own, which checks one key and does nothing else. `f7` answers inside uvicorn's
protocol as the gateway does, with one key, one bucket and sums in memory. Their sources are not part of this repository: the folder is named
with --floor or SLUICE_BENCH_FLOOR.
"""

import sys
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from tests.bench.children import Child
from tests.bench.loadgen import Target
from tests.bench.mock import MODEL
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, Row, answers

from sluice.testing import free_port

KEY = "sk-test"
_UVICORN = "--host 127.0.0.1 --loop uvloop --http httptools --log-level warning --no-access-log"
_LANE = f"""
import sys, uvicorn, f7_fastlane as f7
f7.DEPS = {{{MODEL!r}: next(iter(f7.DEPS.values()))}}
uvicorn.run(f7.app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http=f7.Lane, access_log=False, log_level="warning",
            timeout_keep_alive=600)
"""


class Floor(NamedTuple):
    """A floor: its row's name, the module of its source, and the arguments of Python that serve it (`{port}` stands for its port)."""

    name: str
    module: str
    arguments: tuple[str, ...]


_FLOORS = (
    Floor("floor/f4", "f3_asgi", ("-m", "uvicorn", "f3_asgi:app", "--port", "{port}", *_UVICORN.split())),
    Floor("floor/f7", "f7_fastlane", ("-c", _LANE, "{port}")),
)


def _missing(floor: Floor, place: Place) -> str | None:
    if place.floor is None:
        return "no folder was named with --floor or SLUICE_BENCH_FLOOR"
    if not (place.floor / f"{floor.module}.py").is_file():
        return f"{place.floor} holds no {floor.module}.py"
    return None


@contextmanager
def _open(floor: Floor, place: Place) -> Opened:
    port = free_port()
    command = [sys.executable, *(word.replace("{port}", str(port)) for word in floor.arguments)]
    environment = {
        "UPCLIENT": "raw",
        "UPSTREAM_PORT": str(place.upstream.port),
        "PYTHONPATH": str(place.floor),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = place.logs / f"{floor.name.replace('/', '-')}.log"
    with Child(floor.name, command, core=place.gateway_core, log=log, environment=environment) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/health"), READY_SECONDS)
        yield Gateway(Target(port, headers=(f"Authorization: Bearer {KEY}",)), process)


ROWS = tuple(Row(floor.name, partial(_missing, floor), partial(_open, floor)) for floor in _FLOORS)
