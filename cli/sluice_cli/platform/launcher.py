"""Starts the parts, waits until they are ready, and stops them again."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from sluice_cli.platform import records
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.platform.health import ask, listening
from sluice_cli.platform.home import Home
from sluice_cli.platform.parts import Part

_LOG_TAIL = 15
_POLL_S = 0.15
_STOP_S = 30.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Launcher:
    """Starts and stops parts of one home; `say` gets one line per step."""

    home: Home
    say: Say
    timeout_s: float

    def start(self, wanted: Sequence[Part], values: Mapping[str, str]) -> None:
        """Start what does not run yet and wait until all of it is ready.

        When a part ends or is not ready in time, everything that this call started is stopped again.

        Raises:
            CommandFailed: with the part, the end of its log and what to do.
        """
        running = {name for name, record in records.read(self.home.run).items() if record.process()}
        fresh = [part for part in wanted if part.name not in running]
        self._refuse_taken_ports(fresh)
        started: list[Part] = []
        try:
            for part in fresh:
                self._spawn(part, values)
                started.append(part)
            self._wait(wanted)
        except BaseException:
            self.say("Stopping what was started …")
            self.stop([part.name for part in reversed(started)])
            raise

    def stop(self, names: Sequence[str]) -> list[str]:
        """Stop parts in the given order, asking first and killing after 30 s; return those that did run."""
        stopped = []
        for name in names:
            record = records.read(self.home.run).get(name)
            if record is None:
                continue
            process = record.process()
            if process is not None:
                self._end(name, process)
                stopped.append(name)
            records.remove(self.home.run, name)
        return stopped

    def _spawn(self, part: Part, values: Mapping[str, str]) -> None:
        if part.name == "valkey":
            (self.home.data / "valkey").mkdir(parents=True, exist_ok=True)
        log = self.home.logs / f"{part.name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                part.command,
                env={**_inherited(), **values, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        records.write(self.home.run, part.name, process.pid, part.port, part.address)

    def _wait(self, wanted: Sequence[Part]) -> None:
        began = time.monotonic()
        waiting = list(wanted)
        detail: dict[str, str] = {}
        while waiting:
            for part in list(waiting):
                answer = ask(part)
                if answer.ready:
                    waiting.remove(part)
                    done = len(wanted) - len(waiting)
                    self.say(
                        f"  [{done}/{len(wanted)}] {part.name} is ready at {part.address} ({time.monotonic() - began:.1f} s)"
                    )
                    continue
                detail[part.name] = answer.detail
                self._refuse_dead(part)
            if waiting and time.monotonic() - began > self.timeout_s:
                part = waiting[0]
                raise CommandFailed(
                    f"{part.name} was not ready after {self.timeout_s:.0f} s ({detail[part.name]}).\n{self._log_end(part)}\n"
                    "Look at the log above; a slow machine can be given more time with SLUICE_START_TIMEOUT_S."
                )
            time.sleep(_POLL_S)

    def _refuse_dead(self, part: Part) -> None:
        record = records.read(self.home.run).get(part.name)
        if record is None or record.process() is None:
            raise CommandFailed(f"{part.name} ended while it was starting.\n{self._log_end(part)}")

    def _refuse_taken_ports(self, fresh: Sequence[Part]) -> None:
        taken = [f"{part.port} ({part.name}{_owner(part.port)})" for part in fresh if listening(part.port)]
        if taken:
            raise CommandFailed(
                f"These ports are in use: {', '.join(taken)}. Stop what listens there, or move the whole platform with "
                "SLUICE_PORT_BASE=9080 (the gateway's port; the other parts follow it)."
            )

    def _end(self, name: str, process: psutil.Process) -> None:
        self.say(f"  stopping {name} (pid {process.pid})")
        try:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=_STOP_S)
        except psutil.TimeoutExpired:
            self.say(f"  {name} did not stop within {_STOP_S:.0f} s; killing it")
            process.kill()
            process.wait(timeout=_STOP_S)
        except psutil.NoSuchProcess:
            return

    def _log_end(self, part: Part) -> str:
        log = self.home.logs / f"{part.name}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL:] if log.exists() else []
        return "\n".join([f"--- last lines of {log}", *lines, "---"])


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """Hold the platform's lock, so that two commands do not start or stop it at once."""
    path: Path = home.root / "up.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise CommandFailed(
                "Another `sluice up` or `sluice down` is at work here; wait until it has finished."
            ) from exc
        yield


def _inherited() -> dict[str, str]:
    # Byte code that may be kept makes the next start several seconds faster.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # noqa: TID251


def _owner(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if local and connection.status == psutil.CONN_LISTEN and local.port == port and connection.pid:
                return f", by {psutil.Process(connection.pid).name()} with pid {connection.pid}"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return ""
    return ""
