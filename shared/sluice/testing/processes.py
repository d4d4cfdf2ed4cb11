"""Real processes in tests: started, waited for, killed."""

import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx

from sluice.testing.guardian import this_guardian
from sluice.testing.nursery import Forked, Start, this_nursery

Value = TypeVar("Value")
_WORKERS = 8
_LAST_S = 10.0
_PORTS = range(3_000, 10_000)
_given: deque[int] = deque(maxlen=200)  # what was given last may not be listened on yet


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on now.

    It lies below the ports that Linux gives to outgoing connections and to whoever asks for any, and the workers of pytest-xdist draw from
    ports of their own: what a test starts takes seconds to listen, and until then its port is free for others too.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")  # noqa: TID251 - no setting, but who asks
    mine = range(_PORTS.start + int(worker) % _WORKERS, _PORTS.stop, _WORKERS) if worker.isdigit() else _PORTS
    while True:
        port = secrets.choice(mine)  # tests may seed `random`
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.append(port)
        return port


def free_port_base() -> int:
    """Return a base from which all ports of a platform are free: gateway +0 to engine +11, the workers +100 to +107.

    It lies below the ports that Linux gives to outgoing connections (32768 and up, `ip_local_port_range`), so that no
    connection of another test takes one of them before the platform does.
    """
    while True:
        base = random.randrange(10_000, 32_000)  # noqa: S311 (a port, no secret)
        try:
            for offset in (*range(12), *range(100, 108)):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base


def wait_until(
    check: Callable[[], Value], *, seconds: float = 60.0, every: float = 0.05, what: str = "the condition"
) -> Value:
    """Call `check` until it returns something true; an exception of httpx, of http.client or OSError means not yet."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = check()
        except (httpx.HTTPError, HTTPException, OSError) as exc:
            last = exc
        else:
            if found:
                return found
            last = found
        time.sleep(every)
    raise AssertionError(f"{what} did not come true within {seconds:.0f} s (last: {last!r})")


class ServiceProcess:
    """One service (or any Python module) as an operating-system process with its log in a file.

    Services are forked from a process that has imported them already (see `nursery`); other modules run by `python -m`.
    It ends with the process that started it, also when that one is killed (see `guardian`).
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        cwd: Path | None = None,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._module = module
        self._arguments = list(arguments)
        self._environment = {**_inherited(), **environment}
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start it; the log is appended to."""
        if re.fullmatch(r"sluice_[a-z]+", self._module):
            wanted = Start(self._module, self._arguments, self._environment, str(self._cwd or Path.cwd()))
            self._process = this_nursery().start(wanted, self.log)
            this_guardian().watch(self._process.pid)
            return self
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, *self._arguments],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                start_new_session=True,
            )
        this_guardian().watch(self._process.pid)
        return self

    def wait_ready(self, url: str, *, seconds: float = 60.0) -> None:
        """Wait until GET `url` answers 200; fails at once, with the log, when the process has ended."""
        parts = urlsplit(url)

        def ready() -> bool:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(
                    f"{self._module} {self._arguments} ended with {self._process.returncode}:\n{self.log.read_text()[-4000:]}"
                )
            # Not by httpx: a client of its own for each look costs more than the answer.
            with closing(HTTPConnection(parts.netloc, timeout=10)) as connection:
                connection.request("GET", parts.path)
                return connection.getresponse().status == httpx.codes.OK

        try:
            wait_until(ready, seconds=seconds, every=0.02, what=f"{url} answering")
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.log.read_text()[-4000:]}") from exc

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.poll() is None

    def wait(self, *, seconds: float = 60.0) -> int:
        """Wait until it has ended by itself and return its exit status."""
        assert self._process is not None
        return self._process.wait(timeout=seconds)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end with SIGTERM; kill it after half a minute."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=30)
        # What a killed process had started ends by itself, a moment later, and may hold its port until then.
        until = time.monotonic() + _LAST_S
        while _session_of(self._process.pid) and time.monotonic() < until:
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _session_of(pid: int) -> list[str]:
    """Return the processes of the session that a process leads, as far as /proc tells of them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session, *_ = stat.read_text().rpartition(")")[2].split()
            if int(session) == pid and state not in "ZX":
                found.append(stat.parent.name)
    return found


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}  # noqa: TID251
