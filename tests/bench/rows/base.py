"""What every row of the benchmark is: a gateway that runs, where to send requests, and whose CPU counts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import httpx
from tests.bench.children import Child
from tests.bench.loadgen import Target
from tests.bench.mock import MockUpstream
from tests.bench.procfs import TreeUse, tree_use

READY_SECONDS = 120.0


class Place(NamedTuple):
    """Where a row is set up: its upstream, its cores, its own folder, and the folder of the floor's sources."""

    upstream: MockUpstream
    gateway_core: int
    other_core: int
    folder: Path
    logs: Path
    floor: Path | None


class Gateway(NamedTuple):
    """A running row. `consumer` is a second process that works behind the request path; `check` is asked at the end
    whether the gateway did all of its work, given the number of requests that it answered. `caches` says that it has a model
    whose answers it keeps."""

    target: Target
    process: Child | None = None
    consumer: Child | None = None
    check: Callable[[int], str | None] | None = None
    caches: bool = False

    def use(self) -> TreeUse | None:
        return tree_use(self.process.pid) if self.process else None

    def consumer_use(self) -> TreeUse | None:
        return tree_use(self.consumer.pid) if self.consumer else None


class Row(NamedTuple):
    """One line of the table: `missing` says in a sentence why it cannot run here, or None; `open` runs it; `version`
    tells which release of a foreign gateway that is."""

    name: str
    missing: Callable[[Place], str | None]
    open: Callable[[Place], AbstractContextManager[Gateway]]
    version: Callable[[], str | None] | None = None

    @property
    def title(self) -> str:
        """The row with its release."""
        version = self.version() if self.version else None
        return self.name if version is None else f"{self.name} {version}"


Opened = Iterator[Gateway]


def answers(url: str) -> Callable[[], bool]:
    """Return a test whether a GET of `url` is answered with 200."""

    def ready() -> bool:
        try:
            return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    return ready
