"""Starts, watches and ends the processes of a benchmark: each on its own core, with its own log file."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.errors import BenchError

from sluice.testing.guardian import this_guardian

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
STOP_SECONDS = 5.0
LOG_TAIL = 1500
PRIORITY = -10


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return what a child process sees: a few variables of ours and `extra`, so that no stray setting changes a row."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, **extra}


def let_go_first(pid: int) -> bool:
    """Let a session's first process go before others on its core, where this user may; tells whether it could.

    Kernels that group processes by session weigh the groups first, so the group's own nice value counts (sched(7)).
    """
    try:
        os.setpriority(os.PRIO_PROCESS, pid, PRIORITY)
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():
            group.write_text(str(PRIORITY))
    except OSError:
        return False
    return True


class Child:
    """One process in a process group of its own, bound to one core; leaving the `with` block ends the whole group, and so does the end of who started it."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        core: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment(environment or {}),
                cwd=folder,
                start_new_session=True,
            )
        this_guardian().watch(self._process.pid)
        os.sched_setaffinity(self._process.pid, {core})  # before it starts a thread: threads and children inherit both
        self.goes_first = let_go_first(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready()` says so; a child that ends or takes longer raises with the tail of its log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise BenchError(f"{self.name} ended with status {self._process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} was not ready after {seconds:.0f} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:].strip()

    def stop(self) -> None:
        """End the process group: politely, then for good."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, signal_number)
            except ProcessLookupError:
                break
            try:
                self._process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
